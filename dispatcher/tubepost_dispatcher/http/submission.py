"""One request's notifications on their way through acceptance, and the answer made of what became of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Generic

import orjson

from tubepost_dispatcher.http import idempotency
from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.listener import RestState
from tubepost_dispatcher.http.problems import (
    JSON,
    PROBLEM,
    Fault,
    batch_status,
    fault_problem,
    problem_of,
    result_of,
)
from tubepost_dispatcher.http.requests import Batch, Item, read_item
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import DomainT, PushFields, Recipient, SessionFacts, Transaction

_LOG = logging.getLogger("tubepost.rest")

SLICE: Final = 50
"""Notifications that are begun in one turn of the event loop: some milliseconds."""

Done = Callable[[int, bytes, bytes], None]
"""Hears status, content type and body, once."""
Later = Callable[[Callable[[], None]], object]
"""Calls something in the next turn of the event loop."""


class Submission(Generic[DomainT]):
    """One request. `start` it, and `done` hears the answer; `abandon` it when its client has gone.

    Notifications of a batch are taken each on its own: some may be refused, and the others go on.
    """

    __slots__ = (
        "_batch",
        "_config",
        "_done",
        "_facts",
        "_gone",
        "_key",
        "_later",
        "_next",
        "_open",
        "_results",
        "_state",
        "_waiting",
    )

    def __init__(
        self,
        state: RestState[DomainT],
        config: EffectiveRest[DomainT],
        facts: SessionFacts,
        batch: Batch,
        key: idempotency.Key | None,
        done: Done,
        later: Later,
    ) -> None:
        self._state = state
        self._config = config
        self._facts = facts
        self._batch = batch
        self._key = key
        self._done = done
        self._later = later
        self._results: list[dict[str, Any] | None] = [None] * len(batch.values)
        self._waiting = len(batch.values)
        self._open: dict[Transaction[DomainT], int] = {}
        self._next = 0
        self._gone = False

    def start(self) -> None:
        """Begin."""
        if self._batch.single:
            self._next = 1
            self._guarded(0)
        else:
            self._slice()

    def abandon(self) -> None:
        """The client has gone: nothing more is begun, and what was not sent is withdrawn.

        `done` still hears what became of it, for a repetition with the same Idempotency-Key.
        """
        self._gone = True
        begun, self._next = self._next, len(self._results)
        for index in range(begun, self._next):
            self._ended(index, problem_of(refusal("ClientGone")))
        for transaction in tuple(self._open):
            transaction.abandoned = True
            if transaction.pending is not None:
                transaction.pending.abandon()

    def _slice(self) -> None:
        end = min(self._next + SLICE, len(self._results))
        while self._next < end and not self._gone:
            index, self._next = self._next, self._next + 1
            self._guarded(index)
        if self._next < len(self._results) and not self._gone:
            self._later(self._slice)

    def _guarded(self, index: int) -> None:
        try:
            self._begin(index)
        except Exception:  # noqa: BLE001 - one notification's fault must not take the others with it
            _LOG.exception("requests: internal error")
            if self._results[index] is None:
                self._ended(index, problem_of(refusal("InternalError")))

    def _begin(self, index: int) -> None:
        item = read_item(self._batch.values[index])
        if isinstance(item, Fault):
            self._ended(index, fault_problem(item))
            return
        state = self._state
        message_id = state.ids.next()
        acceptance = self._config.acceptance
        serving = acceptance.check_recipient(self._facts, item.domain, 0)
        if isinstance(serving, Reply):
            self._ended(index, problem_of(serving, message_id=message_id))
            return
        transaction = Transaction(
            self,
            self._facts,
            message_id,
            item.sender,
            (Recipient(item.address, item.domain, serving, item.recipient_dsn),),
            item.payload,
            dsn=item.sender_dsn,
            fields=item.fields if self._key is None else self._with_id(item, index, self._key),
        )
        self._open[transaction] = index
        acceptance.accept(transaction)

    def _with_id(self, item: Item, index: int, key: idempotency.Key) -> PushFields:
        fields = item.fields
        if b"apns-id" in fields.headers:
            return fields
        return fields._replace(headers={**fields.headers, b"apns-id": idempotency.apns_id(key, index)})

    def transaction_done(self, transaction: Transaction[Any], reply: Reply) -> None:
        """See `Replier`."""
        index = self._open.pop(transaction)
        apns_id = transaction.apns_id.decode("ascii")
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("message %s: %d %s", transaction.message_id, reply.code, reply.reason or reply.taken)
        self._ended(index, result_of(reply, transaction.message_id, apns_id))

    def _ended(self, index: int, result: dict[str, Any]) -> None:
        self._results[index] = result
        self._waiting -= 1
        if self._waiting:
            return
        if self._batch.single:
            self._done(result["status"], JSON if "outcome" in result else PROBLEM, orjson.dumps(result))
            return
        results = [one for one in self._results if one is not None]
        status = batch_status({one["status"] for one in results})
        self._done(status, JSON, orjson.dumps({"notifications": results}))


def refused(fault: Fault) -> tuple[int, bytes, bytes]:
    """The answer to a request that is refused as a whole."""
    document = fault_problem(fault)
    return document["status"], PROBLEM, orjson.dumps(document)


def internal_error() -> tuple[int, bytes, bytes]:
    """The answer where we are at fault."""
    document = problem_of(refusal("InternalError"))
    return document["status"], PROBLEM, orjson.dumps(document)
