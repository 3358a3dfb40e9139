from __future__ import annotations

import json
from typing import Any

import pytest

from tubepost_api.delivery import DeliverySpec
from tubepost_importer.delivery import OPTIONS, NotConverted
from tubepost_importer.parser import Parser
from tubepost_importer.syntax import Option


def convert(text: str) -> Any:
    (option,) = Parser("e", text).statements
    assert isinstance(option, Option)
    made = OPTIONS[option.name](option)
    return ".".join(made.path), made.value


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("delivery_response_timeout = 1000", "delivery.responseTimeout", "1s"),
        ("delivery_response_timeout = 1500", "delivery.responseTimeout", "1500ms"),
        ("connect_timeout = 300", "delivery.connectTimeout", "5m"),
        ("idle_timeout = 7200", "delivery.idleTimeout", "2h"),
        ("max_outbound_connections = 20", "delivery.maxOutboundConnections", 20),
        ("max_deliveries_per_connection = 0", "delivery.maxDeliveriesPerConnection", 0),
        ('outbound_throttle_messages = "1/60"', "delivery.throttle", "1/60"),
        ("outbound_throttle_messages = 10", "delivery.throttle", "10"),
        ("apn_expiry = 0", "delivery.expiry", "0s"),
        ("apn_expiry = 604800", "delivery.expiry", "168h"),
        ("retry_interval = 1200", "delivery.retryInterval", "20m"),
        ("max_retry_interval = 43201", "delivery.maxRetryInterval", "43201s"),
        ('max_retries = "AUTO"', "delivery.maxRetries", "auto"),
        ("max_retries = 5", "delivery.maxRetries", 5),
        ("message_expiration = 86400", "delivery.messageExpiration", "24h"),
        ("suspend_delivery = TRUE", "delivery.mode", "Suspend"),
        ("blackhole = internal", "delivery.mode", "Blackhole"),
        ("blackhole = inline", "delivery.mode", "Refuse"),
        ('blackhole = "true"', "delivery.mode", "Refuse"),
        ("generate_bounces = false", "bounces.enabled", False),
    ],
)
def test_converted(text: str, field: str, value: object) -> None:
    assert convert(text) == (field, value)
    place, _, name = field.partition(".")
    if place == "delivery":
        DeliverySpec.model_validate_json(json.dumps({name: value}))


@pytest.mark.parametrize(
    ("text", "by_hand", "why"),
    [
        ("suspend_delivery = false", False, "default"),
        ("blackhole = no", False, "default"),
        ("generate_delay_dsn = false", False, "default"),
        ("generate_delay_dsn = true", True, "bounces.relay"),
        ("idle_timeout = 10", True, "1h is kept"),
        ("delivery_response_timeout = 0", True, "5s"),
        ("connect_timeout = soon", True, "not a whole number"),
        ("max_outbound_connections = 99999999", True, "more than 1000000"),
        ("outbound_throttle_messages = fast", True, "not a throttle"),
        ("blackhole = perhaps", True, "neither true nor false"),
        ("max_retries = ( 1 )", True, "not a list"),
        ("retry_interval = 0", True, "20m"),
    ],
)
def test_not_converted(text: str, by_hand: bool, why: str) -> None:
    with pytest.raises(NotConverted, match=why) as refused:
        convert(text)
    assert refused.value.by_hand == by_hand
