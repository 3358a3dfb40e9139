"""The ports that a dispatcher listens on, SMTP's and the one for requests, as configurations change them."""

from __future__ import annotations

from typing import Final, NamedTuple

from tubepost_api.config import DispatcherConfig
from tubepost_dispatcher.supervisor.settings import SupervisorSettings
from tubepost_dispatcher.supervisor.sockets import ListenerSockets, binding

Ports = tuple[ListenerSockets, ...]
"""SMTP's first; then, where there is one, the one for requests."""


_SMTP: Final = ("the SMTP listener", "--port, or spec.listener.port of the PushDomain")
_REST: Final = ("the listener for requests", "--rest-port, or spec.rest.port of the PushDomain")
"""What a listener is called, and where its port is chosen."""


class CannotListen(NamedTuple):
    """Why a configuration's ports cannot be had."""

    field: str
    message: str


class ListeningPorts:
    """Those in force, and those that were given up and are still served.

    Args:
        settings: the addresses, and ports that stand above the configuration's.
    """

    def __init__(self, settings: SupervisorSettings) -> None:
        self._settings = settings
        self.current: Ports = ()
        self._old: list[ListenerSockets] = []

    def port(self, *, rest: bool = False) -> int:
        """The port of SMTP, or the one for requests; 0 without."""
        return next((sockets.port for sockets in self.current if sockets.rest == rest), 0)

    def bind(self, config: DispatcherConfig, count: int) -> None:
        """Listen for the first time, for `count` workers.

        Raises:
            CannotBind: an address cannot be bound. What was bound is closed by `close`.
        """
        for wanted, rest in self._wanted(config):
            sockets = ListenerSockets(self._settings.smtp_host, wanted, rest=rest)
            self.current = (*self.current, sockets)
            what, chosen = _REST if rest else _SMTP
            with binding(what, self._settings.smtp_host, wanted, chosen):
                sockets.ensure(count)

    def for_config(self, config: DispatcherConfig, count: int) -> Ports | CannotListen:
        """The ports for another configuration, old ones and new ones; nothing is in force yet."""
        found: list[ListenerSockets] = []
        fresh: list[ListenerSockets] = []
        for wanted, rest in self._wanted(config):
            sockets = self._known(wanted, rest=rest)
            if sockets is None:
                sockets = ListenerSockets(self._settings.smtp_host, wanted, rest=rest)
                fresh.append(sockets)
            found.append(sockets)
            try:
                sockets.ensure(count)
            except OSError as error:
                for one in fresh:
                    one.close()
                field = "spec.rest.port" if rest else "spec.listener.port"
                return CannotListen(field, f"port {wanted} cannot be bound: {error.strerror}")
        return tuple(found)

    def change(self, ports: Ports) -> list[ListenerSockets]:
        """Put these in force; those that are given up by it, which are served until `forget`."""
        given_up = [sockets for sockets in self.current if sockets not in ports]
        self._old = [sockets for sockets in self._old if sockets not in ports] + given_up
        self.current = ports
        return given_up

    def forget(self, sockets: ListenerSockets) -> bool:
        """Whether a port that was given up still is; then it is the caller's to close."""
        if sockets not in self._old:
            return False
        self._old.remove(sockets)
        return True

    def close(self) -> None:
        """Close all."""
        for sockets in (*self.current, *self._old):
            sockets.close()

    def _wanted(self, config: DispatcherConfig) -> list[tuple[int, bool]]:
        settings = self._settings
        wanted = [(config.listener.port if settings.smtp_port is None else settings.smtp_port, False)]
        if config.rest is not None:
            wanted.append((config.rest.port if settings.rest_port is None else settings.rest_port, True))
        return wanted

    def _known(self, port: int, *, rest: bool) -> ListenerSockets | None:
        fixed = (self._settings.rest_port if rest else self._settings.smtp_port) is not None
        for sockets in (*self.current, *self._old):
            if sockets.rest == rest and (fixed or sockets.port == port):
                return sockets
        return None
