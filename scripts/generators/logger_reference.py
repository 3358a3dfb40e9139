"""docs/reference/logger.md: the ApnLogger's formats, macros, escapes and JSON fields."""

from __future__ import annotations

from typing import Any

from tubepost_api.config_logger import LoggerFormats
from tubepost_api.logformat import MACROS
from tubepost_dispatcher.context import OURS
from tubepost_dispatcher.feeds.events import LogEvent
from tubepost_dispatcher.feeds.format import compile_format, split_line
from tubepost_dispatcher.feeds.json_format import FIELDS, json_line
from tubepost_dispatcher.feeds.sinks import MAX_BUFFERED, RETRY_FIRST, RETRY_MAX
from tubepost_dispatcher.text import BARE_TOKEN

_SAMPLE_TIME = 1767225600.25

_HOSTILE = '"mallory@here"\n1767225600@D@forged'

_PAGE = """\
# ApnLogger: lines and fields

<!-- Generated from tubepost_api.logformat and tubepost_dispatcher.feeds by `make generate`. -->

An ApnLogger writes one line per attempt: a delivery, a permanent failure, a transient failure; and a
heartbeat in between. A message that is refused before any attempt has one too: a permanent failure when the
message is at fault, a transient one when delivery is suspended or throttled. `format: Momentum` writes the
lines of Momentum's `apn_logger`, `format: Json` one JSON object per line.

## Formats

| Line | Default |
| --- | --- |
{formats}
A delivery by the default format:

    {delivery}

## Macros

| Macro | Stands for |
| --- | --- |
{macros}| `%%` | A percent sign. |

A device token is shown in full by `%dt` only. Where the value of `%da` or a context variable is the token
itself, or is {bare_token} hex digits or more, its first digits and `...` stand in its place.

## How values are escaped

Lines are UTF-8. Fields are separated by `@`; text between double quotes is one piece in which `@` does not
separate. So that a line can always be split back, whatever a sender put into a message:

| In a value | Is written |
| --- | --- |
| backslash, double quote | `\\\\`, `\\"` |
| `@`, outside quotes | `\\x40` |
| what cannot be printed, below U+0100: control characters, line ends, the no-break space | `\\xHH` |
| the same from U+0100 on: line and paragraph separators, bidirectional controls, unassigned characters | \
`\\u{{H...}}` |

Hex digits are lower-case. Everything else stands as it is, spaces and non-ASCII letters among it. A backslash
in the literal text of a format is written `\\\\` too. To read a line: split at each `@` outside quotes, then
drop the quotes and undo the escapes; `tubepost_dispatcher.feeds.format.split_line` does that. A sender who
gives the Return-Path

    {hostile_source}

(with a line end before the second time stamp) gets this, which is one line and has {hostile_fields} fields:

    {hostile}

## Momentum's meaning, and its parsers

Some macros never meant here what they meant in Momentum, whose manual takes each from a context variable.
`compatibility: Momentum` in the ApnLogger chooses Momentum's meaning and a form that its parsers can read:

| Macro | `compatibility: Tubepost` | `compatibility: Momentum` | Either way |
| --- | --- | --- | --- |
| `%sa` | where bounces go: Return-Path, else as on the right | DLV_Source_Addr, else MAIL FROM | `%rp` |
| `%B` | bytes of the mail as received | DLV_Msg_Length: bytes sent to APNs, or 0 | `%mb`, `%ob` |
| `%H` | the client's address | DLV_Remote_IP_Address: that of the APNs server | `%ca`, `%pa` |
| `%i`, `%t`, `%d`, `%da`, `%dt`, `%ti`, `%S`, `%e` | as in Momentum | the same | |
| `%b`, `%g` | names of ApnRoute and PushDomain, where Momentum had binding and binding group | the same | |
| `%vctx_mess{{DLV_Dest_ID}}` | shortened; Momentum wrote the token in full | the same | `%dt` |

`%S` is 0 for a delivery, where Momentum's DLV_Response_Status was empty; so is
`%vctx_mess{{DLV_Response_Status}}` here. `%e` begins with APNs' reason, a word that Momentum did not know.
Through an HTTP proxy the server's address is the proxy's.

Momentum's manual defines no escapes, so a parser written for its lines undoes none: it shows `\\x40`, `\\"`
and `\\\\` as they stand, most visibly in `%sa` of the default line of permanent failures, which is not
in quotes. With `compatibility: Momentum` values stand as they are. Only what would break the line is
replaced: what cannot be printed by a blank, a double quote inside quotes by an apostrophe. A default delivery
and permanent failure then read

    {old_delivery}
    {old_permfail}

The price is Momentum's too: an unquoted value that holds an `@`, as in the second line, makes more fields
than the format has, and a sender can choose how many. Count the fields of such a line from its end, or put
`%sa` and `%da` in quotes. With a new parser, keep `compatibility: Tubepost`.

## Context variables

`%vctx_mess{{NAME}}` and policy hooks see the variables that the sender set (header field
`X-Tubepost-Context: NAME=value`), and these, which are Tubepost's to set:

| Variable | Value |
| --- | --- |
{ours}
A sender that sets one of them is not refused: the variable is ignored, and the push part counted as
`context-reserved` in `tubepost_push_part_warnings_total`. `spec.context.addresses: Ignore` of the PushDomain
does the same for DLV_Source_Addr and DLV_Dest_Addr, with the warning `context-address-ignored`.

## JSON

| Field | Type | In | Macro | Meaning |
| --- | --- | --- | --- | --- |
{fields}
The names stay as they are; fields may be added. Order means nothing. Characters that could move a cursor,
break a line or reorder text are written as `\\uHHHH`. A dead token:

    {json}

**Dead tokens.** `deadToken` is the one place where JSON holds a device token in full: APNs said (410) that it
is dead. Take it off the recipient list, unless it was registered again after `deadTokenTimestamp`. A webhook
can send these events alone: [the feed](../feed.md).

## Writing

- Lines of one turn of the event loop leave in one write. Files are opened for appending and may be shared by
  the pod's workers; lines never mix. To a pipe, a line of up to 4096 bytes is written whole.
- A file is created with `mode`, whatever the umask; its directory must exist. At `maxSize` it becomes `.1`,
  the former `.1` becomes `.2`, up to `maxFiles` of them beside the file itself. After a rotation by something
  else, SIGHUP makes the dispatcher open its files by their names again.
- What cannot be written holds up nothing. Lines are kept, up to {buffered} MiB per logger and worker, and
  tried again after {retry_first:g} s and then ever longer, up to {retry_max:g} s.
  `tubepost_log_errors_total` counts lines that could not be written when they were due,
  `tubepost_log_lines_lost_total` those that were given up.
"""


