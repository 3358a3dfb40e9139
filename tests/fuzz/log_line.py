"""Format strings of loggers, and the lines that come of them, with any text in every field.

A format compiles or is refused with a reason; a line is one printable line that `split_line` takes apart
into what the format has; a JSON line is one object of the fields that the reference names; the device token
stands whole only where the format has `%dt`, or in `deadToken`.
"""

from __future__ import annotations

import json

from tests.fuzz.target import Target, fields
from tubepost_api.logformat import FormatError, Macro, parse_format
from tubepost_dispatcher.feeds.events import EVENT_KINDS, LogEvent
from tubepost_dispatcher.feeds.format import compile_format, split_line
from tubepost_dispatcher.feeds.json_format import FIELDS, json_line

_NAMES = frozenset(field.name for field in FIELDS)
_TOKENS = ("a1b2c3d4" * 8, "0123456789abcdef" * 5, "beef" * 25, "")
_COUNT = 13
_PLACES = (1, 2, 4, 5, 6, 7, 8, 9)
"""Values that a sender can put a token into: a domain's label is shorter, ids and routes are ours, and a
reason is cleaned where it enters."""


def run(data: bytes) -> None:
    """Byte 0: kind, byte 1: token, byte 2: where the token stands too. Then the format and the values."""
    kind, which, places = (*data[:3], 0, 0, 0)[:3]
    texts = [
        part.decode("utf-8", "surrogatepass" if which & 64 else "replace") for part in _decodable(data[3:])
    ]
    token = _TOKENS[which % len(_TOKENS)]
    if token[:6] in "".join(texts).lower():
        token = ""  # a format or a name of ours may show what it likes
    if token:
        # Where senders put it: alone, with a tag, in an address.
        for bit, place in enumerate(_PLACES):
            if places >> bit & 1:
                value = texts[place]
                texts[place] = (token, f"{value}{token.upper()}", f"b+{token}@{value}", f"{token}@x")[
                    which >> 3 & 3
                ]
    event = _event(kind, token, texts)
    _check_format(texts[0], event, token)
    record = json.loads(line := json_line(event))
    assert set(record) <= _NAMES
    assert b"\n" not in line
    if token:
        shown = {name for name, value in record.items() if token in str(value).lower()}
        assert shown <= {"deadToken"}, shown


def _decodable(data: bytes) -> list[bytes]:
    parts = fields(data, _COUNT)
    for number, part in enumerate(parts):
        try:
            part.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            parts[number] = part.decode("latin-1").encode()
    return parts


def _event(kind: int, token: str, texts: list[str]) -> LogEvent:
    name = EVENT_KINDS[kind % 3]
    return LogEvent(
        name,
        (kind >> 2) * 1e7 + 0.25,
        source_address=texts[1],
        destination_address=texts[2],
        domain=texts[3],
        error=texts[4],
        user=texts[5],
        context={"DLV_Dest_ID": texts[7], "x": texts[8], texts[3]: texts[6]},
        topic=texts[9],
        reason=texts[10],
        message_id=texts[11],
        route=texts[12],
        device_token=token,
        http_status=410 if kind & 64 else 400,
        status=8,
        message_bytes=731,
        dead_token_timestamp=1_700_000_000_000 if kind & 128 else 0,
    )


def _check_format(text: str, event: LogEvent, token: str) -> None:
    try:
        items = parse_format(text)
    except FormatError as error:
        _check_refusal(error, text)
        return
    line = compile_format(text)(event)
    assert line.isprintable()
    line.encode()
    split = split_line(line)
    separators = sum(
        part.count("@")
        for item in items
        if not isinstance(item, Macro)
        for part in _outside_quotes(items, item)
    )
    assert len(split) == separators + 1, (text, line)
    asked = any(isinstance(item, Macro) and item.name == "dt" for item in items)
    if token and not asked:
        assert token not in line.lower(), (text, line)


def _check_refusal(error: FormatError, text: str) -> None:
    assert str(error)
    assert 0 <= error.position <= len(text)


def _outside_quotes(items: tuple[object, ...], wanted: object) -> list[str]:
    """The pieces of a literal that stand outside double quotes."""
    quoted = False
    for item in items:
        if isinstance(item, Macro):
            continue
        pieces = item.value.split('"')
        if item is wanted:
            return pieces[int(quoted) :: 2]
        quoted ^= len(pieces) % 2 == 0
    return []


def _seed(text: bytes, *values: bytes) -> bytes:
    return b"\0\0\0" + b"\xff".join((text, *values))


TARGET = Target(
    run,
    2_048,
    (
        _seed(b"%t@%i@%sa@%da@%d@%dt@%ti@%B@%b@%g@%H@%S", b"alerts@example.com", b"user", b"push.example"),
        _seed(b'%t@D@"%sa"@%da@%e', b"a@b", b'us"er', b"x\\y", "\u00fc\u202e\n".encode()),
        b"\x43\x08\xff" + b"\xff".join((b"%da %sa %vctx_mess{x}", *[b"v"] * 12)),
        _seed(
            b"%{%Y-%m-%d %H:%M:%S %f}t %vctx_mess{DLV_Dest_ID} %%",
            b"",
            b"",
            b"",
            b"e",
            b"u",
            b"c",
            b"d",
            b"x",
        ),
    ),
    (
        b"%t",
        b"%i",
        b"%sa",
        b"%da",
        b"%d",
        b"%dt",
        b"%ti",
        b"%B",
        b"%b",
        b"%g",
        b"%H",
        b"%S",
        b"%e",
        b"%%",
        b"%{%s}t",
        b"%{%Y}t",
        b"%vctx_mess{x}",
        b"%vctx_mess{DLV_Dest_ID}",
        b"@",
        b'"',
        b"\\",
        b"\\x40",
        b"\\u{202e}",
        b"\xff",
        "\u2028".encode(),
        "\u00a0".encode(),
        b"\xed\xa0\x80",
        b"\x00",
    ),
)
