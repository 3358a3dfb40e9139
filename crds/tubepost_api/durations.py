"""Durations and sizes as the manifests write them."""

from __future__ import annotations

import re

DURATION_PATTERN = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|μs|ms|s|m|h))+)$"
"""Go durations without a sign; the CRDs use the same pattern. Source: Go's time.ParseDuration."""

SIZE_PATTERN = r"^[0-9]{1,15}(k|M|G|T|Ki|Mi|Gi|Ti)?$"
"""Whole Kubernetes quantities of bytes; the CRDs use the same pattern."""

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LARGEST = 2**63 - 1
_WHOLE = re.compile(DURATION_PATTERN)
_PIECE = re.compile(r"([0-9]+)(?:\.([0-9]+))?([a-zµμ]+)")
_SIZE = re.compile(SIZE_PATTERN)
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_FACTORS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def parse_nanoseconds(text: str) -> int:
    """Read a Go duration such as `1h30m` or `250ms`, as whole nanoseconds.

    Raises:
        ValueError: not a duration, negative, or more than Go's 64 bits hold (about 292 years).
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration")
    total = 0
    for whole, fraction, unit in _PIECE.findall(text):
        total += int(whole) * _UNITS[unit]
        if fraction:
            # Go cuts what is below a nanosecond, too.
            total += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
    if total > _LARGEST:
        raise ValueError(f"{text!r} is longer than a duration can be (292 years)")
    return total


def parse_duration(text: str) -> float:
    """Read a Go duration such as `5s`, `1h30m`, `250ms` or `0s`, as seconds.

    Raises:
        ValueError: not a duration, negative, or more than Go's 64 bits hold (about 292 years).
    """
    return parse_nanoseconds(text) / 1e9


def parse_size(value: int | str) -> int:
    """Read a number of bytes: an integer, or a quantity such as `64Ki` or `100Mi`.

    Raises:
        ValueError: negative, or not a quantity.
    """
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value
    quantity = _SIZE.fullmatch(value)
    if quantity is None:
        raise ValueError(f"{value!r} is not a size")
    unit = quantity[1] or ""
    return int(value.removesuffix(unit)) * _FACTORS[unit]
