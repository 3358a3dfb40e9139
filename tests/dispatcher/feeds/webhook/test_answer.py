from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.feeds.webhook.answer import MOST_WAIT, Verdict, judge

DATE = b"Thu, 01 Jan 2026 00:01:00 GMT"
WALL = 1767225600.0


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((200, 201, 202, 204), Verdict.TAKEN),
        ((301, 302, 307, 308), Verdict.AGAIN),
        ((401, 403, 404, 405, 407, 410), Verdict.AGAIN),
        ((408, 425, 429, 500, 502, 503, 504, 599), Verdict.AGAIN),
        ((400, 406, 415, 418, 422), Verdict.REFUSED),
        ((413,), Verdict.SMALLER),
    ],
)
def test_what_a_status_means(statuses: tuple[int, ...], verdict: Verdict) -> None:
    assert {judge(status, b"", b"", WALL).verdict for status in statuses} == {verdict}


@pytest.mark.parametrize(
    ("value", "wait"),
    [(b"", 0.0), (b"7", 7.0), (DATE, 60.0), (b"soon", 0.0), (b"999999", MOST_WAIT), (b"-1", 0.0)],
)
def test_retry_after_is_seconds_or_a_date_and_bounded(value: bytes, wait: float) -> None:
    assert judge(503, value, b"", WALL).wait == wait


def test_what_it_says_is_told_without_our_secrets_or_tokens() -> None:
    said = b"no: Bearer abc \x1b[2K\n" + b"my-own-secret " + b"ab" * 32
    text = judge(500, b"", said, WALL, "my-own-secret").text
    assert text.startswith("it answered 500: no: ")
    assert text.isprintable()
    assert not any(secret in text for secret in ("abc", "my-own-secret", "ab" * 20))
    assert "final URL" in judge(302, b"", b"", WALL).text


@given(st.integers(200, 599), st.binary(max_size=40), st.binary(max_size=200))
def test_nothing_that_it_says_is_a_fault_here(status: int, retry_after: bytes, body: bytes) -> None:
    found = judge(status, retry_after, body, WALL)
    assert 0.0 <= found.wait <= MOST_WAIT
    assert found.text.isprintable()
    assert (found.text == "") == (found.verdict is Verdict.TAKEN)
