"""The requests of the JetStream API that a queue needs, of one stream.

Raw JSON on the client's connection: its own classes lack the newest options. Subjects and codes:
https://docs.nats.io/reference/reference-protocols/nats_api_reference, nats-server's errors.json.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

from tubepost_dispatcher.store.jetstream.link import Answer, Link, Message

PATIENCE: Final = 8.0
"""Seconds for a request, while nothing says that it will not be answered."""
NOT_THERE: Final = 10059
"""Code of an answer about a stream that does not exist."""
_FULL: Final = frozenset({10023, 10028, 10047, 10077, 10086, 10122})
"""No more of what a stream, an account or a server may have."""
_GONE: Final = frozenset({10037, 10043, 10057})
BATCH_BYTES: Final = 512 * 1024
_NANOSECONDS: Final = re.compile(r"(\.\d{6})\d+")


class Written(NamedTuple):
    """What came of a message that was published."""

    seq: int = 0
    """0: it is not known to be in the stream."""
    full: bool = False
    problem: str = ""
    ambiguous: bool = False
    """It may be in the stream all the same."""


class Removed(enum.Enum):
    """What came of a message that was to be removed."""

    BY_US = "by us"
    NOT_THERE = "not there"
    UNSURE = "unsure"


class Found(NamedTuple):
    """A message of the stream."""

    seq: int
    subject: str
    data: bytes
    scheduler: str
    """The subject whose schedule put it here; empty: it was published."""
    fires: float = 0.0
    """When it becomes one of another subject, unix seconds of the server's clock; 0: never."""


class Batch(NamedTuple):
    """Some messages in order."""

    found: Sequence[Found]
    more: bool
    """There may be others behind them."""


