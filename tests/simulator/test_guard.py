from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_simulator.guard import HEADERS, host_refusal, origin_refusal


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "LOCALHOST:2198",
        "127.0.0.1:2198",
        "10.2.3.4",
        "[::1]:2198",
        "[fd00::7]",
        "tubepost-simulator:2198",
        "tubepost-simulator.push.svc",
        "tubepost-simulator.push.svc.cluster.local.:2198",
        "box.home.arpa",
    ],
)
def test_hosts_that_nobody_can_register(host: str) -> None:
    assert host_refusal(host) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "evil.example.com:2198",
        "127.0.0.1.evil.example.com",
        "localhost.evil.com",
        "[evil.com]",
        "[::1].evil.com",
        "::1",
        "a b",
        "evil.com:80:80",
        "é.com",
        "/",
    ],
)
def test_hosts_that_are_refused(host: str) -> None:
    assert "--allowed-host" in host_refusal(host)


def test_names_can_be_allowed() -> None:
    assert host_refusal("push.example.com:80", ["Push.example.com"]) == ""
    assert host_refusal("other.example.com", ["push.example.com"]) != ""
    assert host_refusal("whatever.example.com", ["*"]) == ""


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({"Host": "localhost:2198", "Origin": "http://localhost:2198"}, False),
        ({"Host": "localhost:2198", "Origin": "http://localhost:2198", "Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Host": "localhost:2198", "Origin": "http://evil.example.com"}, True),
        ({"Host": "localhost:2198", "Origin": "http://localhost:3000"}, True),
        ({"Host": "localhost:2198", "Origin": "null"}, True),
        ({"Host": "localhost:2198", "Origin": "http://["}, True),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
    ],
)  # fmt: skip
def test_who_may_change_something(headers: dict[str, str], refused: bool) -> None:
    assert bool(origin_refusal(headers)) is refused


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_header_holds_the_answer_is_words(host: str, origin: str) -> None:
    assert len(host_refusal(host)) < 1000
    assert len(origin_refusal({"Origin": origin, "Host": host})) < 1000


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
