"""Several processes keep the same limits: exactly, and whatever becomes of one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dispatcher.pod_limits import peer
from tubepost_dispatcher.pod_limits import memory


class Peer:
    """A process that takes part."""

    def __init__(self, fd: int, *more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, peer.__file__, str(fd), *more],
            pass_fds=(fd,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.row = self.answer()

    def ask(self, verb: str, name: str, number: int = 0, times: int = 1, start: float = 0.0) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{verb} {name} {number} {times} {start!r}\n")
        self.process.stdin.flush()

    def answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def does(self, verb: str, name: str, number: int = 0, times: int = 1) -> int:
        self.ask(verb, name, number, times)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def until_stopped(self) -> None:
        status = Path(f"/proc/{self.process.pid}/stat")
        end = time.monotonic() + 20
        while status.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def start() -> Iterator[Callable[..., Peer]]:
    fd = memory.create()
    peers: list[Peer] = []

    def one(*more: str) -> Peer:
        peers.append(Peer(fd, *more))
        return peers[-1]

    yield one
    for each in peers:
        each.kill()
        assert each.process.stdin is not None
        assert each.process.stdout is not None
        each.process.stdin.close()
        each.process.stdout.close()
    os.close(fd)


def _at_once(peers: list[Peer], verb: str, name: str, number: int, times: int) -> list[int]:
    begin = time.monotonic() + 0.05
    for each in peers:
        each.ask(verb, name, number, times, begin)
    return [each.answer() for each in peers]


@pytest.mark.parametrize("limit", [1, 4, 100])
def test_exactly_the_limit_is_admitted_however_the_connections_are_spread(
    start: Callable[..., Peer], limit: int
) -> None:
    peers = [start() for _ in range(4)]
    for round_ in range(5):
        name = f"client-{round_}"
        assert sum(_at_once(peers, "take", name, limit, 2 * limit)) == limit
        assert {each.does("taken", name) for each in peers} == {limit}
    assert peers[0].does("take", "client-0", limit) == 0
    giver = next(each for each in peers if each.does("taken", "client-0") and _holds(each, limit))
    assert giver.does("take", "client-0", limit) == 1


def _holds(peer_: Peer, limit: int) -> bool:
    """Whether the peer could give a place back, which it then has."""
    before = peer_.does("taken", "client-0")
    peer_.does("give", "client-0")
    return before == limit and peer_.does("taken", "client-0") == limit - 1


def test_never_more_than_the_limit_while_many_come_and_go(start: Callable[..., Peer]) -> None:
    peers = [start() for _ in range(3)]
    assert peers[0].does("take", "c", 2) == 1
    assert max(_at_once(peers, "churn", "c", 2, 1)) >= 2
    assert {each.does("taken", "c") for each in peers} == {1}


def test_what_a_killed_worker_held_is_given_back(start: Callable[..., Peer]) -> None:
    one, two, three = start(), start(), start()
    assert (one.does("take", "c", 4, 3), two.does("take", "c", 4, 3)) == (3, 1)
    assert three.does("take", "c", 4) == 0
    one.kill()
    assert three.does("take", "c", 4, 9) == 3
    assert two.does("take", "c", 4) == 0
    # Its row goes to its successor, which holds nothing.
    successor = start()
    assert (successor.row, successor.does("taken", "c")) == (one.row, 4)


def test_a_stopped_worker_keeps_what_it_holds_and_nobody_waits(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    assert one.does("take", "c", 4, 3) == 3
    one.process.send_signal(signal.SIGSTOP)
    assert two.does("take", "c", 4, 9) == 1
    one.process.send_signal(signal.SIGCONT)
    assert one.does("give", "c") == 1
    assert two.does("take", "c", 4, 9) == 1


def test_a_worker_that_is_stopped_with_a_lock_keeps_nobody_from_a_place(start: Callable[..., Peer]) -> None:
    stopped, two = start("stopped"), start()
    stopped.ask("take", "c", 1)
    stopped.until_stopped()  # it has counted its place and has not looked yet
    assert two.does("take", "c", 1) == 0
    assert two.does("take", "c", 3, 9) == 2
    stopped.process.send_signal(signal.SIGCONT)
    assert stopped.answer() == 0
    assert two.does("take", "c", 3, 9) == 1


@pytest.mark.parametrize("count", [2, 4])
def test_exactly_the_throttle_passes_at_once(start: Callable[..., Peer], count: int) -> None:
    peers = [start() for _ in range(count)]
    passed = [sum(_at_once(peers, "reserve", f"domain-{round_}", 4, 1000)) for round_ in range(20)]
    # Never more; a worker that loses the processor within a reservation may cost its turn.
    assert max(passed) == 4
    assert passed.count(4) >= 17, passed


def test_a_rate_is_kept_while_all_draw_on_it(start: Callable[..., Peer]) -> None:
    peers = [start() for _ in range(3)]
    began = time.monotonic()
    sent = sum(_at_once(peers, "pace", "d", 100, 2))
    # A burst, and what the seconds are worth; whoever loses the processor half-way may cost a turn.
    assert 270 <= sent <= 101 + 100 * (time.monotonic() - began)


def test_a_killed_worker_gives_no_messages_back(start: Callable[..., Peer]) -> None:
    one, two = start(), start()
    assert one.does("reserve", "d", 4, 1000) == 4
    one.kill()
    assert two.does("reserve", "d", 4, 1000) == 0
    assert start().does("reserve", "d", 4, 1000) == 0  # the successor on the same row
    assert two.does("reserve", "d", 4, 1001) == 4


def test_a_worker_that_is_stopped_with_a_turn_keeps_nobody_from_the_next(start: Callable[..., Peer]) -> None:
    stopped, two = start("stopped"), start()
    stopped.ask("reserve", "d", 4, 1000)
    stopped.until_stopped()
    # One of the four is in its hand.
    assert two.does("reserve", "d", 4, 1000) == 3
    stopped.process.send_signal(signal.SIGCONT)
    assert stopped.answer() == 0
    assert two.does("reserve", "d", 4, 1001) == 4
