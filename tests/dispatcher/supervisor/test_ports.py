from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tubepost_api.config import DeliveryConfig, DispatcherConfig, EntryConfig, ListenerConfig, RestConfig
from tubepost_dispatcher.supervisor.ports import CannotListen, ListeningPorts
from tubepost_dispatcher.supervisor.settings import SupervisorSettings


def config(rest: int | None = None, smtp: int = 0) -> DispatcherConfig:
    return DispatcherConfig(
        name="alerts",
        listener=ListenerConfig(hostname="h", port=smtp),
        entries=(EntryConfig(name="a.example", routes=(), delivery=DeliveryConfig()),),
        routes={},
        rest=None if rest is None else RestConfig(port=rest, tokens="rest"),
    )


@pytest.fixture
def made() -> Iterator[list[ListeningPorts]]:
    ports: list[ListeningPorts] = []
    yield ports
    for one in ports:
        one.close()


def listening(made: list[ListeningPorts], **settings: Any) -> ListeningPorts:
    made.append(ListeningPorts(SupervisorSettings(**settings)))
    return made[-1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def test_there_is_a_port_for_requests_where_there_is_rest(made: list[ListeningPorts]) -> None:
    ports = listening(made, smtp_port=0, rest_port=0)
    ports.bind(config(), 1)
    assert ports.port() > 0
    assert ports.port(rest=True) == 0
    found = ports.for_config(config(rest=8080), 1)
    assert not isinstance(found, CannotListen)
    assert ports.change(found) == []
    assert ports.port(rest=True) > 0
    smtp, rest = ports.current
    # And away again: it is served until it is forgotten, and taken up where it is wanted before that.
    found = ports.for_config(config(), 1)
    assert not isinstance(found, CannotListen)
    assert ports.change(found) == [rest]
    again = ports.for_config(config(rest=8080), 1)
    assert again == (smtp, rest)
    assert ports.change((smtp, rest)) == []
    assert not ports.forget(rest)


def test_another_port_of_the_configuration(made: list[ListeningPorts]) -> None:
    first, second = free_port(), free_port()
    ports = listening(made, smtp_port=0)
    ports.bind(config(rest=first), 1)
    assert ports.port(rest=True) == first
    found = ports.for_config(config(rest=second), 1)
    assert not isinstance(found, CannotListen)
    (given_up,) = ports.change(found)
    assert (given_up.port, ports.port(rest=True)) == (first, second)
    assert ports.forget(given_up)
    assert not ports.forget(given_up)
    given_up.close()


@pytest.mark.parametrize("field", ["spec.rest.port", "spec.listener.port"])
def test_a_port_that_cannot_be_had_changes_nothing(made: list[ListeningPorts], field: str) -> None:
    ports = listening(made)
    ports.bind(config(rest=0), 1)
    before = ports.current
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        smtp = ports.port()
        wanted = config(rest=taken, smtp=smtp) if field == "spec.rest.port" else config(rest=0, smtp=taken)
        refused = ports.for_config(wanted, 1)
    assert isinstance(refused, CannotListen)
    assert refused.field == field
    assert f"port {taken} cannot be bound" in refused.message
    assert ports.current == before
