from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from tubepost_runtime import process_log
from tubepost_runtime.repeats import BURST

TOKEN = "a1b2c3d4" * 8
LOG = logging.getLogger("tubepost.test")

Setup = Callable[..., io.StringIO]


@pytest.fixture
def set_up() -> Iterator[Setup]:
    root, ours = logging.getLogger(), logging.getLogger("tubepost")
    before = (list(root.handlers), root.level, ours.level)

    def start(level: str = "Info", fmt: Literal["text", "json"] = "text") -> io.StringIO:
        # pytest's own handlers would stumble over what ours must not.
        root.handlers[:] = [one for one in root.handlers if isinstance(one, process_log._Handler)]
        stream = io.StringIO()
        process_log.setup(level, fmt, stream)
        return stream

    yield start
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def test_text_lines(set_up: Setup) -> None:
    stream = set_up()
    LOG.info("worker %d is ready", 3, extra={"route": "prod", "why": "two words", "none": None, "n": 7})
    line = stream.getvalue()
    stamp, rest = line.split(" ", 1)
    assert len(stamp) == len("2026-01-01T00:00:00.000Z")
    assert stamp.endswith("Z")
    assert rest.startswith("INFO tubepost.test[")
    assert rest.endswith('] worker 3 is ready route=prod why="two words" none="" n=7\n')


def test_json_lines(set_up: Setup) -> None:
    stream = set_up(fmt="json")
    LOG.warning("held: %s", "expired", extra={"route": "prod", "count": 2, "obj": {1}, "level": "mine"})
    record = json.loads(stream.getvalue())
    assert record.pop("time").endswith("Z")
    assert isinstance(record.pop("pid"), int)
    assert record == {
        "level": "warning",
        "logger": "tubepost.test",
        "message": "held: expired",
        "route": "prod",
        "count": 2,
        "obj": "{1}",
    }


@pytest.mark.parametrize("fmt", ["text", "json"])
def test_no_value_forges_a_line(set_up: Setup, fmt: Literal["text", "json"]) -> None:
    stream = set_up(fmt=fmt)
    LOG.info(
        "peer said %s", "x\n2026-01-01T00:00:00.000Z ERROR forged\x1b[2K\u2028\u202e", extra={"f": "a\nb"}
    )
    text = stream.getvalue()
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text[:-1].isprintable()


def test_tracebacks_are_indented_or_inside_the_object(set_up: Setup) -> None:
    def fail() -> None:
        raise OSError("line one\nERROR forged")

    stream = set_up()
    try:
        fail()
    except OSError:
        LOG.exception("it failed")
    first, *others = stream.getvalue().splitlines()
    assert first.endswith("] it failed")
    assert others
    assert all(line.startswith("    ") for line in others)
    stream = set_up(fmt="json")
    try:
        fail()
    except OSError:
        LOG.exception("it failed", stack_info=True)
    record = json.loads(stream.getvalue())
    assert "OSError: line one\nERROR forged" in record["exception"]
    assert "Stack (most recent call last)" in record["exception"]


def test_levels(set_up: Setup) -> None:
    stream = set_up("Warning")
    LOG.info("no")
    LOG.warning("yes")
    process_log.set_level("Debug")
    LOG.debug("now")
    logging.getLogger("asyncio.elsewhere").info("not ours")
    logging.getLogger("elsewhere").warning("but this")
    assert [line.split("] ")[1] for line in stream.getvalue().splitlines()] == ["yes", "now", "but this"]
    with pytest.raises(ValueError, match="unknown log level 'Loud'"):
        process_log.set_level("Loud")


def test_a_second_setup_replaces_the_first(set_up: Setup) -> None:
    first, second = set_up(), set_up()
    LOG.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_a_message_with_a_wrong_format_is_kept(set_up: Setup) -> None:
    stream = set_up()
    LOG.info("%d and %s", "x")  # noqa: PLE1206 - that is the point
    assert "%d and %s ('x',)" in stream.getvalue()


def test_a_stream_that_is_gone_is_no_error(set_up: Setup) -> None:
    stream = set_up()
    stream.close()
    LOG.error("nobody hears it")


PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEI\nabc\n-----END EC PRIVATE KEY-----"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJURUFNIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"key {PEM} end", "key [private key] end"),
        ("key -----BEGIN PRIVATE KEY-----\nMHcCA", "key [private key]"),
        (
            "ApnLogger a: spec.sink.webhook.authorization: Secret 'b' does not exist",
            "ApnLogger a: spec.sink.webhook.authorization: Secret 'b' does not exist",
        ),
        (f"authorization: bearer {JWT}", "authorization: [credentials]"),
        (f"{{'authorization': 'bearer {JWT}', 'x': 1}}", "{'authorization': '[credentials]', 'x': 1}"),
        (f"token {JWT}!", "token [token]!"),
        ("Bearer abcdefghijklmnop1234", "Bearer [credentials]"),
        ("via http://me:secret@proxy:3128/", "via http://[credentials]@proxy:3128/"),
        (f"device {TOKEN} is dead", "device a1b2c3d4... is dead"),
        (f"/3/device/{TOKEN.upper()}00", "/3/device/A1B2C3D4..."),
        ("id 123e4567-e89b-12d3-a456-426614174000", "id 123e4567-e89b-12d3-a456-426614174000"),
        ("http://host:3128/path and a@b", "http://host:3128/path and a@b"),
        ("nothing of interest", "nothing of interest"),
    ],
)
def test_redaction(text: str, clean: str) -> None:
    assert process_log.redact(text) == clean


@pytest.mark.shows_secrets("records, not lines")
@pytest.mark.parametrize("fmt", ["text", "json"])
def test_secrets_are_taken_out_of_message_fields_and_traceback(
    set_up: Setup, fmt: Literal["text", "json"]
) -> None:
    stream = set_up(fmt=fmt)
    fields: dict[str, Any] = {
        "key": PEM,
        "header": {"authorization": f"bearer {JWT}"},
        "number": int("1" * 80),
    }

    def fail() -> None:
        raise ValueError(PEM + TOKEN)

    try:
        fail()
    except ValueError:
        LOG.exception("for %s", TOKEN, extra=fields)
    text = stream.getvalue()
    assert "MHcCAQEEI" not in text
    assert JWT not in text
    assert TOKEN not in text
    assert "1" * 80 not in text


def test_repeated_lines_of_one_kind_are_held_back_and_counted(set_up: Setup) -> None:
    stream = set_up()
    for number in range(100):
        LOG.info("client %d was refused", number)
    LOG.warning("client %d was refused", 1)
    lines = stream.getvalue().splitlines()
    assert len(lines) == BURST + 1
    assert "WARNING" in lines[-1]
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, process_log._Handler)
    for window in handler._repeats._kinds.values():
        window.begun -= 60.0
    handler.tell_held_back()
    assert (
        stream.getvalue()
        .splitlines()[-1]
        .endswith("70 more lines like this were held back: client %d was refused")
    )


def test_lines_of_some_loggers_are_never_held_back(set_up: Setup) -> None:
    stream = set_up()
    process_log.never_hold_back("tubepost.test.each")
    for number in range(100):
        logging.getLogger("tubepost.test.each").info("message %d", number)
    assert len(stream.getvalue().splitlines()) == 100


def test_debug_lines_have_a_bound_and_what_is_held_back_is_said(
    set_up: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = set_up("Debug")
    now = 1000.0
    monkeypatch.setattr(process_log.time, "monotonic", lambda: now)
    for number in range(process_log.MOST_DEBUG + 7):
        LOG.debug("session %d", number)
    LOG.info("this is no line of level Debug")
    assert len(stream.getvalue().splitlines()) == process_log.MOST_DEBUG + 1
    now += 1.0
    LOG.debug("the next second")
    *_, told, last = stream.getvalue().splitlines()
    assert told.endswith("7 more lines of level Debug were held back in one second")
    assert last.endswith("the next second")


def test_at_debug_nothing_is_held_back(set_up: Setup) -> None:
    stream = set_up("Debug")
    for number in range(100):
        LOG.info("client %d was refused", number)
    assert len(stream.getvalue().splitlines()) == 100
