from __future__ import annotations

import json

import pytest

from tubepost_api.config import DeliveryConfig, DeliveryMode, Throttle
from tubepost_api.delivery import (
    DeliveryOverride,
    DeliverySpec,
    keeps_intervals,
    keeps_order,
    merged,
    to_config,
)


def spec(**values: object) -> DeliverySpec:
    return DeliverySpec.model_validate_json(json.dumps(values))


def override(**values: object) -> DeliveryOverride:
    return DeliveryOverride.model_validate_json(json.dumps(values))


def test_the_defaults_are_those_of_the_config() -> None:
    assert to_config(DeliverySpec()) == DeliveryConfig()


def test_an_override_has_every_option() -> None:
    assert set(DeliveryOverride.model_fields) == set(DeliverySpec.model_fields)


def test_an_override_takes_what_the_spec_takes() -> None:
    own, optional = (model.model_json_schema(by_alias=True) for model in (DeliverySpec, DeliveryOverride))
    for name, field in own["properties"].items():
        value = {key: part for key, part in field.items() if key not in {"default", "description", "title"}}
        choices = optional["properties"][name]["anyOf"]
        assert choices == [value, {"type": "null"}], name
        assert optional["properties"][name]["default"] is None


def test_merging_takes_what_is_set_and_only_that() -> None:
    base = spec(mode="Suspend", expiry="1h")
    assert merged(base, None) == base
    assert merged(base, override()) == base
    assert merged(base, override(maxOutboundConnections=0, mode="Deliver")) == spec(
        mode="Deliver", expiry="1h", maxOutboundConnections=0
    )
    assert to_config(merged(base, override(mode="Blackhole"))).mode is DeliveryMode.BLACKHOLE


@pytest.mark.parametrize(
    ("text", "throttle"),
    [
        ("0", None),
        ("0/60", None),
        ("5", Throttle(messages=5, seconds=1)),
        ("5/60", Throttle(messages=5, seconds=60)),
    ],
)
def test_throttles(text: str, throttle: Throttle | None) -> None:
    assert to_config(spec(throttle=text)).throttle == throttle


@pytest.mark.parametrize(("written", "read"), [("auto", None), ("none", None), (0, 0), (7, 7)])
def test_retries(written: object, read: int | None) -> None:
    assert to_config(spec(maxRetries=written)).max_retries == read


def test_order_of_intervals() -> None:
    base = spec(retryInterval="5s", maxRetryInterval="1m")
    assert keeps_intervals(base, None)
    assert keeps_intervals(base, override(retryInterval="60s"))
    assert not keeps_intervals(base, override(retryInterval="61s"))
    assert not keeps_intervals(base, override(maxRetryInterval="4s"))
    assert keeps_intervals(base, override(retryInterval="2m", maxRetryInterval="3m"))


def test_order_of_timeouts() -> None:
    base = spec(responseTimeout="5s", idleTimeout="1m")
    assert keeps_order(base, None)
    assert not keeps_order(base, override(responseTimeout="60s"))
    assert not keeps_order(base, override(idleTimeout="5s"))
    assert keeps_order(base, override(responseTimeout="60s", idleTimeout="61s"))
