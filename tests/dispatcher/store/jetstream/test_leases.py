"""Leases: what is left in them, whose they are, and when they have to be written anew."""

from __future__ import annotations

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.store.jetstream.leases import RENEWED, REWRITTEN, SURE, Lease, Leases


def a_lease(seq: int, *keys: int, written: float = 0.0) -> Lease:
    lease = Lease(f"q.lease.o.{seq}", seq, written)
    for key in keys:
        lease.add(key, an_entry(key))
    return lease


def test_the_last_entry_takes_the_lease_with_it() -> None:
    leases = Leases()
    lease = a_lease(1, 10, 11)
    leases.add(lease)
    assert leases.of(10) is leases.of(11) is leases.at(1) is lease
    assert leases.drop(10, 1.0) is None
    assert leases.drop(10, 1.0) is None
    assert len(leases) == 1
    assert leases.drop(11, 2.0) is lease
    assert leases.of(11) is None
    assert leases.at(1) is lease  # until its message is gone
    leases.forget(lease)
    assert leases.at(1) is None
    assert list(leases) == []


def test_it_is_written_anew_when_it_is_old_or_something_has_left_it() -> None:
    lease = a_lease(1, 10, 11, written=100.0)
    assert not lease.due(100.0 + RENEWED - 1)
    assert lease.due(100.0 + RENEWED)
    lease.drop(10, 101.0)
    assert not lease.due(101.0)
    assert lease.due(101.0 + REWRITTEN)
    lease.writing = True
    assert not lease.due(200.0)
    lease.writing = False
    lease.drop(11, 102.0)
    assert not lease.due(200.0)  # there is nothing to write


def test_after_a_while_nobody_can_be_sure_of_it() -> None:
    leases = Leases()
    old, young = a_lease(1, 10, written=0.0), a_lease(2, 20, written=30.0)
    leases.add(old)
    leases.add(young)
    assert leases.unsure(SURE) == [old]
    assert leases.forget(old) == [10]
    assert old.given_up
    assert leases.of(10) is None
    assert list(leases) == [young]


def test_what_was_written_anew_is_another_message() -> None:
    leases = Leases()
    lease = a_lease(1, 10, written=0.0)
    leases.add(lease)
    leases.renewed(lease, 9, 20.0)
    assert leases.at(1) is None
    assert leases.at(9) is lease
    assert leases.unsure(SURE) == []


def test_what_is_given_back_is_free_once_and_only_if_it_is_ours() -> None:
    leases = Leases()
    lease = a_lease(1, 10, 11)
    leases.add(lease)
    lease.moving.add(11)
    assert leases.free([10, 11, 99], 5.0) == [10]
    assert leases.free([10], 6.0) == []
    assert lease.free == {10: 5.0}
