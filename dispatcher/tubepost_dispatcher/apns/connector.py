"""The connections that a pool is opening: how many, what went wrong, and when to try again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from tubepost_dispatcher.apns.connection import Connection
from tubepost_dispatcher.apns.dialing import DialError, Target, dial
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import local_outcome
from tubepost_runtime.backoff import Backoff, Exponential
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.apns")

FAILURES_BEFORE_REFUSING = 3
"""Failed attempts to connect in a row after which waiting requests come back."""

# Not full jitter: a tenth at least, or many processes could draw a delay of nearly nothing.
_DELAYS = Exponential(first=0.25, most=30.0, jitter=(0.1, 1.0))

# These do not go away by themselves: waiting requests come back at the first failure.
_LASTING = frozenset({"TlsFailed", "CertificateVerifyFailed", "ProxyRefused"})


class Connector:
    """Opens connections to one target, one task each.

    `opened` is called with every connection that has become usable, `settled` after each attempt, `failed`
    with the reason of each failure.
    """

    def __init__(
        self,
        name: str,
        target: Target | None,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        rng: Callable[[], float],
        *,
        make: Callable[[], Connection],
        opened: Callable[[Connection], None],
        settled: Callable[[], None],
        failed: Callable[[str], None],
    ) -> None:
        self._name = name
        self._target = target
        self._loop = loop
        self._clock = clock
        self._make = make
        self._opened = opened
        self._settled = settled
        self._count_failure = failed
        self._assumed = False
        self._tasks = TaskSet()
        self._started: dict[asyncio.Task[None], float] = {}
        self.backoff = Backoff(_DELAYS, rng)
        self.trouble: DialError | None = None
        """Why the last attempt failed; None after a success."""

    def __len__(self) -> int:
        """Attempts in progress."""
        return len(self._tasks)

    def begun(self) -> list[float]:
        """When each attempt in progress began, monotonic seconds, the oldest first."""
        return list(self._started.values())

    def start(self, timeout: float) -> None:
        """Begin an attempt that may take `timeout` seconds."""
        _LOG.debug("route %s: connecting, %d attempts already in progress", self._name, len(self))
        task = self._tasks.spawn(self._open(timeout))
        self._started[task] = self._clock()
        task.add_done_callback(self._done)

    def overtaken(self, before: float) -> None:
        """Give up the attempts that began before: a later one has opened a connection."""
        for task, began in self._started.items():
            if began < before:
                task.cancel()

    def succeeded(self) -> None:
        """Note that APNs answered on a connection: a connection that opens proves nothing yet."""
        if self.trouble is not None or self.backoff.failures:
            self.trouble = None
            self.backoff.success()

    def failed(self, error: DialError) -> None:
        """Note a failure to connect, or a connection that ended without a single answer."""
        self.trouble = error
        delay = self.backoff.failure(self._clock())
        self._count_failure(error.reason)
        _LOG.warning("route %s: %s (next attempt in %.2f s)", self._name, error, delay)

    def refusal(self, now: float) -> Outcome | None:
        """Return the outcome of waiting requests while connecting fails; None while it may still succeed.

        Do not call this while a usable connection exists.
        """
        trouble = self.trouble
        if trouble is None or now >= self.backoff.until:
            return None
        if trouble.reason not in _LASTING and self.backoff.failures < FAILURES_BEFORE_REFUSING:
            return None
        return local_outcome(trouble.reason, trouble.detail, held_until=self.backoff.until)

    async def cancel(self) -> None:
        """Cancel all attempts and wait until they have ended."""
        await self._tasks.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._started.pop(task, None)
        if not task.cancelled():
            self._settled()

    async def _open(self, timeout: float) -> None:
        connection: Connection | None = None
        assumed = False

        def assume() -> None:
            nonlocal assumed
            assumed = True

        deadline = self._loop.time() + timeout
        assert self._target is not None
        try:
            connection = await dial(self._loop, self._target, self._make, timeout, assume)
            async with asyncio.timeout_at(deadline):
                await connection.wait_ready()
        except TimeoutError:
            self.failed(DialError("ConnectTimeout", f"no HTTP/2 SETTINGS in {timeout:g} s"))
        except DialError as error:
            if assumed:
                told = "the server selected no ALPN protocol and does not speak HTTP/2"
                error = DialError("TlsFailed", f"{told}: {error.detail}")
            self.failed(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave requests waiting unheard
            self.failed(DialError("ConnectFailed", f"internal error: {type(error).__name__}"))
            _LOG.debug("route %s: internal error while connecting", self._name, exc_info=True)
        else:
            if assumed and not self._assumed:
                self._assumed = True
                _LOG.warning(
                    "route %s: the server selected no ALPN protocol; using HTTP/2 with prior knowledge",
                    self._name,
                )
            self._opened(connection)
            connection = None
        finally:
            if connection is not None:
                connection.shut("unused")
