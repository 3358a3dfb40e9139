from __future__ import annotations

import errno
import socket

import pytest

from tubepost_dispatcher.supervisor.sockets import CannotBind, ListenerSockets, binding, share_of


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


@pytest.mark.parametrize("host", ["::", "localhost"])
def test_workers_serve_both_families(host: str) -> None:
    sockets = ListenerSockets(host, 0)
    try:
        sockets.ensure(2)
        shares = [sockets.of_worker(index, 2) for index in range(2)]
        assert len(shares[0]) == len(shares[1])
        assert {sock.getsockname()[1] for share in shares for sock in share} == {sockets.port}
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, sockets.port), 3).close()
    finally:
        sockets.close()


def test_a_port_that_another_program_has_in_one_family_is_refused() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6, reuse_port=True) as other:
        sockets = ListenerSockets("localhost", other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            sockets.ensure(1)
        sockets.close()


def test_a_workers_share_tells_smtp_from_requests() -> None:
    smtp, rest = ListenerSockets("127.0.0.1", 0), ListenerSockets("127.0.0.1", 0, rest=True)
    try:
        for sockets in (smtp, rest):
            sockets.ensure(2)
        whole = share_of((smtp, rest), (0, 1), 2)
        assert [sock.getsockname()[1] for sock in whole.all] == [smtp.port] * 2 + [rest.port] * 2
        one = share_of((rest, smtp), (1,), 2)
        assert (len(one.smtp), len(one.rest)) == (1, 1)
        assert one.rest[0].getsockname()[1] == rest.port
    finally:
        smtp.close()
        rest.close()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EADDRINUSE, "choose another port: --port"),
        (errno.EADDRNOTAVAIL, "choose an address of this machine"),
        (errno.EACCES, "choose a port above 1023: --port"),
    ],
)
def test_what_cannot_be_bound_is_named(number: int, remedy: str) -> None:
    with pytest.raises(CannotBind) as refused, binding("the SMTP listener", "::1", 25, "--port"):
        raise OSError(number, "No")
    assert (str(refused.value), refused.value.remedy) == (
        "the SMTP listener cannot listen on [::1]:25: No",
        remedy,
    )
    assert refused.value.errno == number


def test_a_host_that_does_not_exist_is_no_matter_of_the_port() -> None:
    with pytest.raises(CannotBind) as refused, binding("the SMTP listener", "nowhere", 25, "--port"):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert refused.value.remedy == "choose an address of this machine"
