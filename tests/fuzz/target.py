"""What a target is, and what all of them hold their code to."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

CORPUS = Path(__file__).parent / "corpus"
NAMES = (
    "configuration",
    "http2_engine",
    "log_line",
    "mcmt_message",
    "momentum_configuration",
    "proxy_header",
    "queue_request",
    "report",
    "rest_connection",
    "secret_reader",
    "smtp_session",
    "webhook_peer",
)
"""The targets: each is a module beside this one."""

LONGEST = 0.05
"""Seconds of CPU that one input may take: the longest that the event loop may stand still."""


class Target(NamedTuple):
    """One thing to fuzz: `run` raises for an input that breaks an invariant of the module's text."""

    run: Callable[[bytes], None]
    max_length: int
    """Bytes of the longest input."""
    seeds: tuple[bytes, ...]
    """Inputs to begin with, beside the kept corpus."""
    words: tuple[bytes, ...]
    """Tokens that the engine puts into inputs."""


def load(name: str) -> Target:
    """The target of that name; imports what it is about."""
    target = importlib.import_module(f"tests.fuzz.{name}").TARGET
    assert isinstance(target, Target)
    return target


def kept(name: str) -> list[Path]:
    """The kept inputs of a target."""
    return sorted((CORPUS / name).iterdir())


def within_time(run: Callable[[bytes], None], data: bytes, *, slower: float = 1.0) -> None:
    """Run an input, at most `LONGEST` times `slower`; the best of five counts, since other programs run too.

    `slower` allows for instrumented code.
    """
    for _ in range(5):
        before = time.thread_time()
        run(data)
        took = time.thread_time() - before
        if took <= LONGEST * slower:
            return
    raise AssertionError(f"{took:.3f} s of CPU for {len(data)} bytes")


def chunks(data: bytes, first: int, second: int) -> Iterator[bytes]:
    """`data` in chunks of two sizes by turns; 0 means all that is left."""
    position = 0
    while position < len(data):
        size = first or len(data)
        yield data[position : position + size]
        position += size
        first, second = second, first


def fields(data: bytes, count: int) -> list[bytes]:
    """`data` at its first `count - 1` separators (0xFF, which is no UTF-8), the missing ones empty."""
    parts = data.split(b"\xff", count - 1)
    return parts + [b""] * (count - len(parts))


class Listener(logging.Handler):
    """Collects what a logger is told while a target runs: what the code would say, and exceptions it caught."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger(name)
        self._records: list[logging.LogRecord] = []

    def __enter__(self) -> Self:
        self._records.clear()
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)

    def text(self) -> str:
        """What was said. AssertionError for a record of level ERROR."""
        for record in self._records:
            if record.levelno >= logging.ERROR:
                cause = record.exc_info[1] if record.exc_info else None
                raise AssertionError(f"logged as an error: {record.getMessage()}") from cause
        return "\n".join(record.getMessage() for record in self._records)
