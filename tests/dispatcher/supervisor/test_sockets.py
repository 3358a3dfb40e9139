from __future__ import annotations

import socket

import pytest

from tubepost_dispatcher.supervisor.sockets import ListenerSockets


def test_every_socket_belongs_to_exactly_one_worker() -> None:
    sockets = ListenerSockets("127.0.0.1", 0)
    try:
        sockets.ensure(5)
        for count in (1, 2, 3, 5):
            shares = [sockets.of_worker(index, count) for index in range(count)]
            assert all(shares)
            flat = [sock.fileno() for share in shares for sock in share]
            assert sorted(flat) == sorted(set(flat))
            assert len(flat) == 5
        ports = {sock.getsockname()[1] for sock in sockets.of_worker(0, 1)}
        assert ports == {sockets.port}
    finally:
        sockets.close()


def test_a_port_that_another_program_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        sockets = ListenerSockets("127.0.0.1", other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            sockets.ensure(1)
        sockets.close()
