from __future__ import annotations

import asyncio
import contextlib
import logging
import mmap
import os
import resource
import smtplib
import socket
import time
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.dispatcher.smtp.conftest import Runner
from tests.dispatcher.smtp.support import (
    DELIVERED,
    ENVELOPE,
    ENVELOPE_OK,
    MESSAGE,
    Client,
    Recorder,
    deliver,
    listener,
    running,
)
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import server as module
from tubepost_dispatcher.smtp.server import SmtpServer
from tubepost_dispatcher.smtp.turn_budget import TURN_BUDGET, TurnBudget


async def envelope(client: Client) -> None:
    await client.send(ENVELOPE)
    assert b"".join([await client.reply() for _ in range(3)]) == ENVELOPE_OK


def test_smtplib_delivers(run: Runner) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@sender.example", "x@push.example", "Grüße"
    message.set_content(".\n..\nüber\n" + "x" * 5_000)

    def send(port: int) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            for _ in range(3):
                assert client.send_message(message) == {}
            client.helo()
            client.sendmail("", ["device@push.example"], "x\n.\ny\n")
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@b.example", ["x@unknown.example"], b"x")
            assert client.verify("x")[0] == 252
            assert client.noop()[0] == 250

    async def main() -> None:
        async with running() as it:
            await asyncio.to_thread(send, it.port)
            assert len(it.acceptance.accepted) == 4
            assert it.acceptance.contents[3] == b"x\r\n.\r\ny\r\n"
            await it.until(lambda: it.server.sessions == 0)
            assert it.metrics.smtp_sessions_opened._value.get() == 1
            assert it.metrics.smtp_sessions._value.get() == 0

    run(main())


def test_a_later_reply_and_the_session_goes_on(run: Runner) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(acceptance=acceptance) as it:
            client = await it.greeted()
            await envelope(client)
            await client.send(MESSAGE + b".\r\nNOOP\r\n")
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            acceptance.accepted[0].reply(Reply(451, "4.4.1", "Try later"))
            assert await client.reply() == b"451 4.4.1 Try later\r\n"
            assert await client.reply() == b"250 2.0.0 OK\r\n"
            await client.close()

    run(main())


def test_half_close_after_quit(run: Runner) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(acceptance=acceptance) as it:
            client = await it.greeted()
            await envelope(client)
            await client.send(MESSAGE + b".\r\nQUIT\r\n")
            client.writer.write_eof()
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            for _ in range(20):
                await asyncio.sleep(0)
            acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
            assert await client.rest() == DELIVERED + b"221 2.0.0 Bye\r\n"
            await client.close()
            assert not acceptance.abandoned

    run(main())


@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_vanishes_while_waiting(run: Runner, reset: bool) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(acceptance=acceptance) as it:
            client = await it.greeted()
            await envelope(client)
            await client.send(MESSAGE + b".\r\n")
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            if reset:
                client.writer.transport.abort()
            await client.close()
            await asyncio.wait_for(acceptance.withdrawn.wait(), 10)
            (transaction,) = acceptance.accepted
            assert acceptance.abandoned == [transaction]
            assert transaction.abandoned
            transaction.reply(Reply(250, "2.0.0", "too late"))
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_connection_caps(run: Runner) -> None:
    async def main() -> None:
        async with running(listener(max_connections=2, max_connections_per_client=1)) as it:
            first = await it.greeted()
            second = await it.client()
            assert await second.rest() == b"421 4.7.0 Too many connections from your address\r\n"
            it.server.update(listener(max_connections=1), None, None, it.acceptance)
            third = await it.client()
            assert await third.rest() == b"421 4.7.0 Too many connections, try later\r\n"
            assert await first.command(b"QUIT") == b"221 2.0.0 Bye\r\n"
            await it.until(lambda: it.server.sessions == 0)
            fourth = await it.greeted()
            for client in (first, second, third, fourth):
                await client.close()
            assert it.metrics.smtp_rejections.labels("connect", "421")._value.get() == 2

    run(main())


def test_networks_that_are_not_allowed(run: Runner) -> None:
    async def main() -> None:
        async with running(listener(networks=("192.0.2.0/24",))) as it:
            client = await it.client()
            assert await client.rest() == b"554 5.7.1 Client address not allowed\r\n"
            await client.close()

    run(main())


def test_a_flood_of_connections(run: Runner) -> None:
    async def main() -> None:
        async with running(listener(max_connections=20)) as it:
            clients = await asyncio.gather(*(it.client() for _ in range(100)))
            greetings = await asyncio.gather(*(client.reply() for client in clients))
            assert sum(reply.startswith(b"220 ") for reply in greetings) == 20
            assert sum(reply.startswith(b"421 4.7.0 ") for reply in greetings) == 80
            for client in clients:
                await client.close()
            await it.until(lambda: it.server.sessions == 0)
            last = await it.greeted()
            await last.close()

    run(main())


