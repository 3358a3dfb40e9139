"""Listening sockets: one per worker and address, owned by the supervisor for its whole life.

Closing a SO_REUSEPORT socket resets the connections in its backlog, so a socket is closed only when its port
is given up or the dispatcher ends. Sockets of workers that are missing or not wanted are served by others.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tubepost_runtime.addresses import bind, listening_addresses, with_port

BACKLOG = 1024
"""Connections that wait to be accepted, per socket."""


class CannotBind(OSError):
    """A port that cannot be bound: which listener's, and in `remedy` where it is chosen."""

    def __init__(self, what: str, place: str, chosen: str, error: OSError) -> None:
        super().__init__(error.errno, f"{what} cannot listen on {place}: {error.strerror or error}")
        self.remedy = f"choose another port: {chosen}"
        if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT} or isinstance(error, socket.gaierror):
            self.remedy = "choose an address of this machine"
        elif error.errno == errno.EACCES:
            self.remedy = f"choose a port above 1023: {chosen}"

    def __str__(self) -> str:
        """The message alone."""
        return str(self.strerror)


@contextlib.contextmanager
def binding(what: str, host: str, port: int, chosen: str) -> Iterator[None]:
    """Name what is being bound, and where its port is chosen, in the error that it cannot be.

    Raises:
        CannotBind: in the place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise CannotBind(what, with_port(host, port), chosen, error) from error


class Share(NamedTuple):
    """Sockets for one worker: of SMTP, and for requests."""

    smtp: Sequence[socket.socket]
    rest: Sequence[socket.socket] = ()

    @property
    def all(self) -> list[socket.socket]:
        """SMTP's first."""
        return [*self.smtp, *self.rest]


class ListenerSockets:
    """The sockets of one port.

    Args:
        host: the address, `::` for all of both families, `localhost` for loopback of both.
        port: 0 for any.
        rest: it is the port for requests, not SMTP's.
    """

    def __init__(self, host: str, port: int, *, rest: bool = False) -> None:
        self.rest = rest
        self._addresses = listening_addresses(host)
        self._port = port
        self._sockets: list[tuple[socket.socket, ...]] = []
        """For each worker one per address."""

    @property
    def port(self) -> int:
        """The port; the one given by the kernel when 0 was asked for."""
        return self._port

    def ensure(self, count: int) -> None:
        """Have sockets for at least `count` workers.

        Raises:
            OSError: an address cannot be bound.
        """
        while len(self._sockets) < count:
            self._sockets.append(self._bind())

    def _bind(self) -> tuple[socket.socket, ...]:
        bound: list[socket.socket] = []
        try:
            for address in self._addresses:
                if self._port and not self._sockets:
                    # Without SO_REUSEPORT first: with it, a second program would silently share our port.
                    bind(address, self._port).close()
                bound.append(bind(address, self._port, shared=True))
                self._port = bound[-1].getsockname()[1]
                bound[-1].listen(BACKLOG)
        except BaseException:
            for sock in bound:
                sock.close()
            raise
        return tuple(bound)

    def of_worker(self, index: int, count: int) -> list[socket.socket]:
        """The sockets that worker `index` of `count` serves; every socket belongs to exactly one."""
        return [sock for place in self._sockets[index::count] for sock in place]

    def close(self) -> None:
        """Close all, at the very end, or when the port was given up."""
        for place in self._sockets:
            for sock in place:
                sock.close()
        self._sockets.clear()


def share_of(ports: Sequence[ListenerSockets], indices: Sequence[int], count: int) -> Share:
    """The sockets of several ports that belong to workers `indices` of `count`."""
    smtp: list[socket.socket] = []
    rest: list[socket.socket] = []
    for sockets in ports:
        for index in indices:
            (rest if sockets.rest else smtp).extend(sockets.of_worker(index, count))
    return Share(smtp, rest)
