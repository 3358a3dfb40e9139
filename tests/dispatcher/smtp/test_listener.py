from __future__ import annotations

import asyncio

import pytest

from tests.dispatcher.smtp.support import Recorder, listener
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.listener import ListenerState


class StubSession:
    """All that a listener knows of a session."""

    def tick(self, now: float, timeout: float, interval: float) -> None:
        raise NotImplementedError

    def shut_down(self, *, at_once: bool) -> None:
        raise NotImplementedError


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def state(metrics: Metrics) -> ListenerState[str]:
    config = listener(max_connections=3, max_connections_per_client=2, networks=("192.0.2.0/24",))
    return ListenerState(EffectiveConfig(config, Recorder()), metrics, None, 0.0)


def test_sessions_are_counted_in_and_out(state: ListenerState[str], metrics: Metrics) -> None:
    first, second, third, fourth = (StubSession() for _ in range(4))
    assert state.admit(first, "192.0.2.1") is None
    assert state.admit(second, "192.0.2.1") is None
    assert state.admit(third, "192.0.2.1") == replies.TOO_MANY_CLIENT_CONNECTIONS
    assert state.admit(third, "192.0.2.2") is None
    assert state.admit(fourth, "192.0.2.3") == replies.TOO_MANY_CONNECTIONS
    assert metrics.smtp_sessions._value.get() == 3
    state.leave(first, "192.0.2.1")
    state.leave(first, "192.0.2.1")
    assert state.admit(fourth, "192.0.2.1") is None
    assert state.sessions == {second, third, fourth}
    assert metrics.smtp_sessions_opened._value.get() == 4
    assert metrics.smtp_rejections.labels("connect", "421")._value.get() == 2


def test_whoever_is_not_allowed_or_comes_at_a_bad_time_is_turned_away(state: ListenerState[str]) -> None:
    session = StubSession()
    assert state.admit(session, "10.0.0.1") == replies.NOT_ALLOWED
    state.overloaded = True
    assert state.admit(session, "192.0.2.1") == replies.OVERLOADED
    state.draining = True
    assert state.admit(session, "192.0.2.1") == replies.SHUTTING_DOWN
    assert not state.sessions


def test_the_last_session_to_leave_is_noticed(state: ListenerState[str]) -> None:
    first, second = StubSession(), StubSession()
    state.admit(first, "192.0.2.1")
    state.admit(second, "192.0.2.2")
    state.emptied = asyncio.Event()
    state.leave(first, "192.0.2.1")
    assert not state.emptied.is_set()
    state.leave(second, "192.0.2.2")
    assert state.emptied.is_set()
