from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_api.config import Throttle
from tubepost_dispatcher.pod_limits import memory as module
from tubepost_dispatcher.pod_limits.bucket import TokenBucket
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_dispatcher.pod_limits.memory import WAYS, Memory
from tubepost_dispatcher.pod_limits.shared import SharedLimits

# Record locks do not exclude within a process, so each "worker" here gets its row by hand; what locks are
# for is tested with processes.


class _Row(Memory):
    row_wanted = 0

    def _take_row(self) -> int:
        self._words[2 + self.row_wanted] += 1
        return self.row_wanted

    def void_if_dead(self, row: int) -> bool:
        return False


def _workers(fd: int, count: int) -> list[SharedLimits]:
    made = []
    for row in range(count):
        kind = type("_Nth", (_Row,), {"row_wanted": row})
        made.append(SharedLimits(kind(fd)))
    return made


@pytest.fixture(scope="module")
def fd() -> Iterator[int]:
    made = module.create()
    yield made
    os.close(made)


@pytest.fixture
def fresh() -> Iterator[Callable[[int], list[SharedLimits]]]:
    fds: list[int] = []

    def make(count: int) -> list[SharedLimits]:
        fds.append(module.create())
        return _workers(fds[-1], count)

    yield make
    for made in fds:
        os.close(made)


_NAMES = iter(range(10**9))


@given(
    messages=st.integers(1, 50),
    seconds=st.integers(1, 60).map(float) | st.floats(0.1, 60.0),
    calls=st.lists(
        st.tuples(st.integers(0, 2), st.floats(0.0, 5.0), st.floats(0.0, 90.0)), min_size=1, max_size=80
    ),
)
def test_the_workers_turns_are_those_of_one_bucket(
    fd: int, messages: int, seconds: float, calls: list[tuple[int, float, float]]
) -> None:
    limit = Throttle(messages=messages, seconds=seconds)
    name = f"domain-{next(_NAMES)}"
    buckets = [worker.bucket(name, limit) for worker in _workers(fd, 3)]
    alone = TokenBucket(limit)
    now = 0.0
    for who, gap, patience in calls:
        now += gap
        turn = alone.reserve(now, float("inf"))
        # Patience decides in the same way, away from the nanosecond at which the turn is.
        if abs(turn - now - patience) > 1e-6 and turn > now + patience:
            assert buckets[who].reserve(now, now + patience) == -1.0
        assert buckets[who].reserve(now, float("inf")) == pytest.approx(turn, abs=1e-6)


@given(
    limit=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.sampled_from("abc")), max_size=120),
)
def test_the_workers_places_are_those_of_one_process(
    fd: int, limit: int, steps: list[tuple[int, bool, str]]
) -> None:
    workers = _workers(fd, 3)
    prefix = f"{next(_NAMES)} "
    held: dict[tuple[int, str], int] = {}
    for who, take, letter in steps:
        total = sum(count for (_, name), count in held.items() if name == letter)
        key = (who, letter)
        if take:
            assert workers[who].take(prefix + letter, limit) is (total < limit)
            held[key] = held.get(key, 0) + (total < limit)
        elif held.get(key):
            workers[who].give(prefix + letter)
            held[key] -= 1
        for worker in workers:
            expected = sum(count for (_, name), count in held.items() if name == letter)
            assert worker.taken(prefix + letter) == expected


@pytest.mark.parametrize("make", [LocalLimits, None])
def test_no_limit_counts_and_a_limit_that_is_lowered_admits_none_until_there_is_room(
    fresh: Callable[[int], list[SharedLimits]], make: Callable[[], LocalLimits] | None
) -> None:
    limits = make() if make is not None else fresh(1)[0]
    assert all(limits.take("c", 0) for _ in range(5))
    assert limits.taken("c") == 5
    assert not limits.take("c", 5)
    assert not limits.take("c", 3)
    for _ in range(3):
        limits.give("c")
    assert limits.take("c", 3)
    assert limits.taken("c") == 3
    limits.give("never taken")
    assert limits.taken("never taken") == 0


