"""A process's own log, on standard error: what the program does, not what becomes of notifications.

One record is one line, as text or JSON; only a traceback in text form goes on in lines that are indented.
Whatever looks like a secret is taken out of every record, and a control character never reaches the stream.
Nobody waits for the stream: a thread writes (see `line_writer`). Lines of one kind that are repeated are
limited, and the number of those held back is said (see `repeats`). At level Debug all kinds are shown, up to
`MOST_DEBUG` lines of that level a second.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from tubepost_runtime.json_line import encode
from tubepost_runtime.line_writer import LineWriter
from tubepost_runtime.repeats import RepeatLimit

MOST_DEBUG = 1_000
"""Lines of level Debug that a process writes in a second; the rest is counted, and said."""
ROOT = "tubepost"
"""The logger under which all of ours stand; others (asyncio, aiohttp) are heard from Warning on."""

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_REDACTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        "[private key]",
    ),
    # But not what is said of the field of an ApnLogger that is called so.
    (
        re.compile(r"(?i)((?<!webhook\.)\bauthorization\b['\"]?\s?[:=]\s?['\"]?)[^\r\n'\"]+"),
        r"\1[credentials]",
    ),
    (re.compile(r"(?i)(\bbearer\s)[A-Za-z0-9._~+/=-]{16,}"), r"\1[credentials]"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), "[token]"),
    (re.compile(r"(?<=://)[^\s/@:]{1,256}:[^\s/@]{1,256}@"), "[credentials]@"),
    # A device token has 64 digits or more.
    (re.compile(r"(?<![0-9A-Fa-f])([0-9A-Fa-f]{8})[0-9A-Fa-f]{56,}"), r"\1..."),
)


def redact(text: str) -> str:
    """`text` without private keys, provider tokens, credentials in headers and URLs, and device tokens.

    A second line of defence: what holds a secret is not to be logged in the first place.
    """
    for pattern, replacement in _REDACTIONS:
        text = pattern.sub(replacement, text)
    return text


@dataclass(frozen=True, slots=True)
class Layout:
    """What a program's lines look like.

    Attributes:
        head: how a line of text begins, before the message; a format with the keys time, level, logger, pid.
        fields: which of a record's extra attributes are shown, and under which names; None: all, as they are.
        fields_in_text: whether lines of text show them too, as `name=value` behind the message.
    """

    head: str = "{time} {level} {logger}[{pid}] "
    fields: Mapping[str, str] | None = None
    fields_in_text: bool = True


def setup(
    level: str,
    fmt: Literal["text", "json"] = "text",
    stream: TextIO | None = None,
    layout: Layout = Layout(),
) -> logging.Handler:
    """Set up the standard library's logging for this process; a second call replaces the first.

    Args:
        level: Debug, Info, Warning or Error.
        fmt: the form of the lines.
        stream: written to at once; None: standard error, by a thread.
        layout: what they look like.

    Returns:
        The handler that was installed.

    Raises:
        ValueError: an unknown level.
    """
    set_level(level)
    handler = _Handler(stream) if stream is not None else _threaded()
    handler.setFormatter(_JsonFormatter(layout) if fmt == "json" else _TextFormatter(layout))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    return handler


FLUSH_AT_END = 1.0
"""Seconds that a process waits at its end for standard error to take the last lines."""

_never_held_back: set[str] = set()


def never_hold_back(logger: str) -> None:
    """Write every line of a logger, however many there are of a kind: each is about something else."""
    _never_held_back.add(logger)


_writer: LineWriter | None = None


def on_lost(count: Callable[[], None]) -> None:
    """Have each line counted that is dropped because standard error is not read."""
    if _writer is not None:
        _writer.lost = count


def _threaded() -> _Handler:
    global _writer  # noqa: PLW0603 - standard error is one, whoever sets it up
    try:
        descriptor = sys.stderr.fileno()
    except OSError:
        return _Handler(sys.stderr)  # replaced by something in memory
    if _writer is None:
        _writer = LineWriter(descriptor)
        atexit.register(_writer.flush, FLUSH_AT_END)
    handler = _Handler(_Lines(_writer))
    _writer.tick = handler.tell_held_back
    return handler


class _Lines:
    """A `LineWriter` in the place of a stream."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def write(self, text: str) -> None:
        self._writer.write(text)

    def flush(self) -> None:
        """Nothing: the thread writes on."""


