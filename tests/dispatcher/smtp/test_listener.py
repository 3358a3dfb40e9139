from __future__ import annotations

import asyncio

import pytest

from tests.dispatcher.smtp.support import Recorder, listener
from tubepost_api.config import ListenerLimits
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_dispatcher.smtp import replies
from tubepost_dispatcher.smtp.admission import Rank
from tubepost_dispatcher.smtp.config import EffectiveConfig
from tubepost_dispatcher.smtp.listener import ListenerState
from tubepost_dispatcher.smtp.session_limits import SessionLimits


class StubSession:
    """All that a listener knows of a session."""

    def __init__(self, client: str = "", merit: int = 1) -> None:
        self.client = client
        self.merit = merit
        self.state: ListenerState[str] | None = None
        self.evicted = False

    def rank(self) -> Rank | None:
        return Rank(self.merit, 0.0)

    def evict(self) -> None:
        assert self.state is not None
        self.evicted = True
        self.state.leave(self, self.client)

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
    assert state.admit(fourth, "192.0.2.2") == replies.TOO_MANY_CONNECTIONS
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


def test_the_largest_client_makes_room_for_one_with_fewer_sessions(
    state: ListenerState[str], metrics: Metrics
) -> None:
    sender, idle, third, newcomer = (
        StubSession("192.0.2.1", 5),
        StubSession("192.0.2.1"),
        StubSession("192.0.2.2"),
        StubSession("192.0.2.3"),
    )
    for session in (sender, idle, third, newcomer):
        session.state = state
        assert state.admit(session, session.client) is None
    assert state.sessions == {sender, third, newcomer}
    assert [s.evicted for s in (sender, idle, third)] == [False, True, False]
    assert metrics.smtp_sessions._value.get() == 3
    # Everybody has one now: who comes next is refused.
    assert state.admit(StubSession("192.0.2.4"), "192.0.2.4") == replies.TOO_MANY_CONNECTIONS


def test_places_may_be_counted_elsewhere(metrics: Metrics) -> None:
    pod = LocalLimits()  # other workers hold all places, and all that one of the clients may have
    for number in range(10):
        assert SessionLimits(pod).take("192.0.2.1" if number < 4 else "192.0.2.9", ListenerLimits()) is None
    few = listener(max_connections=10, max_connections_per_client=4)
    state = ListenerState(EffectiveConfig(few, Recorder()), metrics, None, 0.0, pod)
    assert state.admit(StubSession(), "192.0.2.1") == replies.TOO_MANY_CLIENT_CONNECTIONS
    assert state.admit(StubSession(), "192.0.2.2") == replies.TOO_MANY_CONNECTIONS
    SessionLimits(pod).give("192.0.2.9")
    SessionLimits(pod).give("192.0.2.9")
    assert (state.timeout("192.0.2.1"), state.timeout("192.0.2.2")) == (10, 300)
