"""Requests about the queue, answered from the workers: each is asked for one bounded step after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

from tubepost_dispatcher.queue_request import Action, Change, Cursor, Group, Query, add_up
from tubepost_dispatcher.queue_step import Answer, Partition, Step, StepResult
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed

_LOG = logging.getLogger("tubepost.supervisor")

BUDGET: Final = 1.0
"""Seconds after which a request is answered with what has been done, and where to go on."""
STEP_TIMEOUT: Final = 3.0
"""Seconds that a worker may take for one step, since its disk may be slow. Two of them and `BUDGET` are less
than an HTTP answer may take."""
MOST_GROUPS: Final = 1_000
"""Groups of one answer; beyond, the smallest are put together."""
MOST_LINES: Final = 2_000
"""Lines of journals in one answer."""
_UNUSABLE: Final = frozenset({"locked", "failed"})


class Operable(Protocol):
    """A worker, as this module sees it."""

    @property
    def index(self) -> int:
        """Which of the workers it is."""

    async def operate(self, step: Step, timeout: float) -> StepResult:
        """Do one step."""


class QueueOperations:
    """Answers requests about the queue.

    Args:
        workers: those that are ready.
        orphaned: partitions that no worker has.
        wall: unix seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        workers: Callable[[], Sequence[Operable]],
        orphaned: Callable[[], Sequence[int]] = tuple,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = workers
        self._orphaned = orphaned
        self._wall = wall
        self._clock = clock

    async def summary(self, query: Query) -> Answer:
        """The partitions, and counts of what the selection names."""
        return await self._walk(Step("count", selection=query.selection), query.cursor)

    async def notifications(self, query: Query) -> Answer:
        """The notifications that the selection names, at most `query.limit` of them."""
        step = Step("list", selection=query.selection, limit=query.limit)
        return await self._walk(step, query.cursor)

    async def trace(self, query: Query) -> Answer:
        """What journals and queue have about the selection's ids."""
        if query.cursor is not None:
            return await self.notifications(query)
        # At the same time: a worker that does not answer is waited for once.
        beside = Answer(0.0)
        asked = Step("trace", selection=query.selection)
        answer, results = await asyncio.gather(
            self.notifications(query),
            asyncio.gather(*(self._ask(one, asked, beside) for one in self._workers())),
        )
        lines = [line for result in results if result is not None for line in result.lines]
        answer.lines = sorted(lines, key=lambda line: line.get("at", 0.0))[-MOST_LINES:]
        answer.problems += [problem for problem in beside.problems if problem not in answer.problems]
        return answer

    async def change(self, change: Change) -> Answer:
        """Do what was asked for, or count what it would be done with."""
        as_of = self._wall() if change.cursor is None else change.cursor.as_of
        note = _note(change, as_of)
        step = Step(
            "count" if change.dry_run else "change",
            selection=change.selection,
            action=change.action,
            note=note,
        )
        answer = await self._walk(step, change.cursor, as_of)
        if not change.dry_run:
            _record(change, answer)
        return answer

    async def _walk(self, step: Step, cursor: Cursor | None, as_of: float | None = None) -> Answer:
        """Partition after partition, step after step, until the time is over or there is no more."""
        at = cursor or Cursor(self._wall() if as_of is None else as_of)
        answer = Answer(at.as_of)
        owners = await self._owners(answer)
        answer.partitions = [partition for _, (_, partition) in sorted(owners.items())]
        end = self._clock() + BUDGET
        for number in sorted(owners):
            if number < at.partition:
                continue
            after = at.after if number == at.partition else None
            worker, _ = owners[number]
            while True:
                limit = step.limit - len(answer.listed)
                if limit <= 0 or (self._clock() >= end and answer.looked_at):
                    answer.following = Cursor(at.as_of, number, after)
                    return _finished(answer)
                asked = replace(step, partition=number, after=after, as_of=at.as_of, limit=limit)
                result = await self._ask(worker, asked, answer)
                if result is None:
                    break
                _take(answer, result)
                if result.problem or result.following is None:
                    break
                after = result.following
        return _finished(answer)

    async def _owners(self, answer: Answer) -> dict[int, tuple[Operable, Partition]]:
        """Who has which partition; of two that name one, the one that can use it."""
        workers = self._workers()
        if not workers:
            answer.problems.append("no worker is ready; ask again when /readyz says ok")
        answer.problems += [
            f"partition {number:02d}: no worker has it, and what is in it is missing here. See why its worker"
            " does not start"
            for number in self._orphaned()
        ]
        results = await asyncio.gather(*(self._ask(one, Step("partitions"), answer) for one in workers))
        owners: dict[int, tuple[Operable, Partition]] = {}
        for worker, result in zip(workers, results, strict=True):
            if result is None:
                continue
            answer.lines_lost += result.lines_lost
            answer.lines_kept = answer.lines_kept and result.lines_kept
            for partition in result.partitions:
                if partition.number not in owners or owners[partition.number][1].state in _UNUSABLE:
                    owners[partition.number] = (worker, partition)
        return owners

    async def _ask(self, worker: Operable, step: Step, answer: Answer) -> StepResult | None:
        try:
            return await worker.operate(step, STEP_TIMEOUT)
        except (TimeoutError, WorkerFailed) as error:
            why = str(error) or f"worker {worker.index} does not answer"
            problem = f"{why}; what it has is missing here. Ask again in a minute"
            if problem not in answer.problems:
                answer.problems.append(problem)
            return None


def _take(answer: Answer, result: StepResult) -> None:
    answer.groups += result.groups
    answer.listed += result.listed
    # What lists nothing has passed over something all the same.
    answer.looked_at += result.looked_at or len(result.listed) or 1
    answer.under_way += result.under_way
    if result.problem:
        answer.problems.append(result.problem)
    if len(answer.groups) > 2 * MOST_GROUPS:
        answer.groups = add_up(answer.groups, MOST_GROUPS)


def _finished(answer: Answer) -> Answer:
    answer.groups = add_up(answer.groups, MOST_GROUPS)
    return answer


def _note(change: Change, as_of: float) -> str:
    """Who does it, when and why: the same in all steps of a request."""
    when = datetime.fromtimestamp(as_of, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{when} {change.by or 'operator'}" + (f": {change.reason}" if change.reason else "")


_PAST: Final = {
    Action.FLUSH: "flushed",
    Action.HOLD: "held",
    Action.RELEASE: "released",
    Action.DROP: "dropped",
}


def _record(change: Change, answer: Answer) -> None:
    """Log what was done, by whom and why; once for each request, which is a second's work at most."""
    count = sum(group.queued for group in answer.groups)
    if not count and answer.following is not None:
        return
    level = logging.WARNING if change.action is Action.DROP else logging.INFO
    _LOG.log(
        level,
        "queue: %d notification(s) %s by %s (%s): %s%s",
        count,
        _PAST[change.action],
        change.by or "operator",
        change.reason or "no reason given",
        change.selection,
        _by_reason(answer.groups),
    )


def _by_reason(groups: Sequence[Group], most: int = 5) -> str:
    sums: dict[str, int] = {}
    for group in groups:
        name = f"{group.domain} {group.reason or 'not tried'}"
        sums[name] = sums.get(name, 0) + group.queued
    shown = sorted(sums.items(), key=lambda one: -one[1])[:most]
    return "".join(f"; {name}: {count}" for name, count in shown)
