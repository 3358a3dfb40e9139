"""A stream found, made, or refused in words. Callbacks on one event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tubepost_dispatcher.store.jetstream.api import NOT_THERE, Api, error_code, error_text
from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings
from tubepost_dispatcher.store.jetstream.stream import (
    differences,
    grown,
    version_problem,
    wanted,
    warnings,
)

_LOG = logging.getLogger("tubepost.store")


class Opened(NamedTuple):
    """What came of it."""

    problem: str = ""
    """Empty: it can be used."""
    warnings: tuple[str, ...] = ()
    info: Mapping[str, Any] = {}
    state: str = "unusable"
    """With a problem: what is the matter, one of `STREAM_STATES`."""


def unlike(config: Mapping[str, Any], wish: Mapping[str, Any]) -> str:
    """Why a stream is not to be used, with the remedy; empty: it may be."""
    wrong = differences(config, wish)
    if not wrong:
        return ""
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    remedy = "set that back, or name another stream, or remove this one once it is empty"
    return f"stream {wish['name']} is not this queue's: {wrong[0]}{more}. Remedy: {remedy}"


def open_stream(
    api: Api, settings: JetStreamSettings, server: Mapping[str, Any], done: Callable[[Opened], None]
) -> None:
    """See to it that the stream is there, and is what it has to be.

    Args:
        api: of the stream.
        settings: what it has to be.
        server: what the server says of itself.
        done: told once.
    """
    wish, name = wanted(settings), settings.stream
    problem = version_problem(str(server.get("version", "")))
    if problem:
        done(Opened(problem, state="old_server"))
        return
    if not server.get("headers", False):
        done(Opened("the NATS server takes no headers (no_header_support)"))
        return

    def looked(told: dict[str, Any] | None) -> None:
        if told is None:
            done(Opened(f"stream {name}: JetStream does not answer; is it enabled for this account?"))
        elif error_code(told) == NOT_THERE:
            _LOG.info("queue: making stream %s", name)
            api.make(wish, made)
        elif error_code(told):
            done(Opened(f"stream {name}: {error_text(told)}"))
        else:
            check(told)

    def made(told: dict[str, Any] | None) -> None:
        # Another replica may have made it in the same moment: then it is looked at like any other.
        if told is not None and not error_code(told):
            check(told)
        else:
            api.info(lambda again: again_looked(told, again))

    def again_looked(first: dict[str, Any] | None, told: dict[str, Any] | None) -> None:
        if told is None or error_code(told):
            done(Opened(f"stream {name} cannot be made: {error_text(first)}"))
        else:
            check(told)

    def check(told: dict[str, Any]) -> None:
        config = told.get("config") or {}
        foreign = unlike(config, wish)
        if foreign:
            done(Opened(foreign, state="foreign_stream"))
            return
        new = grown(config, wish)
        if new is None:
            done(Opened("", warnings(config), told))
            return
        api.make(new, lambda answer: updated(told, answer), update=True)

    def updated(before: dict[str, Any], told: dict[str, Any] | None) -> None:
        if told is None or error_code(told):
            # It serves as it is.
            text = f"it could not be brought up to date: {error_text(told)}"
            done(Opened("", (*warnings(before.get("config") or {}), text), before))
        else:
            done(Opened("", warnings(told.get("config") or {}), told))

    api.info(looked)
