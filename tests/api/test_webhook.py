from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.api.manifests import compiled, logger, push_domain, route
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config_logger import FilterConfig, LoggedOutcome, LoggerConfig, WebhookConfig
from tubepost_api.webhook import WebhookSpec, webhook_config

URL = "https://events.example/in"


def test_the_defaults_are_those_of_the_document() -> None:
    assert webhook_config(WebhookSpec.model_validate({"url": URL})) == WebhookConfig(url=URL)


def test_a_logger_with_a_webhook_and_a_filter_arrives() -> None:
    webhook = {
        "url": URL,
        "authorization": {"secretName": "events", "key": "authorization"},
        "batchSize": 10,
        "batchInterval": "250ms",
        "maxSize": "1Mi",
    }
    config = compiled(
        push_domain(loggers=["log"]),
        route(),
        logger(
            sink={"type": "Webhook", "webhook": webhook},
            filter={"outcomes": ["Permanent"], "reasons": ["Unregistered"]},
        ),
    ).config
    assert config is not None
    assert config.loggers == (
        LoggerConfig(
            name="log",
            webhook=WebhookConfig(
                url=URL,
                authorization=SecretKeyRef(secret="events", key="authorization"),
                batch_size=10,
                batch_interval=0.25,
                max_size=1024 * 1024,
            ),
            filter=FilterConfig(outcomes=(LoggedOutcome.PERMANENT,), reasons=("Unregistered",)),
        ),
    )
    assert config.secret_names() == {"cert", "events"}


@pytest.mark.parametrize(
    "url", ["https://events.example:0", "http://[::1]:99999/in", "https://events.example:65536/"]
)
def test_a_port_that_does_not_exist_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"port [0-9]+ does not exist"):
        WebhookSpec.model_validate({"url": url})


@pytest.mark.parametrize(
    "url", ["http://[::1]", "http://[::1]:80", "https://a:1/b:c@d", "https://a_b.example/?x=y"]
)
def test_addresses_that_exist(url: str) -> None:
    assert WebhookSpec.model_validate({"url": url}).url == url


def test_what_is_refused_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        WebhookSpec.model_validate({"url": "https://user:hush-hush@events.example"})
    assert "hush-hush" not in str([error["msg"] for error in refused.value.errors()])
