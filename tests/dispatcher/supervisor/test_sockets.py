from __future__ import annotations

import socket

import pytest

from tubepost_dispatcher.supervisor.sockets import ListenerSockets


def test_every_socket_belongs_to_exactly_one_slot() -> None:
    sockets = ListenerSockets("127.0.0.1", 0)
    try:
        sockets.ensure(5)
        for count in (1, 2, 3, 5):
            slots = [sockets.of_slot(index, count) for index in range(count)]
            assert all(slots)
            flat = [sock.fileno() for slot in slots for sock in slot]
            assert sorted(flat) == sorted(set(flat))
            assert len(flat) == 5
        ports = {sock.getsockname()[1] for sock in sockets.of_slot(0, 1)}
        assert ports == {sockets.port}
    finally:
        sockets.close()


def test_a_port_that_another_program_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        sockets = ListenerSockets("127.0.0.1", other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            sockets.ensure(1)
        sockets.close()
