from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_operator.lease import Elector, Guard, NotLeader, read_lease_record
from tubepost_operator.observed import Document
from tubepost_operator.settings import LEASE_DURATION, LEASE_MARGIN, LEASE_RENEW

WALL = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Server:
    """A Lease on a server: the last writer with the right version wins."""

    def __init__(self) -> None:
        self.lease: Document | None = None
        self.version = 0

    def write(self, lease: Document, *, create: bool) -> bool:
        if create != (self.lease is None):
            return False
        if not create and lease["metadata"]["resourceVersion"] != str(self.version):
            return False
        self.version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return True


class Replica:
    """One replica: an elector, a guard, a clock of its own."""

    def __init__(self, identity: str, server: Server, clock: float) -> None:
        self.elector = Elector(identity, "lease", "default")
        self.server = server
        self.offset = clock
        self.now = 0.0
        self.guard = Guard(lambda: self.now + self.offset)
        self.identity = identity

    def step(self, now: float, *, delay: float = 0.0, lost: bool = False) -> None:
        """Look and, perhaps, write; the request takes `delay` seconds, its answer may be lost."""
        self.now = now
        record = read_lease_record(self.server.lease) if self.server.lease is not None else None
        step = self.elector.step(
            record, now + self.offset, WALL.replace(microsecond=int(now * 1000) % 1_000_000)
        )
        if step.lease is None:
            return
        written = self.server.write(step.lease, create=step.action == "create")
        if written and not lost:
            self.guard.hold(now + self.offset + LEASE_DURATION - LEASE_MARGIN)
        self.now = now + delay

    def may_write(self, now: float) -> bool:
        self.now = now
        return self.guard.held


def test_the_first_takes_it_and_keeps_it() -> None:
    server = Server()
    one, two = Replica("one", server, 0.0), Replica("two", server, 1000.0)
    now = 0.0
    while now < 60:
        one.step(now)
        two.step(now + 0.5)
        assert one.may_write(now + 0.6)
        assert not two.may_write(now + 0.6)
        now += LEASE_RENEW
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 0


def test_another_takes_over_within_twenty_seconds() -> None:
    server = Server()
    one, two = Replica("one", server, 0.0), Replica("two", server, -500.0)
    for now in range(0, 10, 2):
        one.step(float(now))
        two.step(now + 1.9)
    killed = 8.0
    now = killed + 2
    while not two.may_write(now):
        two.step(now + 1.9)
        now += LEASE_RENEW
        assert now - killed < 20
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == "two"
    assert server.lease["spec"]["leaseTransitions"] == 1


def test_who_stood_still_may_not_write() -> None:
    server = Server()
    one, two = Replica("one", server, 0.0), Replica("two", server, 0.0)
    one.step(0.0)
    for now in range(0, 20, 2):
        two.step(float(now))
    assert two.may_write(19.0)
    # It wakes up and goes on where it was.
    assert not one.may_write(19.0)
    with pytest.raises(NotLeader):
        one.guard.check()


def test_a_lease_that_is_given_back_is_taken_at_once() -> None:
    server = Server()
    one, two = Replica("one", server, 0.0), Replica("two", server, 0.0)
    one.step(0.0)
    two.step(1.0)
    assert server.lease is not None
    released = one.elector.release(read_lease_record(server.lease), WALL)
    assert server.write(released, create=False)
    two.step(2.0)
    assert two.may_write(2.1)


def test_a_lease_of_our_own_from_before_a_restart_is_taken_at_once() -> None:
    server = Server()
    Replica("one", server, 0.0).step(0.0)
    again = Replica("one", server, 0.0)
    again.step(1.0)
    assert again.may_write(1.1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.floats(0.05, 9.0),
            st.floats(0.0, 3.0),
            st.booleans(),
        ),
        max_size=80,
    ),
    st.lists(st.floats(-1000.0, 1000.0), min_size=3, max_size=3),
)
def test_there_are_never_two_who_may_write(
    steps: list[tuple[int, float, float, bool]], offsets: list[float]
) -> None:
    """Whoever stands still, however slow requests are and whatever answers get lost."""
    server = Server()
    replicas = [Replica(str(index), server, offset) for index, offset in enumerate(offsets)]
    now = 0.0
    for index, pause, delay, lost in steps:
        now += pause
        replicas[index].step(now, delay=delay, lost=lost)
        now += delay
        assert sum(replica.may_write(now) for replica in replicas) <= 1


def test_odd_records_count_as_free_or_expire() -> None:
    assert read_lease_record({"metadata": {}}).holder == ""
    odd = read_lease_record({"metadata": {}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": "a"}})
    assert odd.duration == LEASE_DURATION
