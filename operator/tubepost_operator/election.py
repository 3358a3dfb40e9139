"""Leader election: acquires and renews the Lease, and runs the leader's tasks while it is held."""

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
    Elector,
    Guard,
    LeaseRecord,
    NotLeader,
    read_lease_record,
)
from tubepost_operator.observed import Document
from tubepost_operator.settings import LEASE_MARGIN, Settings

_LOG = logging.getLogger("tubepost.election")

END_TIMEOUT: Final = 25.0
"""Seconds for the leader's tasks to stop; a process that cannot stop them exits."""
FAILED_PAUSE: Final = 2.0
"""Seconds before the leader's tasks are restarted after they failed."""


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
        guard: is told until when the Lease is held.
        lead: the leader's tasks, until cancelled; they may end by an exception.
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
        self._elector = Elector(
            settings.identity, settings.lease_name, settings.lease_namespace, settings.lease_duration
        )
        self._record: LeaseRecord | None = None
        self._leader_task: asyncio.Task[None] | None = None
        self._begin_at = 0.0
        self.reached = False
        """Whether the API server has answered at least once."""

    @property
    def leading(self) -> bool:
        """Whether this replica holds the Lease now."""
        return self._guard.held

    async def run(self) -> None:
        """Until cancelled; then the leader's tasks are stopped and the Lease is released."""
        try:
            while True:
                if not self._guard.held:
                    # First of all: if the process was frozen, whatever it knows is outdated.
                    await self._stop_leading()
                began = self._clock()
                await self._step(began)
                self._tend_leader()
                await asyncio.sleep(max(0.1, self._settings.lease_renew - (self._clock() - began)))
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
            # Counted from before the request is sent: others count from when they see the renewal.
            began = self._clock()
            written = await self._api.write_lease(step.lease, create=step.action == "create")
        except ApiError as error:
            self._record = None
            if error.kind != "conflict":
                _LOG.warning("Lease not renewed: %s", error)
            return
        self.reached = True
        self._record = read_lease_record(written)
        if not self._guard.held:
            _LOG.info("Lease acquired by %s", self._settings.identity)
        self._guard.hold(began + self._settings.lease_duration - LEASE_MARGIN)

    def _tend_leader(self) -> None:
        if self._leader_task is not None and self._leader_task.done():
            with contextlib.suppress(asyncio.CancelledError):
                error = self._leader_task.exception()
                if error is not None:
                    _LOG.error(
                        "leader tasks failed, restarting in %.0f s: %s",
                        FAILED_PAUSE,
                        _text(error),
                        exc_info=_loud(error),
                    )
            self._leader_task = None
            self._begin_at = self._clock() + FAILED_PAUSE
        if self._leader_task is None and self._guard.held and self._clock() >= self._begin_at:
            self._leader_task = asyncio.get_running_loop().create_task(self._lead())

    async def _stop_leading(self) -> None:
        if self._leader_task is None:
            return
        _LOG.warning("Lease lost: standing by")
        task, self._leader_task = self._leader_task, None
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=END_TIMEOUT)
        if pending:
            # They can no longer write, but they hold threads and memory.
            _LOG.critical("leader tasks did not stop within %.0f s, exiting", END_TIMEOUT)
            os._exit(1)
        if not task.cancelled():
            task.exception()

    async def _leave(self) -> None:
        """Stop the leader's tasks, then release the Lease, so that the next leader need not wait."""
        held = self._guard.held
        if self._leader_task is not None:
            self._leader_task.cancel()
            await asyncio.wait([self._leader_task], timeout=END_TIMEOUT)
        self._guard.drop()
        if held and self._record is not None:
            with contextlib.suppress(ApiError):
                await self._api.write_lease(self._elector.release(self._record, self._wall()), create=False)
                _LOG.info("Lease released")


def _text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_text(part) for part in error.exceptions)
    return f"{type(error).__name__}: {error}"


def _loud(error: BaseException) -> BaseException | None:
    """The error if its traceback is worth logging: API errors and a lost Lease explain themselves."""
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    quiet = (ApiError, NotLeader, asyncio.CancelledError)
    return None if all(isinstance(part, quiet) for part in parts) else error
