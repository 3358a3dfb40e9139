"""One SMTP session: the command loop, the way of a message in, the way of its reply out.

Everything happens in callbacks. A chunk of input is worked through line by line or message by message, the
replies of a chunk leave in one write. Only STARTTLS and AUTH run in a task (see `auth`).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any

from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.auth import CLOSING, COLD, COMMAND, DATA, WAIT, YIELD
from tubepost_dispatcher.smtp.config import printable_address
from tubepost_dispatcher.smtp.data import DataFault, DataReceiver, take_whole
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.protocol import MAX_AUTH_COMMAND, MAX_ENVELOPE_LINE, Conversation
from tubepost_dispatcher.transaction import Content, SessionFacts, Transaction

log = logging.getLogger("tubepost.smtp")

MAX_SKIPPED = 65_536
"""Octets of an overlong line that are followed to its end; a longer one ends the session."""
MAX_HELD = 65_536
"""Octets of input held back before reading pauses."""
COMMANDS_PER_TURN = 200
"""Commands of one session that are answered before other sessions get their turn."""
MIN_DATA_RATE = 1_024
"""Octets per second that a message must make on average once `commandTimeout` has passed."""
LINGER = 10.0
"""Seconds that a client gets to take the last reply before its connection is reset."""

_held_quit = re.compile(rb"(?:\A|\n)QUIT *\r\n", re.IGNORECASE).search

_PAUSED_HELD, _PAUSED_WRITE, _PAUSED_TURN, _PAUSED_SHARE = 1, 2, 4, 8


_DATA_FAULTS: Mapping[DataFault, bytes] = {
    DataFault.TOO_LARGE: replies.TOO_LARGE,
    DataFault.HEADER_TOO_LARGE: replies.HEADER_TOO_LARGE,
    DataFault.LINE_TOO_LONG: replies.LONG_TEXT_LINE,
    DataFault.NO_SPACE: replies.NO_SPACE,
}


class SmtpSession(Conversation):
    """A client's connection; also the `Replier` of its transactions."""

    def __init__(self, listener: ListenerState, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(listener, loop)
        self._opened = listener.now
        self._gone = False
        self._busy = False
        """Working through input: replies are collected, `_run` writes them."""
        self._eof = False
        self._paused = 0
        self._receiver: DataReceiver | None = None
        self._transaction: Transaction[Any] | None = None

    # ---- what the event loop calls -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the client, or turn it away."""
        self.transport = transport
        listener = self._listener
        config = self._config = listener.config
        self._opened = self._last = listener.now
        address, port = printable_address(transport.get_extra_info("peername"))
        self.session.peer = (address, port)
        self._facts = SessionFacts(address, port)
        refusal = listener.admit(self, address)
        if refusal is None:
            self._state = COMMAND
            self._update_gate()
            self._out.append(config.greeting)
        else:
            self._out.append(refusal)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Work through a chunk of input, or hold it back."""
        if self._state >= WAIT:
            self._hold(data)
            return
        if self._in:
            data = self._in + data
            self._in = b""
        self._run(data)

    def eof_received(self) -> bool:
        """Whether to keep the connection: yes while a reply is due to a client that has said QUIT."""
        self._eof = True
        if self._secure or self._state == CLOSING:
            return False
        # A client that just vanished sends the same FIN as one that has only finished speaking; the latter
        # has said QUIT.
        return self._state == YIELD or (self._state == WAIT and _held_quit(self._in) is not None)

    def connection_lost(self, error: Exception | None) -> None:
        """Clean up; withdraw the message that still waits for its reply."""
        del error
        if self._gone:
            return
        self._gone = True
        self._state = CLOSING
        self._in = b""
        self._out.clear()
        if self._handshaking:
            self._listener.refused("tls", "0")
        if self._task is not None:
            self._task.cancel()
        if self._receiver is not None:
            self._receiver.release()
            self._receiver = None
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.abandoned = True
            try:
                if transaction.pending is not None:
                    transaction.pending.abandon()
            except Exception:
                log.exception("internal error while a message of %s was withdrawn", self._facts.remote_ip)
        self._listener.leave(self, self._facts.remote_ip)

    def pause_writing(self) -> None:
        """The client does not take its replies: read no more commands."""
        self._pause(_PAUSED_WRITE)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._unpause(_PAUSED_WRITE)

    # ---- what the server calls -----------------------------------------------------------------------

    def tick(self, now: float, timeout: float, interval: float) -> None:
        """Apply the time limits; called by the server's sweep. Seconds, `timeout` 0 means none."""
        state = self._state
        idle = now - self._last
        if state == CLOSING:
            if idle > LINGER:
                self.transport.abort()
            return
        age = self._listener.config.limits.max_session_age
        if age and now - self._opened > age:
            self._retire = True
        if state == WAIT or (state == COLD and self._line_waiter is None):
            return
        if self._retire and state == COMMAND and self._mail_from is None and idle >= interval:
            self.end(replies.SHUTTING_DOWN if self._listener.draining else replies.SESSION_OVER)
        elif timeout and idle > timeout:
            self._listener.refused("data" if state == DATA else "command", "421")
            self.end(replies.IDLE)
        elif timeout and state == DATA:
            received = self._receiver.raw if self._receiver is not None else 0
            if now - self._data_since > timeout + received / MIN_DATA_RATE:
                self._listener.refused("data", "421")
                self.end(replies.TOO_SLOW)

    def retire(self) -> None:
        """Shutting down: end now when between two transactions, else after the reply."""
        self._retire = True
        if self._state == COMMAND and self._mail_from is None:
            self.end(replies.SHUTTING_DOWN)

    def take_share(self) -> None:
        """Read on: it is this session's turn again to take a piece of a large message."""
        self._unpause(_PAUSED_SHARE)

    def end(self, reply: bytes) -> None:
        """Say `reply` and close."""
        self._out.append(reply)
        self._state = CLOSING
        self._last = self._listener.now
        if self._task is not None:
            self._task.cancel()
        self._flush()

    def cut(self) -> None:
        """Reset the connection, whatever the session is at."""
        self._state = CLOSING
        self.transport.abort()
        self.connection_lost(None)

    # ---- what the acceptance calls -------------------------------------------------------------------

    def transaction_done(self, transaction: Transaction[Any], reply: Reply) -> None:
        """Answer DATA; without effect when the session has ended or the answer was given."""
        if transaction is not self._transaction:
            return
        self._answer(replies.render(reply), reply.code)
        if not self._busy:
            self._resume()

    # ---- input ---------------------------------------------------------------------------------------

    def _run(self, chunk: bytes) -> None:
        position = 0
        size = len(chunk)
        budget = COMMANDS_PER_TURN
        self._busy = True
        in_data = self._state == DATA
        while position < size:
            state = self._state
            if state == COMMAND:
                end = chunk.find(b"\n", position)
                if end < 0:
                    if self._skipped or size - position > MAX_ENVELOPE_LINE + 1:
                        position = self._overlong(chunk, position)
                    break
                if not budget:
                    self._yield_turn()
                    break
                budget -= 1
                line = chunk[position : end - 1] if end > position and chunk[end - 1] == 0x0D else None
                position = end + 1
                try:
                    self._command(line)
                except Exception:
                    log.exception("internal error in a session of %s", self._facts.remote_ip)
                    self._error(replies.OUR_FAULT, "command")
            elif state == DATA:
                try:
                    position = self._body_chunk(chunk, position)
                except Exception:
                    # Where the message ends is not known any more, so the session cannot go on.
                    log.exception("internal error in a message of %s", self._facts.remote_ip)
                    self._error(replies.OUR_FAULT, "data")
                    self._state = CLOSING
            else:
                break
        self._busy = False
        if in_data or budget != COMMANDS_PER_TURN:
            # Octets of an unfinished command buy no time.
            self._last = self._listener.now
        if position < size:
            self._in = chunk[position:]
            if len(self._in) > MAX_HELD and self._state >= WAIT:
                self._pause(_PAUSED_HELD)
        if self._retire or self._eof or self._state == CLOSING:
            self._turn_over()
        elif self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()

    def _turn_over(self) -> None:
        if self._state <= DATA:
            if self._eof:
                self._state = CLOSING
            elif (
                self._retire
                and self._listener.draining
                and self._state == COMMAND
                and self._mail_from is None
            ):
                self._out.append(replies.SHUTTING_DOWN)
                self._state = CLOSING
        self._flush()

    def _flush(self) -> None:
        out = self._out
        transport = self.transport
        if out and not self._gone:
            transport.write(b"".join(out))
            out.clear()
        if self._state == CLOSING:
            self._in = b""
            transport.close()

    def _resume(self) -> None:
        """Go on after a reply, a cold command or another session's turn."""
        self._last = self._listener.now
        held, self._in = self._in, b""
        if self._paused:
            self._unpause(_PAUSED_HELD | _PAUSED_TURN)
        if held and self._state <= DATA:
            self._run(held)
        elif self._retire or self._eof or self._state == CLOSING:
            self._turn_over()
        else:
            self._flush()

    def _hold(self, data: bytes) -> None:
        if self._state == CLOSING:
            return
        self._in += data
        if self._line_waiter is not None:
            if not self._line_waiter.done():
                self._line_waiter.set_result(None)
        elif len(self._in) > MAX_HELD:
            self._pause(_PAUSED_HELD)

    def _yield_turn(self) -> None:
        self._state = YIELD
        self._pause(_PAUSED_TURN)
        self.loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        if self._state == YIELD:
            self._state = COMMAND
            self._resume()

    def _pause(self, why: int) -> None:
        if not self._paused and not self._gone and not self.transport.is_closing():
            self.transport.pause_reading()
        self._paused |= why

    def _unpause(self, why: int) -> None:
        before, self._paused = self._paused, self._paused & ~why
        if before and not self._paused and not self._gone and not self.transport.is_closing():
            self.transport.resume_reading()

    def _overlong(self, chunk: bytes, position: int) -> int:
        """Drop the beginning of a line that is too long already; its end gets the reply."""
        left = len(chunk) - position
        if (
            not self._skipped
            and left <= MAX_AUTH_COMMAND + 1
            and chunk[position : position + 5].upper() == b"AUTH "
        ):
            return position
        self._skipped += left
        if self._skipped > MAX_SKIPPED:
            self._error(replies.LINE_TOO_LONG, "command")
            self._state = CLOSING
        return len(chunk)

    def _body_chunk(self, chunk: bytes, position: int) -> int:
        """Take a part of a message; the position behind what was used."""
        receiver = self._receiver
        config = self._config
        if receiver is None:
            whole = take_whole(chunk, position, config.plain_size)
            if whole is not None:
                self._hand_over(whole[0])
                return whole[1]
            limits = config.limits
            receiver = self._receiver = DataReceiver(
                max_size=limits.max_message_size,
                max_header=limits.max_header_size,
                max_line=limits.max_line_length,
                temp_dir=self._listener.temp_dir,
                memory=self._listener.memory,
            )
        used = receiver.feed(chunk, position)
        if used < 0:
            if receiver.hopeless:
                self._error(replies.TOO_LARGE, "data")
                self._state = CLOSING
            elif not self._paused & _PAUSED_SHARE and not self._listener.charge(self, len(chunk)):
                self._pause(_PAUSED_SHARE)
            return len(chunk)
        self._receiver = None
        size = receiver.size
        content = receiver.finish()
        if isinstance(content, DataFault):
            self._refuse_data(content, size)
        else:
            self._hand_over(content)
        return used

    # ---- the way out ----------------------------------------------------------------------------------

    def _hand_over(self, content: Content) -> None:
        """Give a complete message to the acceptance."""
        listener = self._listener
        assert self._mail_from is not None
        listener.received.inc(len(content))
        transaction = self._transaction = Transaction(
            self,
            self._facts,
            listener.ids.next(),
            self._mail_from,
            self._recipients,
            content,
            body_type=self._body,
            smtputf8=self._smtputf8,
            dsn=self._dsn,
        )
        self._state = WAIT
        try:
            self._config.acceptance.accept(transaction)
        except Exception:
            log.exception("internal error in message %s", transaction.message_id)
            if self._transaction is transaction:
                transaction.abandoned = True
                self._answer(replies.OUR_FAULT, 451)

    def _refuse_data(self, fault: DataFault, received: int) -> None:
        self._listener.received.inc(received)
        self._messages += 1
        self._reset()
        self._state = COMMAND
        self._error(_DATA_FAULTS[fault], "data")

    def _answer(self, reply: bytes, code: int) -> None:
        """End the transaction with `reply`."""
        self._transaction = None
        self._reset()
        self._out.append(reply)
        self._messages += 1
        limit = self._config.limits.max_messages_per_session
        if limit and self._messages >= limit:
            self._retire = True
        if code < 400:
            self._errors = 0
        else:
            self._listener.refused("data", str(code))
        self._state = CLOSING if code == 421 else COMMAND
