"""Requests with names, through a pool: what became of each of them, exactly once."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterable

from tubepost_dispatcher.apns.pool import Pool
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.outcome import Outcome, OutcomeKind

WAIT = 30.0
"""Seconds after which a test gives up on outcomes: far more than any of them should need."""


class Sender:
    """Submits requests whose payload carries a name, and keeps their outcomes by name."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.outcomes: dict[str, list[Outcome]] = {}
        self._waiting = 0
        self._changed = asyncio.Event()

    def submit(self, names: Iterable[str], *, response_timeout: float = 20.0, padding: int = 0) -> list[str]:
        """Hand in one request for each name; its apns-id follows from the name, as for a repetition."""
        taken = list(names)
        for name in taken:
            payload = json.dumps({"aps": {"alert": "x" * padding}, "id": name}).encode()
            request = ApnsRequest(
                token=b"00ab" * 16,
                payload=payload,
                apns_id=identity(name).encode(),
                topic=b"com.example.app",
                push_type=b"alert",
                priority=10,
                expiration=0,
                collapse_id=b"",
                response_timeout=response_timeout,
                give_up_at=time.monotonic() + WAIT,
                on_outcome=self._told,
                owner=name,
            )
            self._waiting += 1
            self.pool.submit(request)
        return taken

    async def answers(self) -> None:
        """Wait for the outcomes of all that was submitted."""
        await self.told_but(0)

    async def told_but(self, rest: int) -> None:
        """Wait until at most `rest` requests have no outcome."""
        async with asyncio.timeout(WAIT):
            while self._waiting > rest:
                self._changed.clear()
                await self._changed.wait()

    async def send(self, names: Iterable[str], *, response_timeout: float = 20.0, padding: int = 0) -> None:
        """`submit` and `answers`."""
        self.submit(names, response_timeout=response_timeout, padding=padding)
        await self.answers()

    async def insist(self, names: Iterable[str], *, response_timeout: float = 20.0) -> None:
        """Send, and repeat once what came back as worth an immediate repetition."""
        taken = list(names)
        await self.send(taken, response_timeout=response_timeout)
        again = [name for name in taken if self.outcomes[name][-1].retry_at_once]
        await self.send(again, response_timeout=response_timeout)

    def kinds(self) -> dict[OutcomeKind, int]:
        """How many requests ended how, by their last outcome."""
        kinds = [outcomes[-1].kind for outcomes in self.outcomes.values()]
        return {kind: kinds.count(kind) for kind in set(kinds)}

    def reasons(self) -> set[str]:
        """All reasons among the outcomes."""
        return {outcome.reason for outcomes in self.outcomes.values() for outcome in outcomes}

    def _told(self, request: ApnsRequest, outcome: Outcome) -> None:
        self.outcomes.setdefault(request.owner, []).append(outcome)
        self._waiting -= 1
        self._changed.set()


def identity(name: str) -> str:
    """The apns-id of a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def numbered(count: int, prefix: str = "n") -> list[str]:
    """`count` names."""
    return [f"{prefix}{number}" for number in range(count)]
