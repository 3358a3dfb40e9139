from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tubepost_api.durations import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    parse_duration,
    parse_nanoseconds,
    parse_size,
)

UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("0s", 0.0),
        ("5s", 5.0),
        ("1000ms", 1.0),
        ("168h", 604_800.0),
        ("1h30m", 5_400.0),
        ("1.5h", 5_400.0),
        ("2m0.25s", 120.25),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1\u03bcs", 1e-6),
        ("3ns", 3e-9),
        ("1.9ns", 1e-9),  # Go cuts as well
        ("1m1m", 120.0),
    ],
)
def test_durations_of_go(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        " 5s",
        "5s ",
        "5 s",
        "5S",
        "1d",
        ".5s",
        "1.s",
        "5s\n",
        "\u0665s",
        "2562047h48m",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_the_longest_duration_of_go() -> None:
    assert parse_nanoseconds("2562047h47m16.854775807s") == 2**63 - 1


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=6))
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_nanoseconds(text) == sum(number * UNITS[unit] for number, unit in parts)


@given(st.text(alphabet="0123456789.nuµmsh-", max_size=12))
def test_the_pattern_of_the_crd_says_the_same(text: str) -> None:
    if re.fullmatch(DURATION_PATTERN, text):
        assume(len(text) < 8)  # longer ones may be longer than 292 years
        assert parse_nanoseconds(text) >= 0
    else:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_nanoseconds(text)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (65_536, 65_536),
        ("10", 10),
        ("64Ki", 65_536),
        ("1k", 1000),
        ("100Mi", 104_857_600),
        ("2G", 2 * 10**9),
        ("1Gi", 2**30),
        ("3M", 3 * 10**6),
    ],
)
def test_sizes(value: int | str, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", [-1, "", "-1", "1.5Mi", "1KB", "1 Mi", "Mi", "1e3", "1mi"])
def test_what_is_no_size(value: int | str) -> None:
    with pytest.raises(ValueError):
        parse_size(value)
    assert isinstance(value, int) or not re.fullmatch(SIZE_PATTERN, value)
