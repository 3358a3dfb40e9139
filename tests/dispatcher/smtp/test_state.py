from __future__ import annotations

from tubepost_dispatcher.smtp.state import (
    ACCEPTANCE,
    AUTH,
    CLOSING,
    COMMAND,
    DATA,
    GREETED,
    STARTTLS,
    YIELDED,
    State,
)


def test_names_are_those_of_the_members() -> None:
    assert GREETED == State.GREETED
    assert (COMMAND, DATA, AUTH, STARTTLS) == (State.COMMAND, State.DATA, State.AUTH, State.STARTTLS)
    assert (ACCEPTANCE, YIELDED, CLOSING) == (State.ACCEPTANCE, State.YIELDED, State.CLOSING)


def test_input_is_read_where_the_client_speaks() -> None:
    assert {state for state in State if state.reads} == {GREETED, COMMAND, DATA, AUTH}


def test_no_time_limit_applies_while_the_client_waits_for_us() -> None:
    assert {state for state in State if not state.timed} == {STARTTLS, ACCEPTANCE}