class Api:
    """Lives on one event loop. Every callback is called once, in a later turn.

    Args:
        link: carries the requests.
        stream: its name.
        lead: what all subjects of the API begin with.
    """

    def __init__(self, link: Link, stream: str, lead: str = "$JS.API") -> None:
        self._link = link
        self._stream = stream
        self._lead = lead

    def publish(
        self,
        subject: str,
        body: bytes,
        ident: str,
        done: Callable[[Written], None],
        *,
        fires: tuple[float, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """Write a message; sent twice, it is written once.

        Args:
            subject: where.
            body: what.
            ident: its own id, by which the server knows it again.
            done: told when it is safe, or why it is not.
            fires: when it becomes one of another subject (unix seconds of the server's clock), and of which.
            patience: seconds.
        """
        headers = {"Nats-Msg-Id": ident, "Nats-Expected-Stream": self._stream}
        if fires is not None:
            headers["Nats-Schedule"] = f"@at {at(fires[0])}"
            headers["Nats-Schedule-Target"] = fires[1]
        self._link.request(
            subject, body, lambda answer: done(_written(answer)), patience=patience, headers=headers
        )

    def delete(self, seq: int, done: Callable[[Removed], None], patience: float = PATIENCE) -> None:
        """Remove a message. Of several who ask at the same time, one is told that it was `BY_US`."""
        body = orjson.dumps({"seq": seq, "no_erase": True})
        self._ask("STREAM.MSG.DELETE", body, lambda answer: done(_removed(answer)), patience)

    def get(
        self,
        seq: int,
        done: Callable[[Found | None], None],
        failed: Callable[[], None],
        patience: float = PATIENCE,
    ) -> None:
        """Read a message; None: it is not there, as the leader knows; that it is, any replica may say."""
        body = orjson.dumps({"seq": seq})

        def direct(answer: Answer) -> None:
            found = _found(answer.messages[0]) if answer.messages else None
            if found is not None:
                done(found)
            else:
                self._ask("STREAM.MSG.GET", body, _heard(done, failed), patience)

        self._ask("DIRECT.GET", body, direct, patience)

    def batch(
        self, seq: int, subject: str, count: int, done: Callable[[Batch], None], failed: Callable[[], None]
    ) -> None:
        """Read messages of a subject, wildcards included, from `seq` on."""
        body = orjson.dumps(
            {"seq": max(1, seq), "batch": count, "max_bytes": BATCH_BYTES, "next_by_subj": subject}
        )

        def answered(answer: Answer) -> None:
            if not answer.messages:
                failed()
                return
            last = answer.messages[-1].headers
            found = [one for message in answer.messages[:-1] if (one := _found(message)) is not None]
            # The status is 204 behind messages, and 404 where there are none.
            done(Batch(found, last.get("Status") == "204" and int(last.get("Nats-Num-Pending", "0")) > 0))

        self._link.request(
            f"{self._lead}.DIRECT.GET.{self._stream}", body, answered, patience=PATIENCE, many=True
        )

    def last(self, subject: str, done: Callable[[Found | None], None], failed: Callable[[], None]) -> None:
        """The last message of a subject, as the leader knows it."""
        body = orjson.dumps({"last_by_subj": subject})
        self._ask("STREAM.MSG.GET", body, _heard(done, failed), PATIENCE)

    def info(self, done: Callable[[dict[str, Any] | None], None], subjects: str = "") -> None:
        """Configuration and state of the stream; of named subjects the number of messages of each."""
        body = orjson.dumps({"subjects_filter": subjects}) if subjects else b""
        self._ask("STREAM.INFO", body, lambda answer: done(answer.json), PATIENCE)

    def make(
        self,
        config: Mapping[str, Any],
        done: Callable[[dict[str, Any] | None], None],
        *,
        update: bool = False,
    ) -> None:
        """Create the stream, or bring it up to date."""
        what = "STREAM.UPDATE" if update else "STREAM.CREATE"
        self._ask(what, orjson.dumps(config), lambda answer: done(answer.json), PATIENCE)

    def _ask(self, what: str, body: bytes, done: Callable[[Answer], None], patience: float) -> None:
        self._link.request(f"{self._lead}.{what}.{self._stream}", body, done, patience=patience)


def at(when: float) -> str:
    """A time in unix seconds, as a schedule has it (RFC 3339)."""
    return datetime.fromtimestamp(max(0.0, when), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def when(text: str) -> float:
    """The unix seconds of a time as `at` writes it, or as the API does; 0: it is none."""
    try:
        return datetime.fromisoformat(_NANOSECONDS.sub(r"\1", text)).timestamp()
    except ValueError:
        return 0.0


def error_code(told: Mapping[str, Any]) -> int:
    """Of an answer of the API; 0: it is none that tells of an error."""
    error = told.get("error")
    return int(error.get("err_code", 0) or -1) if isinstance(error, dict) else 0


def error_text(told: Mapping[str, Any] | None) -> str:
    """The same in words."""
    if told is None:
        return "it does not answer"
    error = told.get("error")
    return str(error.get("description", ""))[:200] if isinstance(error, dict) else ""


def _written(answer: Answer) -> Written:
    told = answer.json
    if told is None:
        return Written(problem="NATS does not answer", ambiguous=answer.sent > 0)
    code = error_code(told)
    if code:
        return Written(full=code in _FULL, problem=f"NATS refuses it: {error_text(told)}")
    return Written(int(told.get("seq", 0)))


def _removed(answer: Answer) -> Removed:
    told = answer.json
    if told is None:
        return Removed.UNSURE
    code = error_code(told)
    if not code:
        return Removed.BY_US
    # Sent twice, the first may have done it.
    return Removed.NOT_THERE if code in _GONE and answer.sent == 1 else Removed.UNSURE


def _found(message: Message) -> Found | None:
    headers = message.headers
    if headers.get("Status"):
        return None
    seq, subject = headers.get("Nats-Sequence"), headers.get("Nats-Subject")
    if not seq or not subject:
        return None
    fires = headers.get("Nats-Schedule", "")
    return Found(int(seq), subject, message.data, headers.get("Nats-Scheduler", ""), when(fires[4:]))


def _heard(done: Callable[[Found | None], None], failed: Callable[[], None]) -> Callable[[Answer], None]:
    """What takes the leader's answer to STREAM.MSG.GET: the message, that there is none, or no answer."""

    def answered(answer: Answer) -> None:
        told = answer.json
        if told is None or (error_code(told) and error_code(told) not in _GONE):
            failed()
        else:
            done(None if "error" in told else _from_leader(told["message"]))

    return answered


def _from_leader(told: Mapping[str, Any]) -> Found:

    headers: dict[str, str] = {}
    for line in base64.b64decode(told.get("hdrs", "")).decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        headers[name] = value.strip()
    return Found(
        int(told["seq"]),
        str(told["subject"]),
        base64.b64decode(told.get("data", "")),
        headers.get("Nats-Scheduler", ""),
        when(headers.get("Nats-Schedule", "")[4:]),
    )
