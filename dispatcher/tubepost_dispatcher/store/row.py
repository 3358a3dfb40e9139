"""A row of the queue: its columns, what a filter asks of it, and whether it is as it was written. Pure."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tubepost_dispatcher.store.port import Count, Entry, Filter, Kept

FRESH: Final = "key, message_id, domain, sender, accepted, due, expires, attempt, lane, crc, body"
"""Columns of an entry that was not tried yet. Each value that is bound costs time."""
COLUMNS: Final = f"{FRESH}, reason, route, hold"
READ: Final = (
    "key, CAST(message_id AS BLOB), CAST(domain AS BLOB), CAST(sender AS BLOB), accepted, due, expires,"
    " attempt, lane, crc, CAST(body AS BLOB), CAST(reason AS BLOB), CAST(route AS BLOB), CAST(hold AS BLOB)"
)
"""Text is read as bytes: damaged text need not be UTF-8."""
GROUP: Final = "domain, route, reason, hold"
COUNTED: Final = (
    "CAST(domain AS BLOB), CAST(route AS BLOB), CAST(reason AS BLOB), CAST(hold AS BLOB),"
    " count(*), sum(due <= ?), min(accepted), sum(length(body))"
)
"""What `counted` reads of a group."""
_PACKED: Final = struct.Struct("<qqdd").pack


@functools.cache
def insert(rows: int, *, fresh: bool, conflict: str) -> str:
    """The statement that inserts so many rows; `conflict` is ABORT, REPLACE or IGNORE."""
    columns = FRESH if fresh else COLUMNS
    row = "(" + ",".join("?" * (columns.count(",") + 1)) + ")"
    return f"INSERT OR {conflict} INTO queue({columns}) VALUES {','.join([row] * rows)}"  # noqa: S608 - constants


def values_of(rows: Iterable[tuple[int, Entry]], *, fresh: bool) -> list[Any]:
    """What is bound for rows, in the order of `FRESH` or `COLUMNS`."""
    # This is done for every message of a queue: taking an entry apart at once is faster than by its names.
    bound: list[Any] = []
    for key, entry in rows:
        body, message_id, domain, sender, accepted, due, expires, attempt, reason, route, hold, lane = entry
        crc = _checksum(key, lane, due, expires, body)
        bound += (key, message_id, domain, sender, accepted, due, expires, attempt, lane, crc, body)
        if not fresh:
            bound += (reason, route, hold)
    return bound


def is_fresh(rows: Iterable[tuple[int, Entry]]) -> bool:
    """Whether none of them has more than the columns of `FRESH`."""
    for _, entry in rows:
        *_, reason, route, hold, _ = entry
        if reason or route or hold:
            return False
    return True


def condition(which: Filter, start: int, upper: int | None) -> tuple[str, list[Any]]:
    """The condition of what a filter names between two keys, and its values."""
    wanted: list[tuple[str, Any]] = [
        ("key > ?", start),
        ("key <= ?", upper),
        ("domain = ?", which.domain),
        ("sender = ?", which.sender),
        ("reason = ?", which.reason),
        ("accepted < ?", which.accepted_before),
        ("accepted >= ?", which.accepted_after),
        ("route = ?", which.route),
        ("(hold <> '') = ?", None if which.held is None else int(which.held)),
    ]
    wanted = [(term, value) for term, value in wanted if value is not None]
    terms, values = [term for term, _ in wanted], [value for _, value in wanted]
    if which.message_ids is not None:
        terms.append(f"message_id IN ({','.join('?' * len(which.message_ids))})")
        values += which.message_ids
    return " AND ".join(terms), values


def _checksum(key: int, lane: int, due: float, expires: float, body: bytes) -> int:
    # The body has the other columns too.
    return zlib.crc32(_PACKED(key, lane, due, expires), zlib.crc32(body))


def sound(rows: list[tuple[Any, ...]]) -> tuple[list[Kept], list[int]]:
    """What is as it was written, and the keys of the rest."""
    good: list[Kept] = []
    bad: list[int] = []
    for (
        key,
        message_id,
        domain,
        sender,
        accepted,
        due,
        expires,
        attempt,
        lane,
        crc,
        body,
        reason,
        route,
        hold,
    ) in rows:
        try:
            if _checksum(key, lane, due, expires, body) != crc:
                bad.append(key)
                continue
            good.append(
                Kept(
                    key,
                    Entry(
                        body, message_id.decode(), domain.decode(), sender.decode(),
                        accepted, due, expires, attempt, reason.decode(), route.decode(), hold.decode(), lane,
                    ),
                )
            )  # fmt: skip
        except (struct.error, TypeError, ValueError, AttributeError):
            bad.append(key)
    return good, bad


def counted(row: Sequence[Any]) -> Count:
    """What `COUNTED` selects."""
    domain, route, reason, hold = (text.decode("utf-8", "replace") for text in row[:4])
    return Count(domain, route, reason, hold, *row[4:])
