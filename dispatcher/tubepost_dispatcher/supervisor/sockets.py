"""Listening sockets: one per worker, owned by the supervisor for its whole life.

Closing a SO_REUSEPORT socket resets the connections in its backlog, so a socket is closed only when its port
is given up or the dispatcher ends. Sockets of workers that are missing or not wanted are served by others.
"""

from __future__ import annotations

import socket

BACKLOG = 1024
"""Connections that wait to be accepted, per socket."""


class ListenerSockets:
    """The sockets of one listening address."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._sockets: list[socket.socket] = []

    @property
    def port(self) -> int:
        """The port; the one given by the kernel when 0 was asked for."""
        return self._port

    def ensure(self, count: int) -> None:
        """Have at least `count` sockets.

        Raises:
            OSError: the address cannot be bound.
        """
        while len(self._sockets) < count:
            self._sockets.append(self._bind())

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._port:
                _refuse_taken(family, self._host, self._port, bool(self._sockets))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((self._host, self._port))
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        self._port = sock.getsockname()[1]
        return sock

    def of_worker(self, index: int, count: int) -> list[socket.socket]:
        """The sockets that worker `index` of `count` serves; every socket belongs to exactly one."""
        return [sock for number, sock in enumerate(self._sockets) if number % count == index]

    def close(self) -> None:
        """Close all, at the very end."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


def _refuse_taken(family: int, host: str, port: int, ours: bool) -> None:
    """Bind without SO_REUSEPORT first: with it, a second program would silently share our port."""
    if ours:
        return
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