def test_idle_clients_are_closed(run: Runner) -> None:
    async def main() -> None:
        async with running(listener(command_timeout=0.1)) as it:
            client = await it.greeted()
            assert await client.rest() == b"421 4.4.2 Timeout, closing the connection\r\n"
            await client.close()
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def test_draining(run: Runner) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(acceptance=acceptance) as it:
            idle, busy = await it.greeted(), await it.greeted()
            await envelope(busy)
            await busy.send(MESSAGE + b".\r\n")
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            draining = asyncio.create_task(it.server.drain(30))
            assert await idle.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            assert not draining.done()
            acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
            assert await busy.rest() == DELIVERED + b"421 4.3.2 Shutting down, try again\r\n"
            assert await draining == 0
            assert not acceptance.abandoned
            await idle.close()
            await busy.close()

    run(main())


def test_retiring_is_taken_back(run: Runner) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(acceptance=acceptance) as it:
            idle, busy = await it.greeted(), await it.greeted()
            await envelope(busy)
            await busy.send(MESSAGE + b".\r\n")
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            it.server.set_retiring(True)
            it.server.set_retiring(True)
            assert await idle.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            refused = await it.client()
            assert await refused.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
            assert await busy.rest() == DELIVERED + b"421 4.3.2 Shutting down, try again\r\n"
            it.server.set_retiring(False)
            again = await it.greeted()
            assert await it.server.drain(5.0) == 0
            assert await again.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            it.server.set_retiring(False)
            for client in (idle, refused, busy, again):
                await client.close()

    run(main())


def test_whoever_still_comes_is_served_for_a_message_until_nobody_does(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.3)

    async def main() -> None:
        acceptance = Recorder(Reply(250, "2.0.0", "Delivered"))
        async with running(acceptance=acceptance) as it:
            idle = await it.greeted()
            leaving = asyncio.create_task(it.server.leave(30.0))
            assert await idle.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            late = await it.greeted()
            await envelope(late)
            await late.send(MESSAGE + b".\r\n")
            assert await late.reply() == DELIVERED
            await late.send(b"MAIL FROM:<a@b.example>\r\n")
            assert await late.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            polite = await it.greeted()
            await envelope(polite)
            await polite.send(MESSAGE + b".\r\nQUIT\r\n")
            assert (await polite.rest()).startswith(DELIVERED + b"221 ")
            silent = await it.greeted()
            await leaving
            # Only who comes counts, not who stays; and the next one is served too.
            last = await it.greeted()
            assert it.server.sessions == 2
            await it.server.leave(0.0)
            assert await it.server.drain(5.0) == 0
            for client in (silent, last):
                assert await client.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            for client in (idle, late, polite, silent, last):
                await client.close()

    run(main())


def test_who_never_stops_coming_is_not_waited_for_longer_than_that(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.1)

    async def main() -> None:
        async with running() as it:
            leaving = asyncio.create_task(it.server.leave(1.0))
            while not leaving.done():
                client = await it.greeted()
                await client.close()
            it.server.set_retiring(True)
            refused = await it.client()
            assert await refused.rest() == b"421 4.3.2 Shutting down, try again\r\n"
            await refused.close()
            async with asyncio.timeout(10):
                await it.server.leave(3600.0)  # nobody is served any more
            it.server.set_retiring(False)
            again = await it.greeted()
            await envelope(again)
            await again.send(MESSAGE + b".\r\n")
            assert await again.reply() == DELIVERED
            await again.send(b"QUIT\r\n")
            assert (await again.rest()).startswith(b"221 ")
            await again.close()

    run(main())


def test_draining_cuts_what_is_left_after_its_grace(run: Runner) -> None:
    async def main() -> None:
        acceptance = Recorder(None)
        async with running(acceptance=acceptance) as it:
            waiting, slow = await it.greeted(), await it.greeted()
            await envelope(waiting)
            await waiting.send(MESSAGE + b".\r\n")
            await envelope(slow)
            await slow.send(b"x" * 100_000)
            await asyncio.wait_for(acceptance.arrived.wait(), 10)
            assert await it.server.drain(0.05) == 2
            assert b"250" not in await waiting.rest()
            assert acceptance.abandoned == acceptance.accepted
            assert it.server.sessions == 0
            await waiting.close()
            await slow.close()

    run(main())


def test_the_sockets_stay_with_their_owner(run: Runner) -> None:
    async def main() -> None:
        acceptance = Recorder()
        with (
            socket.create_server(("127.0.0.1", 0)) as one,
            socket.create_server(("127.0.0.1", 0)) as two,
        ):
            for _ in range(2):
                server = SmtpServer(listener(), acceptance, Metrics())
                await server.start([one, two])
                for listening in (one, two):
                    reader, writer = await asyncio.open_connection(*listening.getsockname())
                    assert (await reader.readline()).startswith(b"220 ")
                    writer.close()
                    await writer.wait_closed()
                server.stop_accepting()
                await server.drain(0)

    run(main())


