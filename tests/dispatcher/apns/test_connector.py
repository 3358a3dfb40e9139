from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import FakeClock
from tubepost_dispatcher.apns import connector as module
from tubepost_dispatcher.apns.connection import Connection
from tubepost_dispatcher.apns.connector import FAILURES_BEFORE_REFUSING, Connector
from tubepost_dispatcher.apns.dialing import DialError, Target
from tubepost_runtime.backoff import Backoff


class FakeConnection:
    """What `dial` returns."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cause = ""

    async def wait_ready(self) -> None:
        await asyncio.shield(self.ready)  # two attempts share it

    def shut(self, cause: str) -> None:
        self.cause = cause


class Bench:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.dialled = FakeConnection()
        self.error: Exception | None = None
        self.without_alpn = False
        self.opened: list[object] = []
        self.failures: list[str] = []
        self.settled = 0
        self._changed = asyncio.Event()
        monkeypatch.setattr(module, "dial", self._dial)
        self.connector = Connector(
            "route",
            Target("localhost", 1, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
            asyncio.get_running_loop(),
            self.clock,
            lambda: 1.0,
            make=lambda: pytest.fail("dial is replaced"),
            opened=self.opened.append,
            settled=self._settled,
            failed=self.failures.append,
        )

    def _settled(self) -> None:
        self.settled += 1
        self._changed.set()

    async def _dial(
        self,
        loop: object,
        target: object,
        make: Callable[[], Connection],
        timeout: float,
        assumed: Callable[[], None],
    ) -> FakeConnection:
        if self.without_alpn:
            assumed()
        if self.error is not None:
            raise self.error
        return self.dialled

    async def attempt(self, timeout: float = 5.0) -> None:
        self.connector.start(timeout)
        assert len(self.connector) == 1
        self._changed.clear()
        await self._changed.wait()


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


async def test_a_connection_is_handed_over_once_it_is_ready(bench: Bench) -> None:
    bench.connector.start(5.0)
    await asyncio.sleep(0.01)
    assert not bench.opened
    bench.dialled.ready.set_result(None)
    await asyncio.sleep(0.01)
    assert bench.opened == [bench.dialled]
    assert (bench.settled, bench.failures, bench.dialled.cause) == (1, [], "")


async def test_settings_that_do_not_come_are_a_timeout(bench: Bench) -> None:
    bench.connector.start(0.01)
    await asyncio.sleep(0.1)
    assert bench.failures == ["ConnectTimeout"]
    assert bench.dialled.cause == "unused"


async def test_requests_come_back_after_some_failures_and_until_the_next_attempt(bench: Bench) -> None:
    bench.error = DialError("ConnectFailed", "nobody there")
    for _ in range(FAILURES_BEFORE_REFUSING - 1):
        await bench.attempt()
        assert bench.connector.refusal(bench.clock.now) is None
    await bench.attempt()
    refusal = bench.connector.refusal(bench.clock.now)
    assert refusal is not None
    assert (refusal.reason, refusal.held_until) == ("ConnectFailed", bench.connector.backoff.until)
    assert bench.connector.refusal(bench.connector.backoff.until) is None


async def test_what_will_not_mend_itself_is_said_at_once(bench: Bench) -> None:
    bench.error = DialError("CertificateVerifyFailed", "self-signed")
    await bench.attempt()
    assert bench.connector.refusal(bench.clock.now) is not None


async def test_only_an_answer_makes_failures_forgotten(bench: Bench) -> None:
    bench.error = DialError("ConnectFailed", "nobody there")
    await bench.attempt()
    bench.error = None
    bench.dialled.ready.set_result(None)
    await bench.attempt()
    assert bench.connector.trouble is not None
    bench.connector.succeeded()
    assert (bench.connector.trouble, bench.connector.backoff.failures) == (None, 0)


async def test_a_fault_of_ours_is_a_failure_too(bench: Bench) -> None:
    bench.error = RuntimeError("oops")
    await bench.attempt()
    assert bench.failures == ["ConnectFailed"]
    assert "oops" not in str(bench.connector.trouble)


async def test_cancelled_attempts_settle_nothing(bench: Bench) -> None:
    bench.connector.start(5.0)
    await asyncio.sleep(0)
    await bench.connector.cancel()
    assert (len(bench.connector), bench.settled, bench.failures) == (0, 0, [])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_back_off_doubles_with_jitter_and_is_bounded(draws: list[float]) -> None:
    values = iter(draws)
    backoff = Backoff(module._DELAYS, lambda: next(values))
    for place, _ in enumerate(draws):
        ceiling = min(30.0, 0.25 * 2.0**place)
        delay = backoff.failure(100.0)
        assert 0.1 * ceiling <= delay <= ceiling * 1.000001
        assert backoff.until == 100.0 + delay
        assert backoff.failures == place + 1
    backoff.success()
    assert (backoff.failures, backoff.until) == (0, 0.0)


async def test_attempts_that_were_overtaken_are_given_up_and_no_failure(bench: Bench) -> None:
    bench.connector.start(5.0)
    await asyncio.sleep(0)
    bench.clock.now += 2.0
    bench.connector.start(5.0)
    await asyncio.sleep(0)
    first, second = bench.connector.begun()
    assert second == first + 2.0
    bench.connector.overtaken(second)
    await asyncio.sleep(0.01)
    assert bench.connector.begun() == [second]
    assert len(bench.connector) == 1
    assert (bench.failures, bench.connector.trouble) == ([], None)
    assert bench.dialled.cause == "unused"


async def test_a_failure_without_alpn_says_so(bench: Bench) -> None:
    bench.without_alpn = True
    bench.dialled.ready.set_exception(DialError("ConnectFailed", "its answer is HTTP/1"))
    await bench.attempt()
    trouble = bench.connector.trouble
    assert trouble is not None
    assert trouble.reason == "TlsFailed"
    assert "ALPN" in trouble.detail
    assert "HTTP/1" in trouble.detail
