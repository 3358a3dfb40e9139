from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.smtp.conftest import Runner, TlsPair
from tests.dispatcher.smtp.support import (
    ENVELOPE,
    MESSAGE,
    Client,
    Recorder,
    Running,
    Wire,
    deliver,
    listener,
    running,
)
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.admission import CLIENTS_ASKED, RECENTLY, Rank, Shares, makes_room, rank
from tubepost_dispatcher.smtp.session import LINGER_EVICTED


@dataclasses.dataclass(eq=False)
class Session:
    client: str
    merit: int = 1
    active: float = 0.0
    waits: bool = False

    def rank(self) -> Rank | None:
        return None if self.waits else Rank(self.merit, self.active)


def shares(*sessions: Session) -> Shares[Session]:
    it: Shares[Session] = Shares()
    for session in sessions:
        it.enter(session.client, session)
    return it


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=60))
def test_the_largest_client_is_known_at_any_time(steps: list[tuple[str, bool]]) -> None:
    it: Shares[Session] = Shares()
    opened: dict[str, list[Session]] = {}
    for client, enters in steps:
        mine = opened.setdefault(client, [])
        if enters:
            mine.append(Session(client))
            it.enter(client, mine[-1])
        elif mine:
            it.leave(client, mine.pop(0))
        counts = [len(sessions) for sessions in it.largest()]
        assert counts == sorted((len(sessions) for sessions in opened.values() if sessions), reverse=True)
        for sessions in it.largest():
            (name,) = {session.client for session in sessions}
            assert set(opened[name]) == set(sessions)
        assert it.of(client) == len(mine)


def test_the_largest_makes_room_until_shares_are_even() -> None:
    it = shares(*(Session("big") for _ in range(500)), *(Session("small") for _ in range(3)))
    closed: Counter[str] = Counter()
    for _ in range(1_000):
        victim = makes_room(it, "new")
        if victim is None:
            break
        it.leave(victim.client, victim)
        it.enter("new", Session("new"))
        closed[victim.client] += 1
    assert closed == {"big": 250}
    assert (it.of("big"), it.of("new"), it.of("small")) == (250, 250, 3)


def test_who_has_the_most_gets_no_more() -> None:
    it = shares(Session("big"), Session("big"), Session("small"))
    assert makes_room(it, "big") is None
    assert makes_room(it, "small") is None
    assert makes_room(it, "new") is not None
    assert makes_room(shares(), "new") is None


def test_the_lowest_rank_goes_and_what_waits_for_a_reply_never() -> None:
    sender, idle, longer = Session("a", 5, 1.0), Session("a", 1, 9.0), Session("a", 1, 8.0)
    waiting = Session("a", 0, 0.0, waits=True)
    it = shares(sender, idle, waiting, longer)
    assert makes_room(it, "b") is longer
    it.leave("a", longer)
    assert makes_room(it, "b") is idle
    assert makes_room(shares(waiting, Session("a", waits=True)), "b") is None


def test_the_next_largest_makes_room_while_the_largest_waits_for_replies() -> None:
    busy = [Session("busy", waits=True) for _ in range(5)]
    idle = [Session("idle") for _ in range(3)]
    assert makes_room(shares(*busy, *idle), "new") is idle[0]
    assert makes_room(shares(*busy, *idle[:1]), "new") is None


def test_only_some_clients_are_looked_at() -> None:
    crowd = [Session(str(number), waits=True) for number in range(CLIENTS_ASKED) for _ in range(5)]
    assert makes_room(shares(*crowd, Session("idle"), Session("idle")), "new") is None


def test_ranks() -> None:
    facts: dict[str, Any] = {
        "closing": False,
        "transaction": False,
        "authenticated": False,
        "accepted": None,
        "active": 5.0,
        "now": 100.0,
    }
    recent = 100.0 - RECENTLY + 1
    order = [
        {"closing": True, "authenticated": True},
        {},
        {"accepted": 100.0 - RECENTLY, "active": 6.0},
        {"transaction": True},
        {"authenticated": True},
        {"authenticated": True, "transaction": True},
        {"accepted": recent},
        {"accepted": recent, "authenticated": True},
        {"accepted": recent, "authenticated": True, "transaction": True},
    ]
    ranks = [rank(**{**facts, **more}) for more in order]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


