"""One SMTP session on its connection: input into lines and messages, replies out, time limits.

Everything happens in callbacks. A chunk of input is worked through line by line or message by message, the
replies of a chunk leave in one write. Only the handshake of STARTTLS runs in a task.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import ssl
from typing import Final, Generic, TypeVar, cast

from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import commands, flow, journal, replies, starttls
from tubepost_dispatcher.smtp.admission import Rank
from tubepost_dispatcher.smtp.auth import MAX_AUTH_LINE
from tubepost_dispatcher.smtp.commands import MAX_ENVELOPE_LINE
from tubepost_dispatcher.smtp.config import printable_address
from tubepost_dispatcher.smtp.data import DataFault, DataReceiver, take_whole
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.protocol import SmtpProtocol
from tubepost_dispatcher.smtp.state import (
    ACCEPTANCE,
    AUTH,
    CLOSING,
    COMMAND,
    DATA,
    GREETED,
    STARTTLS,
    YIELDED,
)
from tubepost_dispatcher.smtp.timeouts import LINGERED, Clock
from tubepost_dispatcher.transaction import Content, DomainT, Transaction

log: Final = logging.getLogger("tubepost.smtp")

COMMANDS_PER_TURN = 200
"""Commands of one session that are answered before other sessions get their turn."""
LINGER_EVICTED = 1.0
"""Seconds that a client has to read the last reply when it has to make room for another."""

_AnyDomainT = TypeVar("_AnyDomainT")


class SmtpSession(asyncio.Protocol, Generic[DomainT]):
    """A client's connection; also the `Replier` of its transactions."""

    __slots__ = (
        "_busy",
        "_clock",
        "_eof",
        "_gone",
        "_handshake",
        "_in",
        "_last",
        "_listener",
        "_loop",
        "_reading",
        "_receiver",
        "_smtp",
        "_tls_fault",
        "_transaction",
        "_transport",
        "client",
        "peer",
    )

    _reading: flow.Reading
    _transport: asyncio.Transport

    def __init__(self, listener: ListenerState[DomainT], loop: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._loop = loop
        self._smtp = SmtpProtocol(listener, loop)
        self._in = b""
        """Input not yet processed."""
        self._clock = Clock(listener.now)
        self._last = listener.now
        self._gone = False
        self._busy = False
        """Processing input: `_run` writes the replies at its end."""
        self._eof = False
        self._receiver: DataReceiver | None = None
        self._transaction: Transaction[DomainT] | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._tls_fault = ""
        self.client = ""
        """The client's address."""
        self.peer: tuple[str, int] | None = None
        """Its address and port where they are not the socket's."""

    # ---- what the event loop calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client, or turn it away."""
        # A cast, since uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._reading = flow.Reading(self._transport)
        address, port = self.peer or printable_address(transport.get_extra_info("peername"))
        if not address:
            # The connection was reset before it was accepted. Nobody is there to be refused.
            self._gone = True
            journal.unreadable()
            self._transport.abort()
            return
        self.client = address
        self._smtp.open(address, port, self._listener.admit(self, address))
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Process a chunk of input, or buffer it while a reply is due."""
        if not self._smtp.state.reads:
            self._hold(data)
            return
        if self._in:
            data = self._in + data
            self._in = b""
        self._run(data)

    def eof_received(self) -> bool:
        """Whether to keep the connection: yes while a reply is due to a client that has said QUIT."""
        self._eof = True
        state = self._smtp.state
        if self._smtp.secure or state is CLOSING:
            return False
        # A client that has vanished and one that half-closes send the same FIN; the latter has said QUIT.
        return state is YIELDED or (state is ACCEPTANCE and flow.says_quit(self._in))

    def connection_lost(self, error: Exception | None) -> None:
        """Clean up; withdraw the message that still waits for its reply."""
        if self._gone:
            return
        self._gone = True
        smtp = self._smtp
        self._in = b""
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            smtp.handshake_failed(self._tls_fault or starttls.why(error or ConnectionResetError()))
            handshake.cancel()
        elif smtp.secure and isinstance(error, ssl.SSLError):
            journal.tls_rejected(smtp.id, self.client, starttls.why(error))
        smtp.closed(self._clock.opened)
        if self._receiver is not None:
            self._receiver.release()
            self._receiver = None
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            smtp.withdraw(transaction)
        self._listener.leave(self, self.client)

    def pause_writing(self) -> None:
        """The client does not read its replies: read no more commands."""
        self._reading.pause(flow.WRITE)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._reading.resume(flow.WRITE)

    # ---- what the listener calls ---------------------------------------------------------------------

    def tick(self, now: float, timeout: float, interval: float) -> None:
        """Apply the time limits; called by the server's sweep. Seconds, `timeout` 0 means none."""
        received = self._receiver.raw if self._receiver is not None else 0
        end = self._clock.look(self._smtp, now, timeout, interval, last_input=self._last, received=received)
        if end is LINGERED:
            self._transport.abort()
        elif end is not None:
            self._end(*end)

    def rank(self) -> Rank | None:
        """How readily it makes room for another client; None while a message waits for its reply."""
        return self._smtp.rank()

    def evict(self) -> None:
        """Make room for another client: say the last reply, and leave now."""
        state = self._smtp.state
        if state is STARTTLS:
            self._tls_fault = "closed to make room for another client"
            self.shut_down(at_once=True)
            return
        if state is not CLOSING:
            self._end(replies.EVICTED, "data" if state is DATA else "command")
        self._listener.leave(self, self.client)
        self._loop.call_later(LINGER_EVICTED, self._transport.abort)

    def shut_down(self, *, at_once: bool) -> None:
        """End between two transactions, after the reply if one is open; or reset the connection now."""
        smtp = self._smtp
        if at_once:
            smtp.state = CLOSING
            self._transport.abort()
            self.connection_lost(None)
            return
        smtp.retiring = True
        if smtp.between_transactions:
            self._end(replies.SHUTTING_DOWN)

    def _end(self, reply: bytes, stage: str = "", detail: str = "") -> None:
        """Say the last reply; the arguments are those of `SmtpProtocol.dismiss`."""
        self._smtp.dismiss(reply, stage, detail)
        self._last = self._listener.now
        self._flush()

    # ---- what the acceptance calls -------------------------------------------------------------------

    def transaction_done(self, transaction: Transaction[_AnyDomainT], reply: Reply) -> None:
        """Answer DATA; without effect when the session has ended or the answer was given."""
        if transaction is not self._transaction:
            return
        self._transaction = None
        self._smtp.end_transaction(reply, transaction.message_id)
        if not self._busy:
            self._resume()

    # ---- input ---------------------------------------------------------------------------------------

    def _run(self, chunk: bytes) -> None:
        smtp = self._smtp
        position = 0
        size = len(chunk)
        budget = COMMANDS_PER_TURN
        self._busy = True
        in_message = smtp.state is DATA
        while position < size:
            state, start = smtp.state, position
            try:
                if state is COMMAND:
                    end = chunk.find(b"\n", position)
                    if end < 0:
                        if smtp.skipped or size - position > MAX_ENVELOPE_LINE + 1:
                            position = commands.drop_overlong(smtp, chunk, position)
                        break
                    if budget <= 0:
                        self._yield_turn()
                        break
                    budget -= 1
                    line = chunk[position : end - 1] if end > position and chunk[end - 1] == 0x0D else None
                    position = end + 1
                    commands.answer(smtp, line)
                elif state is DATA:
                    position = self._body_chunk(chunk, position)
                elif state is AUTH:
                    end = chunk.find(b"\n", position)
                    if (end if end >= 0 else size) - position > MAX_AUTH_LINE:
                        smtp.refuse(replies.AUTH_LINE_TOO_LONG, "auth")
                        smtp.state = CLOSING
                    if end < 0 or smtp.state is CLOSING:
                        break
                    budget -= 1
                    line = chunk[position : end + 1]
                    position = end + 1
                    commands.answer_auth(smtp, line)
                elif state is GREETED:
                    commands.first_input(smtp, chunk)
                else:
                    break
            except Exception:
                log.exception(journal.IN_SESSION, smtp.id, self.client)
                smtp.refuse(replies.OUR_FAULT, "data" if state is DATA else "command")
                if state is DATA or position == start:
                    # Where to read on is unknown now, so the session cannot go on.
                    smtp.state = CLOSING
        self._busy = False
        if in_message or budget != COMMANDS_PER_TURN:
            # A client cannot stay by sending a command octet by octet.
            self._last = self._listener.now
        state = smtp.state
        if position < size:
            self._in = chunk[position:]
            if len(self._in) > flow.MAX_HELD and not state.reads:
                self._reading.pause(flow.HELD)
        if state is STARTTLS and self._handshake is None:
            self._handshake = self._loop.create_task(self._start_tls())
        if self._eof or state is CLOSING or smtp.retiring:
            self._turn_over()
        elif smtp.out:
            self._transport.write(b"".join(smtp.out))
            smtp.out.clear()

    def _turn_over(self) -> None:
        smtp = self._smtp
        if smtp.state.reads:
            if self._eof:
                smtp.state = CLOSING
            elif smtp.retiring and self._listener.draining and smtp.between_transactions:
                smtp.out.append(replies.SHUTTING_DOWN)
                smtp.state = CLOSING
        self._flush()

    def _flush(self) -> None:
        smtp = self._smtp
        out = smtp.out
        if out and not self._gone:
            self._transport.write(b"".join(out))
            out.clear()
        if smtp.state is CLOSING:
            self._in = b""
            self._transport.close()

    def _resume(self) -> None:
        """Go on after a reply, a handshake or another session's turn."""
        self._last = self._listener.now
        held, self._in = self._in, b""
        if self._reading.reasons:
            self._reading.resume(flow.HELD | flow.TURN)
        smtp = self._smtp
        if held and smtp.state.reads:
            self._run(held)
        elif self._eof or smtp.retiring or smtp.state is CLOSING:
            self._turn_over()
        else:
            self._flush()

    def _hold(self, data: bytes) -> None:
        if self._smtp.state is CLOSING:
            return
        self._in += data
        if len(self._in) > flow.MAX_HELD:
            self._reading.pause(flow.HELD)

    def _yield_turn(self) -> None:
        self._smtp.state = YIELDED
        self._reading.pause(flow.TURN)
        self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        if self._smtp.state is YIELDED:
            self._smtp.state = COMMAND
            self._resume()

    def _body_chunk(self, chunk: bytes, position: int) -> int:
        """Receive a part of a message; returns the position behind it."""
        smtp = self._smtp
        listener = self._listener
        receiver = self._receiver
        if receiver is None:
            whole = take_whole(chunk, position, smtp.config.plain_size)
            if whole is not None:
                self._hand_over(whole[0])
                return whole[1]
            receiver = self._receiver = listener.receiver(smtp.config)
        used = receiver.feed(chunk, position)
        if used < 0:
            if receiver.hopeless:
                smtp.refuse_message(DataFault.TOO_LARGE, 0)
                smtp.state = CLOSING
            elif not self._reading.reasons & flow.SHARE and not listener.turns.charge(
                self._loop, len(chunk), functools.partial(self._reading.resume, flow.SHARE)
            ):
                self._reading.pause(flow.SHARE)
            return len(chunk)
        self._receiver = None
        size = receiver.size
        content = receiver.finish()
        if isinstance(content, DataFault):
            smtp.refuse_message(content, size)
        else:
            self._hand_over(content)
        return used

    def _hand_over(self, content: Content) -> None:
        """Give a complete message to the acceptance."""
        smtp = self._smtp
        transaction = self._transaction = smtp.message(self, content)
        try:
            smtp.config.acceptance.accept(transaction)
        except Exception:
            log.exception(journal.IN_MESSAGE, smtp.id, self.client, transaction.message_id)
            if smtp.state is ACCEPTANCE:  # it was not answered before the fault
                transaction.abandoned = True
                self._transaction = None
                smtp.end_transaction(refusal("InternalError"), transaction.message_id)

    async def _start_tls(self) -> None:
        smtp = self._smtp
        plain = self._transport
        tls = smtp.config.tls
        assert tls is not None
        # What was sent before the handshake is an injection (RFC 3207 6): gone before TLS reads anything.
        # No turn of the loop lies between this, the 220 and the handshake taking over the input.
        self._in = b""
        smtp.begin_tls()
        self._flush()
        timeout = smtp.config.limits.tls_handshake_timeout
        secured = await starttls.upgrade(self._loop, plain, self, tls, timeout, session=smtp.id)
        if isinstance(secured, str):
            # asyncio does not tell the protocol of a connection that ended before its handshake; uvloop does.
            self._tls_fault = secured
            self.connection_lost(None)
            return
        self._handshake = None
        if smtp.state is not STARTTLS:
            secured.transport.abort()
            return
        self._transport = self._reading.transport = secured.transport
        smtp.secured(secured.version)
        self._resume()
