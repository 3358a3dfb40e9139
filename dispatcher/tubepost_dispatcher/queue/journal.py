"""What became of notifications, for some time after they ended: what `trace` tells.

One line when a notification ends, and one each time that it is put off; a failed attempt that is followed by
another one at once has a line of its own. With a directory, lines are appended to a file beside the partition
by a thread, and outlive the worker; without one, the latest are kept in memory.

The hot path appends a line to a list. What is slow, cleaning the texts of peers, is done in the thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.queue.journal_file import JournalFile, search
from tubepost_dispatcher.text import BARE_TOKEN, hide_tokens, short_token

_LOG = logging.getLogger("tubepost.queue")

LINGER: Final = 0.25
"""Seconds that lines wait to be handed to the thread together. A worker that is killed loses that much."""
TOGETHER: Final = 1_000
"""Lines that are not left waiting that long."""
MOST_WAITING: Final = 50_000
"""Lines that wait for a thread which does not come on; more are dropped and counted."""
IN_MEMORY: Final = 5_000
"""Lines that are kept without a directory: some 3 MB."""
_STEP: Final = 200
"""Lines that the thread makes at a time."""


_Line = tuple[
    str, float, str, bytes, str, str, str, bytes, str, str, float, int, str, Outcome, float
]  # fmt: skip
"""What `_values` makes a line of; a plain tuple, the cheapest thing to make. Holds on to no payload."""
_ID: Final = 2
_BROADCAST: Final = b"#"
"""Before a channel id that stands where other notifications have their device token."""
FIELDS: Final = (
    "at", "id", "event", "outcome", "apnsId", "domain", "sender", "recipient", "tokenPrefix", "accepted",
    "attempt", "route", "client", "user", "reason", "status", "detail", "possibleDouble", "due", "channelId",
    "apnsUniqueId",
)  # fmt: skip
"""What a line in the file has, in this order; later releases add some at the end."""


class _Search(NamedTuple):
    message_id: str
    beside: tuple[Path, ...]
    done: Callable[[list[dict[str, Any]]], None]


class _Close(NamedTuple):
    done: Callable[[], None]


_Job = list[_Line | bytes] | _Search | _Close
_DISCARDED: Final = Outcome(OutcomeKind.PERMANENT, "Blackhole")


class Journal:
    """Implements `DeliveryListener`. Lives on one event loop; every method is called on it.

    Args:
        directory: of the worker's own partition; None: keep the latest lines in memory.
        loop: calls back; the running loop by default.
        wall: unix seconds.
    """

    def __init__(
        self,
        directory: Path | None,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._loop = loop or asyncio.get_running_loop()
        self._wall = wall
        self._lines: list[_Line | bytes] = []
        self._ring: deque[_Line] | None = deque(maxlen=IN_MEMORY) if directory is None else None
        self._failed: tuple[Notification, Outcome, _Line] | None = None
        """An attempt that failed, until it is known what follows from it."""
        self._timer: asyncio.TimerHandle | None = None
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._waiting = 0
        """Lines that the thread has not written yet."""
        self._closed = False
        self._trouble = ""
        self.lost = 0
        """Lines that were not written, since the disk failed or was too slow."""

    @property
    def persistent(self) -> bool:
        """Whether it outlives the worker."""
        return self._directory is not None

    # -- what is told ---------------------------------------------------------------------------------

    def attempted(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """See `DeliveryListener.attempted`."""
        del now
        if outcome.kind is OutcomeKind.DELIVERED:
            return  # the end follows
        if self._failed is not None:
            self._add_failed()
        what = delivery.notification
        line = _line("attempt", self._wall(), what, _route(delivery), outcome, 0.0)
        self._failed = (what, outcome, line)

    def ended(self, delivery: Delivery, outcome: Outcome, now: float) -> None:
        """See `DeliveryListener.ended`."""
        del now
        if self._failed is not None:
            self._settle_failed(delivery.notification, outcome)
        line = _line("ended", self._wall(), delivery.notification, _route(delivery), outcome, 0.0)
        if outcome.kind is OutcomeKind.DELIVERED and self._ring is None:
            # It has no detail to be cleaned, and its parts are at hand: for the thread they are not.
            self._append(_encoded(_values(line)))
        else:
            self._add(line)

    def deferred(self, notification: Notification, outcome: Outcome, due: float, route: str = "") -> None:
        """The queue keeps it until `due` (unix seconds)."""
        if self._failed is not None:
            self._settle_failed(notification, outcome)
        self._add(_line("deferred", self._wall(), notification, route, outcome, due))

    def blackholed(self, notification: Notification) -> None:
        """It was discarded, since the delivery mode of its domain is Blackhole."""
        self._add(_line("ended", self._wall(), notification, "", _DISCARDED, 0.0))

    def refused(self, notification: Notification, outcome: Outcome) -> None:
        """Its sender was told so, and keeps it; delivery never had it."""
        self._add(_line("refused", self._wall(), notification, "", outcome, 0.0))

    def operated(self, notification: Notification, event: str, note: str) -> None:
        """An operator has done something with it: `held`, `released` or `flushed`; who and why."""
        outcome = Outcome(OutcomeKind.TRANSIENT, "", detail=note)
        self._add(_line(event, self._wall(), notification, "", outcome, 0.0))

    def mailed(self, mail: OutgoingMail, outcome: Outcome, at: float, due: float = 0.0) -> None:
        """What became of a mail that follows a notification: sent, put off until `due`, or given up.

        The event is the kind of the mail; the sender is the one of its envelope.
        """
        self._add((
            mail.kind, at, mail.message_id, mail.apns_id.encode("utf-8", "replace"), mail.domain, mail.sender,
            mail.recipient, b"", "", "", mail.created_at, mail.attempt, "", outcome, due,
        ))  # fmt: skip

    def _settle_failed(self, notification: Notification, outcome: Outcome) -> None:
        """The line that follows tells of the failed attempt, or the attempt gets a line of its own."""
        assert self._failed is not None
        if self._failed[0] is notification and self._failed[1] is outcome:
            self._failed = None
        else:
            self._add_failed()

    def _add_failed(self) -> None:
        assert self._failed is not None
        line, self._failed = self._failed[2], None
        self._add(line)

    def _add(self, line: _Line) -> None:
        if self._ring is not None:
            self._ring.append(line)
            return
        self._append(line)

    def _append(self, line: _Line | bytes) -> None:
        self._lines.append(line)
        if self._timer is None:
            self._timer = self._loop.call_later(LINGER, self._hand_over)
        elif len(self._lines) == TOGETHER:
            self._timer.cancel()
            self._hand_over()

    # -- what is asked --------------------------------------------------------------------------------

    async def trace(self, message_id: str, beside: Sequence[Path] = ()) -> list[dict[str, Any]]:
        """The lines of one message in order of time; device tokens are in short form.

        Args:
            message_id: of the message.
            beside: directories of other partitions whose journals are to be searched too.
        """
        if self._failed is not None:
            self._add_failed()
        if self._ring is not None:
            return [_named(_values(line)) for line in self._ring if line[_ID] == message_id]
        if self._closed:
            return []
        found: asyncio.Future[list[dict[str, Any]]] = self._loop.create_future()
        self._hand_over()
        self._send(_Search(message_id, tuple(beside), lambda answer: _answer(found, answer)))
        return await found

    async def close(self, grace: float = 2.0) -> None:
        """Write what waits, at most for `grace` seconds; nothing is written afterwards."""
        if self._closed:
            return
        if self._failed is not None:
            self._add_failed()
        self._hand_over()
        self._closed = True
        if self._writer is not None:
            over = asyncio.Event()
            self._send(_Close(over.set))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await over.wait()

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if not lines or self._closed:
            return
        if self._waiting + len(lines) > MOST_WAITING:
            self._lose(len(lines), "the disk is too slow")
            return
        self._waiting += len(lines)
        self._send(lines)

    def _send(self, job: _Job) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._run, name="journal", daemon=True)
            self._writer.start()
        self._jobs.put(job)

    def _written(self, count: int, trouble: str) -> None:
        self._waiting -= count
        if trouble:
            self._lose(count, trouble)
        else:
            self._trouble = ""

    def _lose(self, count: int, why: str) -> None:
        self.lost += count
        if self._trouble != why:
            self._trouble = why
            _LOG.warning("journal of %s: lines are lost, trace will not find them: %s", self._directory, why)

    # -- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        assert self._directory is not None
        file = JournalFile(self._directory)
        while True:
            match self._jobs.get():
                case _Search(message_id, beside, found):
                    lines = search((self._directory, *beside), message_id)
                    self._tell(found, [_named(values) for values in lines])
                case _Close(done):
                    file.close()
                    self._tell(done)
                    return
                case lines:
                    self._write(file, lines)

    def _write(self, file: JournalFile, lines: list[_Line | bytes]) -> None:
        for start in range(0, len(lines), _STEP):
            some = lines[start : start + _STEP]
            trouble = ""
            try:
                made = [line if isinstance(line, bytes) else _encoded(_values(line)) for line in some]
                file.append(b"\n".join(made) + b"\n")
            except OSError as error:
                trouble = f"{error.strerror}"
            except Exception:  # noqa: BLE001 - a fault of ours must not end the thread
                _LOG.exception("journal: internal error")
                trouble = "internal error"
            self._tell(self._written, len(some), trouble)

    def _tell(self, what: Callable[..., object], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody is left to be told
            self._loop.call_soon_threadsafe(what, *values)


def _line(event: str, at: float, what: Notification, route: str, outcome: Outcome, due: float) -> _Line:
    return (
        event, at, what.message_id, what.apns_id, what.domain, what.sender, what.recipient,
        what.push.token or _channel(what.push), what.user, what.client_address, what.accepted_at,
        what.attempt, route, outcome, due,
    )  # fmt: skip


def _channel(push: PushPart) -> bytes:
    """Where a broadcast goes, in the place of the device token."""
    return _BROADCAST + push.channel_id if push.channel_id is not None else b""


def _route(delivery: Delivery) -> str:
    return delivery.route.name if delivery.route is not None else ""


def _answer(future: asyncio.Future[list[dict[str, Any]]], answer: list[dict[str, Any]]) -> None:
    if not future.done():
        future.set_result(answer)


def _named(values: Sequence[Any]) -> dict[str, Any]:
    """A line as `trace` shows it."""
    found = dict(zip(FIELDS, values, strict=False))
    return {name: value for name, value in found.items() if value is not None and (value or name != "user")}


def _values(line: _Line) -> tuple[Any, ...]:
    """A line's values in the order of `FIELDS`, fewer of what was delivered; device tokens in short form."""
    (
        event, at, message_id, apns_id, domain, sender, recipient, token_bytes, user, client, accepted,
        attempt, route, outcome, due,
    ) = line  # fmt: skip
    token = token_bytes.decode("ascii", "replace")
    channel = None
    if token_bytes[:1] == _BROADCAST:
        token, channel = "", token[1:]
    # Nothing shorter has a token in it.
    least = min(len(token) or BARE_TOKEN, BARE_TOKEN)
    if len(sender) >= least:
        sender = hide_tokens(sender, token)
    if len(recipient) >= least:
        recipient = hide_tokens(recipient, token)
    if user:
        user = hide_tokens(user, token)
    delivered = outcome.kind is OutcomeKind.DELIVERED
    if delivered:
        word = "delivered"
    elif outcome is _DISCARDED:
        word = "discarded"
    else:
        word = outcome.kind.value if outcome.reason or outcome.status else "queued"
    common = (
        at, message_id, event, word, outcome.apns_id or apns_id.decode("ascii", "replace"), domain, sender,
        recipient, short_token(token), accepted, attempt, route, client, user,
    )  # fmt: skip
    unique = outcome.unique_id
    more: tuple[Any, ...] = (channel, unique) if unique else () if channel is None else (channel,)
    if delivered:
        return (*common, None, None, None, None, None, *more) if more else common
    detail = hide_tokens(outcome.detail, token)
    return (*common, outcome.reason, outcome.status, detail, outcome.possible_double, due or None, *more)


def _encoded(values: tuple[Any, ...]) -> bytes:
    try:
        return orjson.dumps(values)
    except TypeError:  # lone surrogates
        return json.dumps(values).encode()