def set_level(level: str) -> None:
    """Change the level of our own loggers: Debug, Info, Warning or Error.

    Raises:
        ValueError: an unknown level.
    """
    try:
        logging.getLogger(ROOT).setLevel(_LEVELS[level.lower()])
    except KeyError:
        raise ValueError(f"unknown log level {level!r}") from None


class _Handler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO | _Lines) -> None:
        super().__init__(stream)  # type: ignore[arg-type]  # write and flush are all that it uses
        self._repeats: RepeatLimit[tuple[str, int, str]] = RepeatLimit()
        self._debug_second = 0
        self._debug_lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless too many of its kind have been written just now."""
        if record.name in _never_held_back:
            super().emit(record)
            return
        if logging.getLogger(ROOT).level > logging.DEBUG:
            kind = (record.name, record.levelno, record.msg if isinstance(record.msg, str) else "")
            now = time.monotonic()
            admitted, held_back = self._repeats.admit(kind, now)
            if held_back:
                self._say_held_back(*kind, held_back)
            if not admitted:
                return
        elif record.levelno <= logging.DEBUG and not self._admit_debug():
            return
        super().emit(record)

    def _admit_debug(self) -> bool:
        second = int(time.monotonic())
        if second != self._debug_second:
            held_back = self._debug_lines - MOST_DEBUG
            self._debug_second, self._debug_lines = second, 0
            if held_back > 0:
                text = "%d more lines of level Debug were held back in one second"
                super().emit(logging.LogRecord(ROOT, logging.WARNING, "", 0, text, (held_back,), None))
        self._debug_lines += 1
        return self._debug_lines <= MOST_DEBUG

    def tell_held_back(self) -> None:
        """Say how many lines were held back of kinds that have come to rest since."""
        with self.lock or contextlib.nullcontext():
            for kind, count in self._repeats.due(time.monotonic()):
                self._say_held_back(*kind, count)

    def _say_held_back(self, name: str, level: int, message: str, count: int) -> None:
        text = "%d more lines like this were held back: %s"
        super().emit(logging.LogRecord(name, level, "", 0, text, (count, message), None))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Drop the record: standard error is gone, and there is nowhere else to say so."""


class _TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO tubepost.worker[17] message key=value`."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._layout = layout

    def format(self, record: logging.LogRecord) -> str:
        """One record as text, without line end."""
        layout = self._layout
        line = layout.head.format(
            time=_timestamp(record.created), level=record.levelname, logger=record.name, pid=record.process
        )
        line += _one_line(redact(_message(record)))
        if layout.fields_in_text:
            extras = _extras(record, layout.fields)
            line += "".join(f" {name}={_text_value(value)}" for name, value in extras.items())
        trace = self._trace(record)
        if trace:
            line += "".join(f"\n    {_one_line(part)}" for part in trace.split("\n"))
        return line

    def _trace(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info and record.exc_info[0] is not None:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(self.formatStack(record.stack_info))
        return redact("\n".join(parts))


class _JsonFormatter(_TextFormatter):
    """`{"time":...,"level":"info","logger":"tubepost.worker","pid":17,"message":...}` and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a JSON object, without line end."""
        document: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": redact(_message(record)),
        }
        trace = self._trace(record)
        if trace:
            document["exception"] = trace
        for name, value in _extras(record, self._layout.fields).items():
            document.setdefault(name, value)
        return encode(document).decode()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a wrong %-format in a message must not cost the message
        return f"{record.msg} {record.args!r}"


def _extras(
    record: logging.LogRecord, names: Mapping[str, str] | None
) -> dict[str, str | int | float | bool | None]:
    """What was given as `extra=`, as plain values."""
    given = vars(record)
    if names is None:
        return {name: _plain(value) for name, value in given.items() if name not in _STANDARD}
    return {shown: _plain(given[name]) for name, shown in names.items() if given.get(name)}


def _plain(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**53):
        return value
    return redact(str(value))


def _text_value(value: str | float | None) -> str:
    text = "" if value is None else str(value)
    if text and text.isascii() and text.isprintable() and not set(text) & set(' "\\='):
        return text
    return _one_line(json.dumps(text, ensure_ascii=False))


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    return "".join([character if character.isprintable() else _escaped(character) for character in text])


def _escaped(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{{{point:x}}}"


def _timestamp(created: float) -> str:
    seconds, milliseconds = divmod(int(created * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"
