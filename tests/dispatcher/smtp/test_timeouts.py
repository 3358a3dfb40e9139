from __future__ import annotations

import pytest

from tests.dispatcher.smtp.support import ENVELOPE, Wire, listener
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.protocol import SmtpProtocol
from tubepost_dispatcher.smtp.state import ACCEPTANCE, CLOSING, DATA, STARTTLS, YIELDED, State
from tubepost_dispatcher.smtp.timeouts import LINGER, LINGERED, MIN_DATA_RATE, Clock, End

START = 1_000.0
TIMEOUT = 300.0


class Session:
    """A session's state and its clock."""

    def __init__(self, **limits: float) -> None:
        self.wire = Wire(listener(**limits)).hello()
        self.smtp: SmtpProtocol[str] = self.wire.session._smtp
        self.clock = Clock(START)

    def look(
        self, at: float, *, timeout: float = TIMEOUT, last_input: float = 0.0, received: int = 0
    ) -> End | None:
        """Look `at` seconds after the start; `last_input` too is counted from there."""
        now = self.wire.listener.now = START + at
        return self.clock.look(self.smtp, now, timeout, 1.0, last_input=START + last_input, received=received)


def test_an_idle_client_is_closed_after_the_time_limit() -> None:
    session = Session()
    assert session.look(300) is None
    assert session.look(301) == End(replies.IDLE, "command", "sent no message")
    assert session.look(10_000, timeout=0) == End(replies.SESSION_OVER)


def test_a_client_that_never_spoke_is_told_apart() -> None:
    session = Session()
    session.smtp.state = State.GREETED
    assert session.look(301) == End(replies.IDLE, "command", "sent nothing")


@pytest.mark.parametrize("state", [ACCEPTANCE, STARTTLS])
def test_a_client_that_waits_for_us_has_time(state: State) -> None:
    session = Session(max_session_age=50)
    session.smtp.state = state
    assert session.look(100_000) is None
    assert session.smtp.retiring


def test_a_session_that_has_to_wait_for_its_turn_is_the_clients_affair() -> None:
    session = Session()
    session.smtp.state = YIELDED
    assert session.look(301) is not None


def test_a_message_has_its_own_limits() -> None:
    session = Session()
    session.wire.send(ENVELOPE)
    assert session.smtp.state is DATA
    assert session.look(1_000, last_input=700, received=700 * MIN_DATA_RATE) is None
    assert session.look(1_000, last_input=699) == End(
        replies.IDLE, "data", "sent nothing more of its message"
    )
    assert session.look(1_001, last_input=1_000, received=700 * MIN_DATA_RATE) == End(
        replies.TOO_SLOW, "data"
    )


def test_mail_counts_once_until_the_next_message() -> None:
    session = Session()
    session.wire.send(b"MAIL FROM:<>\r\n")
    assert session.look(290) is None
    assert session.look(590) is None
    session.wire.send(b"RSET\r\nMAIL FROM:<>\r\n")
    assert session.look(591) == End(replies.IDLE, "command", "sent no message")


def test_an_old_session_ends_when_it_is_quiet() -> None:
    session = Session(max_session_age=50)
    session.smtp.active = START + 51
    assert session.look(51) is None
    assert session.look(52) == End(replies.SESSION_OVER)
    session.wire.listener.draining = True
    assert session.look(53) == End(replies.SHUTTING_DOWN)


def test_the_last_reply_may_be_read_for_a_while() -> None:
    session = Session()
    session.smtp.state = CLOSING
    assert session.look(100 + LINGER, last_input=100) is None
    assert session.look(101 + LINGER, last_input=100) is LINGERED