EVICTED = b"421 4.7.0 Too many connections, this one makes room\r\n"


class TestInSessions:
    """The listener's use of it: one that is full of sessions of one address."""

    def fill(self, count: int, acceptance: Recorder | None = None, **more: Any) -> list[Wire]:
        first = Wire(listener(max_connections=count, **more), acceptance)
        return [first, *(Wire(beside=first) for _ in range(count - 1))]

    def newcomer(self, wire: Wire, address: str = "198.51.100.1") -> Wire:
        return Wire(beside=wire, peer=(address, 1))

    def test_an_idle_session_is_told_and_leaves_at_once(self) -> None:
        wires = self.fill(3)
        for wire in wires:
            wire.take()
        wires[0].listener.now += 1
        wires[0].hello()
        assert self.newcomer(wires[0]).take().startswith(b"220 ")
        assert [wire.take() for wire in wires] == [b"", EVICTED, b""]
        assert wires[1].named == [f"session={wires[1].id}"]
        assert wires[1].transport.closed
        assert len(wires[0].listener.sessions) == 3
        wires[1].lose()
        assert len(wires[0].listener.sessions) == 3

    def test_one_that_does_not_read_is_reset(self) -> None:
        wires = self.fill(2)
        self.newcomer(wires[0])
        assert wires[0].transport.closed
        wires[0].loop.advance(1.0)
        assert wires[0].transport.aborted

    def test_a_sender_stays_and_a_message_that_waits_is_never_cut(self) -> None:
        wires = self.fill(3, Recorder(None))
        for wire in wires:
            wire.hello()
        wires[0].send(ENVELOPE + MESSAGE + b".\r\n")
        wires[1].send(ENVELOPE + MESSAGE + b".\r\n")
        acceptance = wires[0].listener.config.acceptance
        assert isinstance(acceptance, Recorder)
        acceptance.accepted[1].reply(Reply(250, "2.0.0", "Delivered"))
        self.newcomer(wires[0])
        assert [wire.transport.closed for wire in wires] == [False, False, True]
        assert not acceptance.abandoned

    def test_a_message_amid_its_data_goes_before_a_recent_sender(self) -> None:
        wires = self.fill(2)
        for wire in wires:
            wire.hello()
        wires[0].send(ENVELOPE + MESSAGE + b".\r\n")
        wires[1].send(ENVELOPE + b"x" * 100_000)
        self.newcomer(wires[0])
        assert [wire.transport.closed for wire in wires] == [False, True]
        wires[1].lose()
        assert wires[0].listener.memory.used == 0

    def test_an_authenticated_session_goes_after_others(self) -> None:
        auth = AuthConfig(secret="s", require_tls=False)
        first = Wire(listener(max_connections=2, auth=auth), users={"a": "b"})
        second = Wire(beside=first)
        first.hello().send(b"AUTH PLAIN AGEAYg==\r\n")
        second.listener.now += 10
        second.hello()
        self.newcomer(first)
        assert [first.transport.closed, second.transport.closed] == [False, True]

    def test_addresses_of_one_64_share(self) -> None:
        first = Wire(listener(max_connections=4), peer=("2001:db8::1", 1))
        wires = [first, *(Wire(beside=first, peer=(f"2001:db8::{n}", 1)) for n in (2, 3, 4))]
        assert (
            Wire(beside=first, peer=("2001:db8::5", 1))
            .take()
            .startswith(b"421 4.7.0 Too many connections, try")
        )
        assert Wire(beside=first, peer=("2001:db8:0:1::1", 1)).take().startswith(b"220 ")
        assert sum(wire.transport.closed for wire in wires) == 1


USELESS = [
    b"NOOP\r\n",
    b"RSET\r\n",
    b"HELP\r\n",
    b"EHLO again\r\n",
    b"HELO again\r\n",
    b"VRFY x\r\n",
    b"EXPN x\r\n",
    b"RCPT TO:<x@push.example>\r\n",
    b"MAIL FROM:<nonsense\r\n",
    b"MAIL FROM:<>\r\nRSET\r\n",
    b"MAIL FROM:<>\r\nRCPT TO:<x@push.example>\r\nRSET\r\n",
    b"AUTH PLAIN AGEAYw==\r\n",
    b"AUTH LOGIN\r\n*\r\n",
    b"NOOP\r\n" * 1_000,
    b"\r\n",
]


