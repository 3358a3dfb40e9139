from __future__ import annotations

import pytest
from pydantic import ValidationError

from tubepost_api.tracing import TracingSpec


@pytest.mark.parametrize(
    "endpoint",
    ["http://collector:4318", "https://otlp.example.com", "http://[2001:db8::1]:4318/base", "http://a.b/c/"],
)
def test_addresses_of_receivers(endpoint: str) -> None:
    assert TracingSpec(endpoint=endpoint).sample_percent == 100


@pytest.mark.parametrize(
    "endpoint",
    ["collector:4318", "grpc://collector:4317", "http://collector:99999", "http://u:p@h", "http://h?k=v"],
)
def test_what_is_no_address_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match=r"base address of an OTLP receiver|does not exist"):
        TracingSpec(endpoint=endpoint)


@pytest.mark.parametrize("percent", [0, 101])
def test_percent_are_percent(percent: int) -> None:
    with pytest.raises(ValidationError):
        TracingSpec(endpoint="http://collector:4318", sample_percent=percent)