def test_a_changed_throttle_starts_full_and_an_unchanged_one_goes_on(
    fresh: Callable[[int], list[SharedLimits]],
) -> None:
    one, two = fresh(2)
    before = one.bucket("d", Throttle(messages=2))
    assert [before.reserve(10.0, 10.0) for _ in range(3)] == [10.0, 10.0, -1.0]
    assert two.bucket("d", Throttle(messages=2)).reserve(10.0, 10.0) == -1.0
    assert one.bucket("d", Throttle(messages=2)).reserve(10.0, 10.0) == -1.0
    assert two.bucket("d", Throttle(messages=3)).reserve(10.0, 10.0) == 10.0
    assert two.bucket("e", Throttle(messages=2)).reserve(10.0, 10.0) == 10.0


@pytest.mark.parametrize("messages", [1, 3, 7])
def test_turns_go_on_evenly_where_the_bytes_of_the_locks_begin_again(
    fresh: Callable[[int], list[SharedLimits]], messages: int
) -> None:
    (worker,) = fresh(1)
    bucket = worker.bucket("d", Throttle(messages=messages, seconds=60.0))
    around = (1 << 46) / 1e9 - 90.0
    turns = [bucket.reserve(around, float("inf")) for _ in range(messages * 4)]
    gaps = [b - a for a, b in zip(turns[messages - 1 :], turns[messages:], strict=False)]
    assert gaps == pytest.approx([60.0 / messages] * len(gaps), abs=1e-3)


def test_a_throttle_of_days_is_kept(fresh: Callable[[int], list[SharedLimits]]) -> None:
    one, two = fresh(2)
    limit = Throttle(messages=1, seconds=999_999.0)
    assert one.bucket("d", limit).reserve(1.0, 1.0) == 1.0
    assert two.bucket("d", limit).reserve(2.0, 500_000.0) == -1.0
    assert two.bucket("d", limit).reserve(2.0, float("inf")) == pytest.approx(1_000_000.0)


def test_keys_that_share_a_set_are_apart_until_it_is_full(
    fresh: Callable[[int], list[SharedLimits]], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = fresh(2)
    # Every key in the same set.
    monkeypatch.setattr(Memory, "key", lambda _self, name: (int(name.split()[-1]) + 1) << 32)
    for number in range(WAYS):
        assert one.take(f"{number}", 2)
        assert two.take(f"{number}", 2)
        assert not two.take(f"{number}", 2)
    assert not one.take(f"{WAYS}", 2)  # no room to count it: refused rather than not counted
    one.give("3")
    assert one.take(f"{WAYS}", 2)
    assert two.taken(f"{WAYS}") == 1
    assert two.taken("3") == 1
    limit = Throttle(messages=1)
    for number in range(WAYS):
        assert one.bucket(f"{number}", limit).reserve(100.0, 100.0) == 100.0
        assert two.bucket(f"{number}", limit).reserve(100.0, 100.0) == -1.0
    last = one.bucket(f"{WAYS}", limit)
    assert last.reserve(100.0, 1000.0) == -1.0
    assert last.reserve(200.0, 200.0) == 200.0  # those that are long full have made room
    assert two.bucket("0", limit).reserve(200.0, 200.0) == 200.0


@pytest.mark.parametrize("refused", [1, 2])
def test_memory_where_a_kernel_refuses_what_others_demand(
    monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    asked: list[int] = []
    real = os.memfd_create

    def memfd_create(name: str, flags: int) -> int:
        asked.append(flags)
        if len(asked) <= refused:
            raise OSError
        return real(name, flags)

    monkeypatch.setattr(os, "memfd_create", memfd_create)
    fd = module.create()
    try:
        assert os.fstat(fd).st_size == module.SIZE
        assert not os.get_inheritable(fd)
        assert SharedLimits(Memory(fd)).take("c", 1)
    finally:
        os.close(fd)


def test_memory_for_no_more_workers_than_there_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    fd = module.create()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(Memory, "lock", lambda *_: False)
            with pytest.raises(OSError, match="256 workers"):
                Memory(fd)
    finally:
        os.close(fd)