@pytest.mark.parametrize("command", USELESS, ids=lambda line: line[:20].decode().strip())
def test_no_command_that_does_nothing_buys_time(command: bytes) -> None:
    auth = AuthConfig(secret="s", required=False, require_tls=False)
    wire = Wire(listener(max_errors=0, auth=auth), users={"a": "b"})
    wire.hello()
    for seconds in range(1, 320):
        wire.listener.now += 1
        if not wire.transport.closed and seconds % 5 == 0:
            wire.send(command)
        wire.session.tick(wire.listener.now, 300.0, 1.0)
        wire.take()
        if wire.transport.closed:
            break
    assert wire.transport.closed
    assert seconds <= 301


def test_mail_buys_time_once_for_each_message() -> None:
    wire = Wire().hello()
    lasted = []
    for _ in range(2):
        wire.send(ENVELOPE + MESSAGE + b".\r\n")
        began = wire.listener.now
        while not wire.transport.closed and wire.listener.now - began < 290:
            wire.listener.now += 10
            wire.session.tick(wire.listener.now, 300.0, 1.0)
        lasted.append(wire.listener.now - began)
    assert lasted == [290, 290]
    seconds = 0
    while not wire.transport.closed:
        seconds += 10
        wire.listener.now += 10
        wire.send(b"RSET\r\nMAIL FROM:<>\r\n")
        wire.session.tick(wire.listener.now, 300.0, 1.0)
    assert seconds == 320


def test_a_full_listener_serves_another_address(run: Runner) -> None:
    async def connect(it: Running, source: str) -> Client:
        streams = await asyncio.open_connection("127.0.0.1", it.port, local_addr=(source, 0))
        client = Client(*streams)
        it.clients.append(client)
        return client

    async def main() -> None:
        async with running(listener(max_connections=20)) as it:
            squatters = [await connect(it, f"127.0.0.{2 + number % 2}") for number in range(20)]
            for client in squatters:
                assert (await client.reply()).startswith(b"220 ")
                assert await client.command(b"NOOP") == b"250 2.0.0 OK\r\n"
            sender = await connect(it, "127.0.0.9")
            assert (await sender.reply()).startswith(b"220 ")
            await sender.command(b"EHLO sender.example")
            await deliver(sender)
            assert it.server.sessions == 20
            assert await squatters[0].rest() == EVICTED
            # The squatters' own addresses get no more than they have.
            assert (await (await connect(it, "127.0.0.3")).rest()).startswith(
                b"421 4.7.0 Too many connections, try"
            )

    run(main())


def test_a_handshake_that_hangs_makes_room(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        config = listener(starttls=StartTlsMode.OPTIONAL, max_connections=2)
        async with running(config, tls=tls.server) as it:
            squatters = [await it.greeted() for _ in range(2)]
            for client in squatters:
                assert (await client.command(b"STARTTLS")).startswith(b"220 ")
            sender = Client(*await asyncio.open_connection("127.0.0.1", it.port, local_addr=("127.0.0.9", 0)))
            it.clients.append(sender)
            assert (await sender.reply()).startswith(b"220 ")
            assert await squatters[0].rest() == b""
            assert it.server.sessions == 2

    run(main())


def test_a_session_under_tls_makes_room(run: Runner, tls: TlsPair) -> None:
    async def main() -> None:
        config = listener(starttls=StartTlsMode.OPTIONAL, max_connections=2)
        async with running(config, tls=tls.server) as it:
            squatters = [await it.greeted() for _ in range(2)]
            for client in squatters:
                await client.starttls(tls.client)
                await client.command(b"EHLO c")
            sender = Client(*await asyncio.open_connection("127.0.0.1", it.port, local_addr=("127.0.0.9", 0)))
            it.clients.append(sender)
            assert (await sender.reply()).startswith(b"220 ")
            assert EVICTED in [await client.rest() for client in squatters[:1]]
            await asyncio.sleep(LINGER_EVICTED + 0.1)
            assert it.server.sessions == 2

    run(main())
