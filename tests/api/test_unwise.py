"""Warnings of each feature; `test_checks.py` has those of delivery and the queue, `data/` their wording."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.manifests import compiled, config_map, logger, push_domain, route, warnings

QUEUED: dict[str, Any] = {"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}
RELAY = {"host": "mx"}
WEBHOOK: dict[str, Any] = {"url": "https://events.example"}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"bounces": {"relay": RELAY}}, []),
        ({"bounces": {"relay": RELAY, "enabled": False}}, ["spec.bounces.relay"]),
        ({"bounces": {"relay": RELAY, "enabled": False}, "policy": {"configMapName": "hooks"}}, []),
        (
            {
                "bounces": {"relay": RELAY, "enabled": False},
                "domains": [{"name": "a.example", "bounces": {"enabled": True}}],
            },
            [],
        ),
        ({"bounces": {"direct": "Mail"}}, ["spec.bounces.direct"]),
        ({"bounces": {"direct": "Mail", "relay": RELAY}}, []),
        ({"bounces": {"delayNotices": True}}, ["spec.bounces.delayNotices"]),
        ({"bounces": {"delayNotices": True}, **QUEUED}, []),
        ({"bounces": {"delayNotices": True, "delayAfter": "168h"}, **QUEUED}, ["spec.bounces.delayAfter"]),
        (
            {
                "bounces": {"delayNotices": True, "delayAfter": "2h"},
                "domains": [
                    {"name": "a.example", "bounces": {}, "delivery": {"messageExpiration": "1h"}},
                    {"name": "b.example", "bounces": {"enabled": False}},
                ],
                **QUEUED,
            },
            ["spec.domains[0].delivery.messageExpiration"],
        ),
        # What a domain inherits is told at the PushDomain's own options, and once.
        (
            {
                "bounces": {"delayNotices": True, "delayAfter": "200h"},
                "domains": [
                    {"name": "a.example", "bounces": {"from": "a@b.example"}, "delivery": {"maxRetries": 3}},
                    {"name": "b.example", "bounces": {"direct": "Reply"}},
                ],
                **QUEUED,
            },
            ["spec.bounces.delayAfter"],
        ),
        (
            {
                "bounces": {"delayAfter": "200h"},
                "domains": [
                    {"name": "a.example", "bounces": {"delayNotices": True}},
                    {"name": "b.example", "bounces": {"delayAfter": "300h"}},
                    {"name": "c.example", "bounces": {"delayNotices": True, "delayAfter": "300h"}},
                ],
                **QUEUED,
            },
            ["spec.domains[0].bounces", "spec.domains[2].bounces.delayAfter"],
        ),
        (
            {
                "bounces": {"delayNotices": True, "delayAfter": "200h"},
                "domains": [{"name": "a.example", "bounces": {"from": "a@b.example"}}],
            },
            ["spec.bounces.delayNotices"],
        ),
        (
            {
                "delivery": {"messageExpiration": "1h", "retryInterval": "2h"},
                "domains": [
                    {"name": "a.example", "delivery": {"maxRetries": 3}},
                    {"name": "b.example", "delivery": {"retryInterval": "3h"}},
                ],
                **QUEUED,
            },
            ["spec.delivery.messageExpiration", "spec.domains[1].delivery.retryInterval"],
        ),
        ({"bounces": {"relay": {**RELAY, "authSecretName": "a"}}}, ["spec.bounces.relay.tls"]),
        ({"bounces": {"relay": {**RELAY, "ca": {"secretName": "a"}}}}, ["spec.bounces.relay.ca"]),
        ({"policy": {"configMapName": "hooks", "memory": "63Mi"}}, ["spec.policy.memory"]),
        ({"rest": {"tokens": {"secretName": "a"}}}, ["spec.rest.tls"]),
        ({"rest": {"tokens": {"secretName": "a"}, "tls": {"secretName": "b"}}}, []),
    ],
)
def test_what_a_push_domain_may_not_mean(spec: dict[str, Any], fields: list[str]) -> None:
    found = warnings(compiled(push_domain(**spec), route(), config_map()))
    assert [item.field for item in found] == fields


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"sink": {"type": "Webhook", "webhook": WEBHOOK}}, []),
        (
            {"sink": {"type": "Webhook", "webhook": WEBHOOK}, "formats": {"delivery": "%t"}},
            ["spec.formats"],
        ),
        (
            {"sink": {"type": "Webhook", "webhook": WEBHOOK}, "compatibility": "Momentum"},
            ["spec.compatibility"],
        ),
        ({"format": "Json", "compatibility": "Momentum"}, ["spec.compatibility"]),
        ({"compatibility": "Momentum"}, []),
        (
            {
                "sink": {
                    "type": "Webhook",
                    "webhook": {"url": "http://a", "authorization": {"secretName": "a", "key": "b"}},
                }
            },
            ["spec.sink.webhook.authorization"],
        ),
        (
            {"sink": {"type": "Webhook", "webhook": {**WEBHOOK, "verify": False, "ca": {"secretName": "a"}}}},
            ["spec.sink.webhook.ca"],
        ),
        ({"filter": {"deadTokens": True}}, []),
        ({"filter": {"deadTokens": True}, "logPermfail": False}, ["spec.filter"]),
        ({"filter": {"reasons": ["Expired"]}, "logPermfail": False}, []),
        ({"filter": {"reasons": ["Expired"]}, "logPermfail": False, "logTempfail": False}, ["spec.filter"]),
        ({"filter": {"outcomes": ["Delivered"], "reasons": ["Expired"]}}, ["spec.filter"]),
        ({"logDelivery": False, "logPermfail": False, "logTempfail": False}, []),
    ],
)
def test_what_a_logger_may_not_mean(spec: dict[str, Any], fields: list[str]) -> None:
    found = warnings(compiled(push_domain(loggers=["log"]), route(), logger(**spec)))
    assert [item.field for item in found if item.kind == "ApnLogger"] == fields
