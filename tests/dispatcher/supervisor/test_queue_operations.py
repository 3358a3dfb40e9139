"""Requests over workers that are made up: which is asked for what, and what is missing where one is silent."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tubepost_dispatcher.queue_request import Action, Change, Cursor, Group, Query, Selection
from tubepost_dispatcher.queue_step import Answer, Partition, Queued, Step, StepResult
from tubepost_dispatcher.supervisor import queue_operations as module
from tubepost_dispatcher.supervisor.queue_operations import QueueOperations
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed
from tubepost_runtime.endpoints import ANSWER_TIMEOUT

NOW = 1_800_000_000.0


def shown(name: str, partition: int) -> Queued:
    return Queued(
        name, "", partition, "waiting", "a.example", "", "", "", "", "", 0, NOW, NOW, NOW, 0, "", "", ""
    )


class FakeWorker:
    """Has partitions with so many entries, and looks at two of them in each step."""

    def __init__(self, index: int, *partitions: tuple[int, int], state: str = "owned") -> None:
        self.index = index
        self.entries = dict(partitions)
        self.state = state
        self.steps: list[Step] = []
        self.error: Exception | None = None
        self.problem = ""
        self.lines: tuple[dict[str, Any], ...] = ()

    async def operate(self, step: Step, timeout: float) -> StepResult:
        assert timeout > 0
        self.steps.append(step)
        if self.error is not None:
            raise self.error
        if step.work == "partitions":
            return StepResult(
                tuple(
                    Partition(number, self.state, count, 0, 4096) for number, count in self.entries.items()
                ),
                lines_lost=1,
                lines_kept=True,
            )
        if step.work == "trace":
            return StepResult(lines=self.lines, lines_kept=True)
        if self.problem:
            return StepResult(problem=self.problem)
        first = 0 if step.after is None else step.after
        last = min(first + min(2, step.limit), self.entries[step.partition])
        following = last if last < self.entries[step.partition] else None
        count = last - first
        if step.work == "list":
            listed = tuple(
                shown(f"m{step.partition}-{number}", step.partition) for number in range(first, last)
            )
            return StepResult(listed=listed, following=following)
        group = Group("a.example", "", "", "", count, 0, NOW, 10 * count)
        return StepResult(groups=(group,) if count else (), looked_at=count, following=following)


class Bench:
    def __init__(self, *workers: FakeWorker, budget: float = 100.0) -> None:
        self.workers = workers
        self.now = 0.0
        self.operations = QueueOperations(lambda: workers, wall=lambda: NOW + self.now, clock=self._tick)

    def _tick(self) -> float:
        self.now += 0.3
        return self.now


def total(answer: Answer) -> int:
    return sum(group.queued for group in answer.groups)


async def test_every_partition_is_counted_over_as_many_requests_as_it_takes() -> None:
    bench = Bench(FakeWorker(0, (0, 5)), FakeWorker(1, (1, 7), (4, 3)))
    counted, cursor, asked = 0, None, 0
    while True:
        answer = await bench.operations.summary(Query(Selection(domain="a.example"), cursor))
        counted += total(answer)
        asked += 1
        cursor = answer.following
        if cursor is None:
            break
        assert cursor.as_of == pytest.approx(NOW, abs=1.0)
    assert counted == 15
    assert asked > 1
    assert [partition.number for partition in answer.partitions] == [0, 1, 4]
    steps = [step for worker in bench.workers for step in worker.steps if step.work == "count"]
    assert len({step.as_of for step in steps}) == 1, "all of one moment"
    assert {step.selection.domain for step in steps} == {"a.example"}


async def test_a_list_has_at_most_what_was_asked_for_and_goes_on() -> None:
    bench = Bench(FakeWorker(0, (0, 3)), FakeWorker(1, (1, 3)))
    names: list[str] = []
    cursor = None
    for _ in range(20):
        answer = await bench.operations.notifications(Query(Selection(), cursor, 4))
        assert len(answer.listed) <= 4
        names += [one.message_id for one in answer.listed]
        cursor = answer.following
        if cursor is None:
            break
    assert names == ["m0-0", "m0-1", "m0-2", "m1-0", "m1-1", "m1-2"]


async def test_a_partition_that_two_name_is_the_ones_that_can_use_it() -> None:
    for order in (0, 1):
        locked, owner = FakeWorker(0, (3, 9), state="locked"), FakeWorker(1, (3, 2), state="adopted")
        bench = Bench(*((locked, owner) if order else (owner, locked)))
        answer = await bench.operations.summary(Query())
        assert total(answer) == 2
        assert [one.state for one in answer.partitions] == ["adopted"]


@pytest.mark.parametrize("error", [TimeoutError(), WorkerFailed("worker 1 (pid 7) ended with -9")])
async def test_what_a_silent_worker_has_is_missing_and_that_is_said(error: Exception) -> None:
    silent = FakeWorker(1, (1, 5))
    silent.error = error
    bench = Bench(FakeWorker(0, (0, 2)), silent)
    answer = await bench.operations.summary(Query())
    assert total(answer) == 2
    (problem,) = answer.problems
    assert "worker 1" in problem
    assert "is missing here" in problem


async def test_a_partition_that_nobody_has_is_told() -> None:
    operations = QueueOperations(lambda: [FakeWorker(0, (0, 1))], lambda: (7,), wall=lambda: NOW)
    answer = await operations.summary(Query())
    (problem,) = answer.problems
    assert problem.startswith("partition 07: no worker has it")
    assert total(answer) == 1


def test_an_answer_comes_before_http_gives_up() -> None:
    assert 2 * module.STEP_TIMEOUT + module.BUDGET < ANSWER_TIMEOUT - 1.0


async def test_a_trace_says_once_which_worker_is_silent() -> None:
    silent, other = FakeWorker(1, (1, 5)), FakeWorker(0, (0, 1))
    silent.error = TimeoutError()
    other.lines = ({"at": 2.0, "id": "m1"},)
    answer = await Bench(other, silent).operations.trace(Query(Selection(ids=("m1",))))
    assert len(answer.problems) == 1
    assert len(answer.lines) == 1
    assert {step.work for step in silent.steps} == {"partitions", "trace"}, "at the same time"


async def test_without_a_worker_that_is_said() -> None:
    answer = await Bench().operations.summary(Query())
    assert answer.problems == ["no worker is ready; ask again when /readyz says ok"]


async def test_a_partition_that_fails_does_not_keep_the_others_from_being_counted() -> None:
    failing = FakeWorker(0, (0, 5))
    failing.problem = "partition 00: the disk failed"
    answer = await Bench(failing, FakeWorker(1, (1, 2))).operations.summary(Query())
    assert answer.problems == ["partition 00: the disk failed"]
    assert total(answer) == 2


async def test_a_trace_has_the_lines_of_all_workers_in_the_order_of_time() -> None:
    first, second = FakeWorker(0, (0, 1)), FakeWorker(1)
    first.lines = ({"at": 2.0, "id": "m1"},)
    second.lines = ({"at": 1.0, "id": "m1"}, {"id": "m1"})
    bench = Bench(first, second)
    answer = await bench.operations.trace(Query(Selection(ids=("m1",))))
    assert [line.get("at") for line in answer.lines] == [None, 1.0, 2.0]
    assert [one.message_id for one in answer.listed] == ["m0-0"]
    assert (answer.lines_lost, answer.lines_kept) == (2, True)
    again = await bench.operations.trace(Query(Selection(ids=("m1",)), Cursor(NOW, 0, 1)))
    assert again.lines == [], "they came with the first answer"


async def test_a_change_is_the_same_in_all_its_steps_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(FakeWorker(0, (0, 20)))
    change = Change(Action.DROP, Selection(domain="a.example"), reason="by mistake", by="alice")
    changed, cursor = 0, None
    while True:
        answer = await bench.operations.change(
            Change(change.action, change.selection, cursor, reason=change.reason, by=change.by)
        )
        changed += total(answer)
        cursor = answer.following
        if cursor is None:
            break
    assert changed == 20
    notes = {step.note for step in bench.workers[0].steps if step.work == "change"}
    assert notes == {"2027-01-15T08:00:00Z alice: by mistake"}
    assert {step.action for step in bench.workers[0].steps if step.work == "change"} == {Action.DROP}
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert sum(int(record.getMessage().split()[1]) for record in caplog.records) == 20
    assert "dropped by alice (by mistake): domain='a.example'; a.example not tried: " in caplog.text


async def test_a_dry_run_counts_with_the_same_selection_and_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench(FakeWorker(0, (0, 2)))
    answer = await bench.operations.change(Change(Action.HOLD, Selection(), dry_run=True))
    assert total(answer) == 2
    works = [(step.work, step.action) for step in bench.workers[0].steps]
    assert works == [("partitions", None), ("count", Action.HOLD)]
    assert not caplog.records


async def test_an_answer_has_a_bounded_number_of_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_GROUPS", 3)
    worker = FakeWorker(0, (0, 2))

    async def operate(step: Step, timeout: float) -> StepResult:
        if step.work == "partitions":
            return StepResult((Partition(0, "owned", 100, 0, 1),))
        first = step.after or 0
        groups = tuple(Group(f"{first + n}.example", "", "", "", 1, 0, NOW, 1) for n in range(5))
        return StepResult(groups=groups, looked_at=5, following=first + 5 if first < 20 else None)

    worker.operate = operate  # type: ignore[method-assign]
    bench = Bench(worker)
    bench.now = -1_000.0
    answer = await bench.operations.summary(Query())
    assert len(answer.groups) <= 4
    assert total(answer) == 25 or answer.following is not None
