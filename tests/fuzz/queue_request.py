"""Requests of the admin API about the queue: parameters and bodies.

What is asked for is read, or refused in one short printable line; what was read can be written and is read
back as the same; nothing without a filter is taken for everything; a filter in a log line is one printable
line.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from tests.fuzz.target import Target
from tubepost_dispatcher.queue_request import (
    NEEDS_REASON,
    Action,
    Change,
    Query,
    RequestRefused,
    read_change,
    read_query,
)

_ACTIONS = tuple(Action)


def run(data: bytes) -> None:
    """Byte 0: parameters, or the body of which action. Then the text."""
    kind, text = data[0] if data else 0, data[1:].decode("utf-8", "surrogateescape")
    if kind & 4:
        _parameters(
            parse_qsl(text, keep_blank_values=True, max_num_fields=500) if text.count("&") < 500 else []
        )
    else:
        _body(_ACTIONS[kind & 3], text)


def _parameters(pairs: list[tuple[str, str]]) -> None:
    try:
        query = read_query(pairs)
    except RequestRefused as refused:
        _check_refusal(refused)
        return
    written = [*query.selection.query(), ("limit", str(query.limit))]
    if query.cursor is not None:
        written.append(("cursor", str(query.cursor)))
    assert read_query(written) == query
    _check_words(query)


def _body(action: Action, text: str) -> None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    try:
        change = read_change(action, document)
    except RequestRefused as refused:
        _check_refusal(refused)
        return
    assert change.selection.everything == (document.get("all") is True), "nobody asked for everything"
    assert change.dry_run or change.reason or action not in NEEDS_REASON
    chosen: dict[str, Any] = {name: value for name, value in change.selection.query() if name != "id"}
    if change.selection.held is not None:
        chosen["held"] = change.selection.held
    written: dict[str, Any] = {"dryRun": change.dry_run, "reason": change.reason, "by": change.by}
    written |= (
        {"all": True}
        if change.selection.everything
        else {"filter": {**chosen, "id": [*change.selection.ids]}}
    )
    if change.cursor is not None:
        written["cursor"] = str(change.cursor)
    assert read_change(action, written) == change
    _check_words(change)


def _check_refusal(refused: RequestRefused) -> None:
    assert str(refused).isprintable()
    assert 10 < len(str(refused)) < 400


def _check_words(asked: Change | Query) -> None:
    assert str(asked.selection).isprintable()
    if isinstance(asked, Change):
        assert (asked.by + asked.reason).isprintable()


TARGET = Target(
    run,
    2_048,
    (
        b"\0" + b'{"filter":{"domain":"a.example","olderThan":"2h30m"},"reason":"why","by":"alice"}',
        b"\1" + b'{"all":true,"dryRun":false,"reason":"why","cursor":"1800000000250-3-99"}',
        b"\2" + b'{"filter":{"id":["m1","m2"],"held":true},"dryRun":true}',
        b"\3" + b'{"filter":{"id":"m1","sender":"","lastReason":"Shutdown","route":"blue"},"dryRun":false}',
        b"\3" + '{"filter":{"sender":"\u00fc\u202e"},"dryRun":false,"reason":"w"}'.encode(),
        b"\4" + b"domain=a.example&olderThan=90s&youngerThan=1.5h&held=false&limit=7&cursor=1-0-",
        b"\4" + b"id=a&id=b&sender=&route=%ff&lastReason=%0a",
        b"\4" + b"domain=a&domain=b",
    ),
    (
        b'"filter"', b'"all"', b'"dryRun"', b'"reason"', b'"by"', b'"cursor"', b'"id"', b'"held"', b'"domain"',
        b'"olderThan"', b'"youngerThan"', b'"lastReason"', b"true", b"false", b"null", b"[]", b"{}", b"olderThan=",
        b"cursor=", b"limit=", b"held=", b"id=", b"&", b"%00", b"-", b"9223372036854775808", b"1e999", b"h", b"ms",
    ),
)  # fmt: skip
