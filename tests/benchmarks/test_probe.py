from __future__ import annotations

import os
import socket
import threading

import pytest

from benchmarks import probe
from benchmarks.probe import Stall, Times, Trip, probing, trip


def test_what_was_waited_for_a_core_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5])
    monkeypatch.setattr(probe.time, "perf_counter", lambda: next(clock))
    loop = iter([Times(1.0, 2.0), Times(1.05, 2.3)])
    own = iter([Times(0.0, 5.0), Times(0.0, 5.1)])
    found = trip(lambda: None, lambda: next(loop), lambda: next(own))
    assert found == pytest.approx(Trip(wall=0.5, net=0.1, cpu=0.05))


def test_a_stall_is_the_longest_of_each() -> None:
    found = Stall.of([Trip(0.001, 0.001, 0.0)] * 1_999 + [Trip(0.2, 0.01, 0.004), Trip(0.1, 0.05, 0.002)])
    assert found.as_dict() == pytest.approx(
        {"ms": 50.0, "wall_ms": 200.0, "cpu_ms": 4.0, "p999_ms": 1.0, "trips": 2_001}
    )


def test_the_times_of_a_thread_are_its_own() -> None:
    before = probe.times(os.getpid(), threading.get_native_id())
    sum(range(100_000))
    assert probe.times(os.getpid(), threading.get_native_id()) >= before
    with pytest.raises(OSError, match="No such file"):
        probe.times(os.getpid(), 1 << 30)


def test_it_probes_a_session_until_the_block_ends_and_tells_of_a_server_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve(replies: bytes) -> None:
            client, _ = listening.accept()
            with client, client.makefile("rb") as lines:
                client.sendall(b"220 x\r\n")
                assert lines.readline().startswith(b"EHLO")
                client.sendall(b"250-x\r\n250 y\r\n")
                while lines.readline():
                    client.sendall(replies)

        server = threading.Thread(target=serve, args=(b"250 ok\r\n",))
        server.start()
        answered = threading.Event()
        with probing(port, os.getpid()) as found:
            while len(found) < 3:
                answered.wait(0.01)
        server.join()
        assert all(one.wall >= one.net >= 0 for one in found)
        server = threading.Thread(target=serve, args=(b"421 no\r\n",))
        server.start()
        with pytest.raises(RuntimeError, match="421 no"), probing(port, os.getpid()):
            server.join(60)
