"""Words of sentences that users read."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """`1 error`, `2 errors`, `1,000 errors`: a figure and what it counts.

    Args:
        count: how many.
        one: the word for one.
        many: the word for several; empty: `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"