@pytest.mark.pure
def test_ten_large_messages_at_once_stay_out_of_memory(run: Runner, tmp_path: Path) -> None:
    spent: list[int] = []
    original = TurnBudget.charge

    def observed(
        self: TurnBudget, loop: asyncio.AbstractEventLoop, octets: int, resume: Callable[[], None]
    ) -> bool:
        try:
            return original(self, loop, octets, resume)
        finally:
            spent.append(self.spent)

    held: list[int] = []
    line = b"x" * 998 + b"\r\n"
    block = line * 1_000

    async def one(client: Client, count: int) -> None:
        await envelope(client)
        await client.send(b"\r\n")
        for _ in range(count):
            await client.send(block)
            held.append(state.memory.used)
        await client.send(b".\r\n")
        assert await client.reply() == DELIVERED
        await client.close()

    async def main() -> None:
        nonlocal state
        async with running(listener(max_message_size=0), temp_dir=tmp_path) as it:
            state = it.server._listener
            clients = [await it.greeted() for _ in range(10)]
            await asyncio.gather(*(one(client, 20) for client in clients))
            for transaction in it.acceptance.accepted:
                assert isinstance(transaction.content, mmap.mmap)
                assert len(transaction.content) == 20_000_002
                assert transaction.content[-1_000:] == line
            assert state.memory.used == 0

    state = SmtpServer(listener(), Recorder(), Metrics())._listener
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TurnBudget, "charge", observed)
        run(main())
    # What one turn of the loop can be kept busy with: the budget and one more piece of each session.
    assert sum(spent) > 0
    assert max(spent) <= TURN_BUDGET + 10 * 256 * 1024
    assert max(held) <= 10 * 2 * 256 * 1024
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_file_that_cannot_be_written(run: Runner, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(temp_dir=tmp_path / "missing") as it:
            client = await it.greeted()
            await envelope(client)
            await client.send(b"\r\n" + (b"x" * 998 + b"\r\n") * 1_000 + b".\r\n")
            assert await client.reply() == b"452 4.3.1 Insufficient storage, try again later\r\n"
            assert await client.command(b"NOOP") == b"250 2.0.0 OK\r\n"
            await client.close()

    run(main())


def test_malformed_networks_leave_the_old_configuration_in_force() -> None:
    server = SmtpServer(listener(), Recorder(), Metrics())
    before = server._listener.config
    with pytest.raises(ValueError, match="nonsense"):
        server.update(listener(networks=("nonsense",)), None, None, Recorder())
    assert server._listener.config is before


FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r.\r\n",
    b"\n.\r",
    b"\n\n.\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\r\r\n.\r\r\n",
]


def test_smuggled_ends_of_message(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            client = await it.greeted()
            for false_end in FALSE_ENDS:
                await envelope(client)
                await client.send(b"Subject: x\r\n\r\nbody" + false_end)
                await client.send(ENVELOPE + b"smuggled\r\n.\r\n")
                assert await client.reply() == DELIVERED
                assert b"smuggled" in it.acceptance.contents[-1]
            assert await client.command(b"NOOP") == b"250 2.0.0 OK\r\n"
            await client.close()
            assert len(it.acceptance.accepted) == len(FALSE_ENDS)

    run(main())


def test_a_line_without_end(run: Runner) -> None:
    async def main() -> None:
        async with running() as it:
            client = await it.greeted()
            try:
                for _ in range(1_000):
                    await client.send(b"A" * 100_000)
            except ConnectionError:
                pass
            else:
                pytest.fail("the listener took 100 MB of one line")
            await client.close()
            await it.until(lambda: it.server.sessions == 0)

    run(main())


def exhaust(limit: int) -> list[int]:
    """Lower the soft limit of open files, and take every descriptor that is left below it."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    return taken


def test_without_descriptors_it_does_not_spin_and_says_so_once(
    run: Runner, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_INTERVAL", 0.05)
    caplog.set_level(logging.INFO)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        async with running() as it:
            first = await it.greeted()
            waiting = [socket.socket() for _ in range(20)]
            for one in waiting:
                one.setblocking(False)
            taken = exhaust(waiting[-1].fileno() + 20)
            try:
                for one in waiting:
                    one.connect_ex(("127.0.0.1", it.port))
                spent = time.process_time()
                await asyncio.sleep(0.5)
                spent = time.process_time() - spent
                assert await first.command(b"NOOP") == b"250 2.0.0 OK\r\n"
            finally:
                for descriptor in taken:
                    os.close(descriptor)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert spent < 0.25
            for one in waiting:
                one.close()
            await it.until(lambda: "available again" in caplog.text)
            await deliver(await it.greeted())

    run(main())
    ours = [record.getMessage() for record in caplog.records if record.name == "tubepost.smtp"]
    assert [line.split(",")[0] for line in ours if "descriptor" in line] == [
        "listener: no file descriptor is left with 1 sessions open",
        "listener: file descriptors are available again",
    ]
    assert len([record for record in caplog.records if record.name == "asyncio"]) <= 2
