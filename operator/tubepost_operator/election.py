"""Holds the Lease, and runs a term of leadership while it is ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tubepost_operator.api import ApiError
from tubepost_operator.lease import (
    DURATION,
    MARGIN,
    RENEW,
    Elector,
    Guard,
    LeaseRecord,
    NotLeader,
    read_lease_record,
)
from tubepost_operator.observed import Document
from tubepost_operator.settings import Settings

_LOG = logging.getLogger("tubepost.election")

END_TIMEOUT: Final = 25.0
"""Seconds for a term to end; a process that cannot end it is of no use any more."""
FAILED_PAUSE: Final = 2.0
"""Seconds before a term that broke is begun anew."""


class LeaseApi(Protocol):
    """Reads and writes the Lease."""

    async def read_lease(self, namespace: str, name: str) -> Document | None:
        """The Lease, None when there is none. Raises ApiError."""

    async def write_lease(self, lease: Document, *, create: bool) -> Document:
        """Create or replace the Lease. Raises ApiError."""


class Election:
    """Takes part in the election until cancelled.

    Args:
        settings: name of the Lease and of this replica.
        api: where the Lease is.
        guard: is told how long the Lease is ours.
        lead: runs a term until it is cancelled; it may end by an exception.
        clock: monotonic seconds.
        wall: the time, aware.
    """

    def __init__(
        self,
        settings: Settings,
        api: LeaseApi,
        guard: Guard,
        lead: Callable[[], Coroutine[Any, Any, None]],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._api = api
        self._guard = guard
        self._lead = lead
        self._clock = clock
        self._wall = wall
        self._elector = Elector(settings.identity, settings.lease_name, settings.lease_namespace)
        self._record: LeaseRecord | None = None
        self._leader_task: asyncio.Task[None] | None = None
        self._begin_at = 0.0
        self.reached = False
        """Whether the API server has answered at least once."""

    @property
    def leading(self) -> bool:
        """Whether the Lease is ours now."""
        return self._guard.held

    async def run(self) -> None:
        """Until cancelled; then the term is ended and the Lease given back."""
        try:
            while True:
                if not self._guard.held:
                    # First of all: after a time in which the process stood still, nothing known is true.
                    await self._end_term("the Lease is lost")
                began = self._clock()
                await self._step(began)
                self._tend_term()
                await asyncio.sleep(max(0.1, RENEW - (self._clock() - began)))
        finally:
            await self._leave()

    async def _step(self, began: float) -> None:
        try:
            if not self._guard.held or self._record is None:
                document = await self._api.read_lease(
                    self._settings.lease_namespace, self._settings.lease_name
                )
                self.reached = True
                self._record = read_lease_record(document) if document is not None else None
            step = self._elector.step(self._record, self._clock(), self._wall())
            if step.lease is None:
                return
            # Counted from before the request: others count from when they see it.
            began = self._clock()
            written = await self._api.write_lease(step.lease, create=step.action == "create")
        except ApiError as error:
            self._record = None
            if error.kind != "conflict":
                _LOG.warning("the Lease: %s", error)
            return
        self.reached = True
        self._record = read_lease_record(written)
        if not self._guard.held:
            _LOG.info("the Lease is ours (%s)", self._settings.identity)
        self._guard.hold(began + DURATION - MARGIN)

    def _tend_term(self) -> None:
        if self._leader_task is not None and self._leader_task.done():
            with contextlib.suppress(asyncio.CancelledError):
                error = self._leader_task.exception()
                if error is not None:
                    _LOG.error("the term broke off: %s", _text(error), exc_info=_loud(error))
            self._leader_task = None
            self._begin_at = self._clock() + FAILED_PAUSE
        if self._leader_task is None and self._guard.held and self._clock() >= self._begin_at:
            self._leader_task = asyncio.get_running_loop().create_task(self._lead())

    async def _end_term(self, why: str) -> None:
        if self._leader_task is None:
            return
        _LOG.warning("%s: standing by", why)
        task, self._leader_task = self._leader_task, None
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=END_TIMEOUT)
        if pending:
            # It can write nothing any more, but it holds threads and memory.
            _LOG.critical("the term does not end; the process does")
            os._exit(1)
        if not task.cancelled():
            task.exception()

    async def _leave(self) -> None:
        """End the term, then give the Lease back, so that the next one need not wait for its end."""
        held = self._guard.held
        if self._leader_task is not None:
            self._leader_task.cancel()
            await asyncio.wait([self._leader_task], timeout=END_TIMEOUT)
        self._guard.drop()
        if held and self._record is not None:
            with contextlib.suppress(ApiError):
                await self._api.write_lease(self._elector.release(self._record, self._wall()), create=False)
                _LOG.info("the Lease is given back")


def _text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_text(part) for part in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _loud(error: BaseException) -> BaseException | None:
    """The error where its traceback tells something: API errors and a lost Lease explain themselves."""
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    quiet = (ApiError, NotLeader, asyncio.CancelledError)
    return None if all(isinstance(part, quiet) for part in parts) else error
