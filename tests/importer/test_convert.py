from __future__ import annotations

import pytest

from tests.importer.samples import APN, LISTENER, MANUAL, imported, line, objects, spec
from tubepost_importer.convert import Wishes
from tubepost_importer.report import Verdict


def test_the_manuals_sample() -> None:
    assert objects(imported(MANUAL)) == {
        "PushDomain/push": {
            "domains": [
                {
                    "name": "apn_example.com",
                    "delivery": {"maxOutboundConnections": 20, "responseTimeout": "1s"},
                }
            ],
            "routes": ["apns"],
            "listener": {"mcmtReception": "Allow"},
            "service": {"port": 25},
            "loggers": ["apn-logger1"],
        },
        "ApnRoute/apns": {
            "environment": "Production",
            "certificate": {"secretName": "apns-certificate"},
            "tls": {"ciphers": "DEFAULT"},
        },
        "ApnLogger/apn-logger1": {"sink": {"type": "Stdout"}, "heartbeat": "1m"},
    }


def test_global_values_are_the_push_domains_and_a_domains_own_differ() -> None:
    found = spec(
        f"""{LISTENER}
        max_outbound_connections = 40
        suspend_delivery = true
        domain "a.example" {{ {APN} max_outbound_connections = 2 generate_bounces = false }}
        domain "b.example" {{ {APN} }}
        """
    )
    assert found["delivery"] == {"maxOutboundConnections": 40, "mode": "Suspend"}
    assert found["domains"] == [
        {"name": "a.example", "delivery": {"maxOutboundConnections": 2}, "bounces": {"enabled": False}},
        {"name": "b.example"},
    ]


def test_push_in_the_global_scope_serves_every_domain() -> None:
    found = spec(
        f'{LISTENER}{APN}\ndomain "a.example" {{ apn_expiry = 60 }}\ndomain "m.example" {{ delivery_method = smtp }}'
    )
    assert [d.get("name") or d["pattern"] for d in found["domains"]] == ["a.example", ".+"]
    assert found["routes"] == ["apns"]


def test_expressions_follow_names_in_their_order() -> None:
    found = spec(
        f'{LISTENER}domain "/b$/" {{ {APN} }}\ndomain "/^c/" {{ {APN} apn_expiry = 5 }}\ndomain "ab" {{ {APN} }}'
    )
    assert [d.get("name") or d["pattern"] for d in found["domains"]] == ["ab", ".*b", "c.*"]


def test_what_a_later_expression_would_add_needs_a_hand() -> None:
    result = imported(f'{LISTENER}domain "/b$/" {{\n{APN}\n}}\ndomain "/^c/" {{\n{APN}\napn_expiry = 5\n}}')
    assert "took from there: apn_expiry" in "".join(line(result, 'domain "/b$/"').notes)
    assert line(result, 'domain "/^c/"').verdict is Verdict.CONVERTED


def test_a_queue_takes_the_schedule_over() -> None:
    text = f"{LISTENER}retry_interval = 600\nmessage_expiration = 7200\ndomain a.example {{ {APN} }}"
    queued = spec(text, Wishes(queued=True))
    assert queued["delivery"] == {"retryInterval": "10m", "messageExpiration": "2h"}
    assert (queued["acceptance"], queued["queue"]) == ({"mode": "Queued"}, {"disk": {"claim": {}}})
    direct = imported(text)
    assert "delivery" not in objects(direct)["PushDomain/push"]
    assert "--acceptance Queued" in "".join(line(direct, "retry_interval").notes)


def test_an_idle_timeout_that_is_too_short_is_left_out() -> None:
    text = f"{LISTENER}domain a.example {{\n{APN}\nidle_timeout = 60\ndelivery_response_timeout = 60000\n}}"
    result = imported(text)
    assert result.report.problems == ()
    assert "longer than delivery_response_timeout" in "".join(line(result, "idle_timeout").notes)


def test_values_that_exclude_each_other_make_no_manifests() -> None:
    text = f"{LISTENER}retry_interval = 7200\nmax_retry_interval = 60\ndomain a.example {{ {APN} }}"
    result = imported(text, Wishes(queued=True))
    assert result.manifests == ""
    assert any("maxRetryInterval" in problem for problem in result.report.problems)


def test_a_fault_makes_no_manifests_and_the_rest_is_reported() -> None:
    result = imported(MANUAL + "what is this\n")
    assert result.manifests == ""
    assert [str(fault.place) for fault in result.report.faults] == ["e.conf:32:1"]
    assert len(result.report.lines) == len(imported(MANUAL).report.lines) + 1