def outputs() -> dict[str, str]:
    """The page."""
    defaults = LoggerFormats()
    delivery = compile_format(defaults.delivery)
    hostile = delivery(_event(source_address=_HOSTILE))
    dead = LogEvent(
        "permfail",
        _SAMPLE_TIME,
        **_VALUES,
        status=8,
        http_status=410,
        reason="Unregistered",
        error="Unregistered",
        dead_token_timestamp=1767139200000,
    )
    page = _PAGE.format(
        formats="".join(f"| {name} | `{getattr(defaults, name)}` |\n" for name in LoggerFormats.model_fields),
        delivery=delivery(_event()),
        macros="".join(f"| `{_macro(name)}` | {_cell(text)} |\n" for name, text in MACROS.items()),
        hostile_source=_HOSTILE.replace("\n", " "),
        hostile=hostile,
        hostile_fields=len(split_line(hostile)),
        old_delivery=compile_format(defaults.delivery, "Momentum")(_event()),
        old_permfail=compile_format(defaults.permfail, "Momentum")(_event(status=8, error="BadDeviceToken")),
        ours="".join(_row(f"`{name}`", text) for name, text in OURS.items()),
        fields="".join(
            _row(f"`{field.name}`", field.type, field.present, _code(field.macro), _cell(field.help))
            for field in FIELDS
        ),
        json=json_line(dead).decode(),
        bare_token=BARE_TOKEN,
        buffered=MAX_BUFFERED // 2**20,
        retry_first=RETRY_FIRST,
        retry_max=RETRY_MAX,
    )
    return {"docs/reference/logger.md": page}


_VALUES: dict[str, Any] = {
    "message_id": "0f3a9c51-7",
    "source_address": "alerts@example.com",
    "destination_address": "user",
    "domain": "apn_example.com",
    "device_token": "a1b2c3d4" * 8,
    "apns_id": "123e4567-e89b-12d3-a456-426614174000",
    "message_bytes": 731,
    "route": "production",
    "push_domain": "alerts",
    "client_address": "10.0.0.3",
    "origin": "app@example.com",
    "peer": "17.188.143.34",
    "sent_bytes": 402,
    "topic": "com.example.app",
    "push_type": "alert",
    "duration_ms": 41.5,
}


def _event(**changes: Any) -> LogEvent:
    return LogEvent("delivery", _SAMPLE_TIME, **{**_VALUES, **changes})


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _macro(name: str) -> str:
    return "%vctx_mess{NAME}" if name == "vctx_mess" else f"%{name}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
