from __future__ import annotations

import pytest

from tubepost_api.endpoint import HOSTS, Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://apns.example", Endpoint("apns.example", 443, None)),
        ("https://APNs.example:8443/", Endpoint("apns.example", 8443, None)),
        ("https://127.0.0.1:1", Endpoint("127.0.0.1", 1, None)),
        ("https://[::1]:8443", Endpoint("::1", 8443, None)),
        ("https://api.push.apple.com:2197", Endpoint("api.push.apple.com", 2197, "Production")),
        ("https://api.sandbox.push.apple.com", Endpoint("api.sandbox.push.apple.com", 443, "Sandbox")),
        (
            "https://api.development.push.apple.com",
            Endpoint("api.development.push.apple.com", 443, "Sandbox"),
        ),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("scheme", ["apn", "http"])
@pytest.mark.parametrize("rest", ["", "?port=2195", "/?port=2195", ":2195", "/"])
def test_legacy_gateways_lead_to_the_http2_service(scheme: str, rest: str) -> None:
    production = parse_endpoint(f"{scheme}://gateway.push.apple.com{rest}")
    sandbox = parse_endpoint(f"{scheme}://gateway.sandbox.push.apple.com{rest}")
    assert production == Endpoint(HOSTS["Production"], 443, "Production", legacy=True)
    assert sandbox == Endpoint(HOSTS["Sandbox"], 443, "Sandbox", legacy=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "apns.example",
        "http://apns.example",
        "https://",
        "https://a b",
        "https://a:0",
        "https://a:65536",
        "https://a/3/device",
        "https://u:p@a",
        "https://[::1",
        "https://[::g]",
        "https://[1:2:3]",
        "apn://gateway.push.apple.com?port=2196",
        "apn://feedback.push.apple.com",
        "apn://apns.example?port=2195",
        "https://a\n",
    ],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text)