def test_without_pushes_there_is_nothing_to_make() -> None:
    result = imported(f'{LISTENER}domain "m.example" {{\nmax_retries = 3\n}}')
    assert result.manifests == ""
    assert "delivery_method" in result.report.notes[0]
    assert line(result, "max_retries").verdict is Verdict.NO_COUNTERPART


@pytest.mark.parametrize(
    ("text", "begins", "verdict", "note"),
    [
        ('binding "x" {\nbind_address = 1.2.3.4\n}', "binding", Verdict.BY_HAND, "decided by a script"),
        ('binding "default" {\nmax_retries = 1\n}', "binding", Verdict.NO_COUNTERPART, "no script assigns"),
        ('scriptlet "s" {\nscript "x" { source = "x" }\n}', "scriptlet", Verdict.BY_HAND, "hook in Python"),
        ("ac_auth {}", "ac_auth", Verdict.BY_HAND, "listener.auth"),
        ("security {\nuser = x\n}", "user", Verdict.NO_COUNTERPART, "part of security"),
        ("http_listener {}", "http_listener", Verdict.NO_COUNTERPART, "spec.rest"),
        ("mystery {}", "mystery", Verdict.BY_HAND, "does not know"),
        ("mystery = 1", "mystery", Verdict.BY_HAND, "does not know"),
        ("hostname = x", "hostname", Verdict.NO_COUNTERPART, "mail"),
        (
            'domain "10.0.0.1" { delivery_method = apn\nmax_retries = 1 }',
            "domain",
            Verdict.BY_HAND,
            "IP address",
        ),
        ('domain "/(?=a)/" {\ndelivery_method = apn\n}', "domain", Verdict.BY_HAND, "lookahead"),
        ('include "nowhere.conf"', "include", Verdict.BY_HAND, "no such file"),
        ("delivery_method = ( apn )", "delivery_method", Verdict.BY_HAND, "not a list"),
        ("apn {\nenabled = false\n}", "apn", Verdict.BY_HAND, "Suspend"),
        ("apn {\ndebug_level = loud\n}", "debug_level", Verdict.BY_HAND, "no level"),
        ("apn {\nqueue = 1\n}", "queue", Verdict.NO_COUNTERPART, "every dispatcher"),
        ('pathway "unused" {\nidle_time = 3\n}', "pathway", Verdict.NO_COUNTERPART, "no listener"),
    ],
)
def test_what_stays_outside(text: str, begins: str, verdict: Verdict, note: str) -> None:
    result = imported(f"{LISTENER}domain a.example {{ {APN} }}\n{text}\n")
    (found,) = [one for one in result.report.lines if one.source.startswith(begins) and one.first > 2]
    assert (found.verdict, note in "".join(found.notes)) == (verdict, True), found


@pytest.mark.parametrize(
    ("level", "expected"), [("DEBUG", "Debug"), ("notice", "Info"), ("critical", "Error")]
)
def test_the_level_of_the_log(level: str, expected: str) -> None:
    assert (
        spec(f'{LISTENER}domain a.example {{ {APN} }}\napn "apn1" {{ debug_level = "{level}" }}')["logLevel"]
        == expected
    )


def test_includes_count_where_they_stand() -> None:
    found = spec(
        f'{LISTENER}domain a.example {{ include "inner.conf" }}', inner_conf=APN + " apn_expiry = 60"
    )
    assert found["domains"] == [{"name": "a.example", "delivery": {"expiry": "1m"}}]


def test_the_namespace_and_the_name_are_the_users() -> None:
    result = imported(MANUAL, Wishes(namespace="push-prod", name="alerts"))
    assert "PushDomain/alerts" in objects(result)
    assert result.manifests.count("namespace: push-prod\n") == 3
    assert "--namespace=push-prod" in result.report.secrets[0].command


def test_more_domains_than_a_push_domain_takes_are_told() -> None:
    text = LISTENER + APN.replace('delivery_method = "apn"', "") + "\n"
    text += "".join(f"domain d{n}.example {{ delivery_method = apn }}\n" for n in range(258))
    result = imported(text)
    assert result.report.problems == ()
    assert len(objects(result)["PushDomain/push"]["domains"]) == 256
    assert result.report.count(Verdict.BY_HAND) == 2


def test_without_a_listener_there_is_the_default_one() -> None:
    result = imported(f"domain a.example {{ {APN} }}")
    assert "listener" not in objects(result)["PushDomain/push"]
    assert any("no esmtp_listener" in note for note in result.report.notes)
