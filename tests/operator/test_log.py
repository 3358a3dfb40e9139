from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tubepost_operator import log
from tubepost_operator.controller import fields
from tubepost_operator.observed import Key


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    before = (
        root.handlers[:],
        root.level,
        logging.getLogger("kopf").level,
        logging.getLogger("tubepost").level,
    )
    yield
    root.handlers[:], level, kopf, own = before
    root.setLevel(level)
    logging.getLogger("kopf").setLevel(kopf)
    logging.getLogger("tubepost").setLevel(own)


def test_lines_name_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    log.setup("Info", "json")
    logger = logging.getLogger("tubepost.x")
    logger.info("hello %s", "there", extra=fields(Key("PushDomain", "default", "alerts")))
    logger.debug("not this")
    logging.getLogger("kopf.x").warning("nor this")
    logging.getLogger("y").warning("OS signals are ignored: running not in the main thread.")
    try:
        raise ValueError("oh")  # noqa: TRY301 - to have a traceback
    except ValueError:
        logger.exception("failed")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["kind"], first["namespace"], first["name"]) == ("PushDomain", "default", "alerts")
    assert first["message"] == "hello there"
    assert "ValueError: oh" in second["exception"]


def test_text_is_one_line_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    log.setup("Debug", "text")
    logging.getLogger("tubepost.x").debug("hello")
    assert stream.getvalue().endswith("DEBUG   tubepost.x: hello\n")
