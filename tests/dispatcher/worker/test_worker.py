from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.bundles import bundle, prepared
from tests.dispatcher.supervisor.conftest import eventually
from tests.support.mcmt import mail
from tubepost_api.config import (
    AcceptanceConfig,
    AcceptanceMode,
    AcceptanceOverflow,
    DeliveryConfig,
    EntryConfig,
    ListenerLimits,
    QueueConfig,
    TracingConfig,
)
from tubepost_api.config_logger import FileSink, LoggerConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.local import LocalLimits
from tubepost_dispatcher.smtp import server
from tubepost_dispatcher.worker import pools
from tubepost_dispatcher.worker.worker import Worker


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.readline()


async def test_a_session_goes_on_across_another_configuration_and_ends_with_the_drain() -> None:
    worker = Worker(prepared(), Metrics())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await worker.serve([listening])
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert (await _line(reader)).startswith(b"220 ")
        await worker.apply(prepared(generation=5, log_level="Debug"), 1)
        writer.write(b"NOOP\r\n")
        assert (await _line(reader)).startswith(b"250 ")
        status = worker.status()
        assert (status["configGeneration"], status["sessions"]) == (5, 1)
        assert worker.metrics.registry.get_sample_value("tubepost_config_generation") == 5
        assert await worker.drain(5.0) == 0
        assert (await _line(reader)).startswith(b"421 ")
        writer.close()
        await writer.wait_closed()


async def test_tls_contexts_are_made_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker(prepared(), Metrics())
    whole, threads = pools.client_context, []

    def noted(*args: Any) -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return whole(*args)

    monkeypatch.setattr(pools, "client_context", noted)
    routes = dict(bundle().config.routes)
    routes["apns"] = routes["apns"].model_copy(update={"port": 2})
    await worker.apply(prepared(routes=routes), 1)
    assert threads
    assert threading.get_ident() not in threads
    await worker.drain(1.0)


async def test_only_who_has_something_to_do_is_told_of_notifications(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def told() -> list[str]:
        return [type(listener).__name__ for listener in worker._deliverer.listeners]

    caplog.set_level(logging.INFO, "tubepost.delivery")
    worker = Worker(prepared(), Metrics())
    assert told() == ["MetricsListener", "DeliveryLog", "Journal"]
    caplog.set_level(logging.DEBUG, "tubepost.delivery")
    await worker.apply(prepared(generation=5, tracing=TracingConfig(endpoint="http://127.0.0.1:9")), 1)
    assert told() == ["MetricsListener", "DeliveryLog", "Journal", "DebugListener", "Tracing"]
    caplog.set_level(logging.INFO, "tubepost.delivery")
    await worker.apply(prepared(generation=6), 1)
    assert told() == ["MetricsListener", "DeliveryLog", "Journal"]
    await worker.drain(5.0)


async def test_a_worker_retires_when_nobody_is_led_to_it_any_more_and_may_be_called_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "QUIET", 0.1)
    worker = Worker(prepared(), Metrics())

    def retiring() -> float | None:
        return worker.metrics.registry.get_sample_value("tubepost_retiring")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        await worker.serve([listening])
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        assert (await _line(reader)).startswith(b"220 ")
        worker.set_retiring(True, 60.0)
        writer.write(b"NOOP\r\n")
        assert (await _line(reader)).startswith(b"250 ")
        assert retiring() == 0
        worker.set_retiring(False)
        worker.set_retiring(True, 0.0)
        worker.set_retiring(True, 60.0)
        assert (await _line(reader)).startswith(b"421 ")
        assert retiring() == 0, "somebody may come"
        await eventually(lambda: retiring() == 1)
        worker.set_retiring(False)
        assert retiring() == 0
        again, other = await asyncio.open_connection(*listening.getsockname())
        assert (await _line(again)).startswith(b"220 ")
        for end in (writer, other):
            end.close()
            await end.wait_closed()
        await worker.drain(1.0)


async def test_a_session_in_a_transaction_is_cut_at_the_end_of_the_grace_period() -> None:
    worker = Worker(prepared(), Metrics())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await worker.serve([listening])
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        await _line(reader)
        writer.write(b"HELO x\r\nMAIL FROM:<a@b.example>\r\n")
        await _line(reader)
        assert (await _line(reader)).startswith(b"250 ")
        assert await worker.drain(0.0) == 1
        writer.close()


async def test_limits_are_the_pods() -> None:
    limits = ListenerLimits(max_connections=5, max_connections_per_client=0)
    listener = bundle().config.listener.model_copy(update={"limits": limits})
    pod = LocalLimits()
    workers = [Worker(prepared(listener=listener), Metrics(), pod, index=i, count=2) for i in range(2)]
    greeted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        for worker, listening in zip(workers, (one, two), strict=True):
            await worker.serve([listening])
        writers = []
        for listening in (one, two, two, two, two, one, two):
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writers.append(writer)
            greeted.append((await _line(reader))[:4])
        assert greeted == [b"220 "] * 5 + [b"421 "] * 2
        for writer in writers:
            writer.close()
        for worker in workers:
            await worker.drain(0.0)
    assert pod.taken("sessions") == 0


async def test_what_a_worker_found_out_itself_is_told_although_it_hears_of_another_hold() -> None:
    one, two = Worker(prepared(), Metrics(), count=2), Worker(prepared(), Metrics(), index=1, count=2)
    pools = {name: pool for (name, _, _), pool in one._pools._pools.items()}
    pools["token"].adopt_hold("InvalidProviderToken", "", 60.0)
    ((route, credential, reason, detail, seconds),) = one.changed_holds()
    assert one.changed_holds() == []
    apns = {name: pool for (name, _, _), pool in two._pools._pools.items()}["apns"]
    apns.adopt_hold("BadCertificate", "", 60.0)
    two.adopt_hold(route, credential, reason, detail, seconds)
    assert [change[0] for change in two.changed_holds()] == ["apns"]
    apns.release_hold()
    two.adopt_hold(route, credential, "", "", 0.0)
    assert [change[:1] + change[2:3] for change in two.changed_holds()] == [("apns", "")]
    await one.drain(0.0)
    await two.drain(0.0)


async def test_a_log_directory_that_is_missing_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    logger = LoggerConfig(name="log", file=FileSink(path=str(tmp_path / "none" / "apn.log")))
    worker = Worker(prepared(loggers=(logger,)), Metrics())
    await eventually(
        lambda: "create that directory" in worker.status()["loggerProblems"].get("log", ""), 60.0
    )
    await worker.drain(0.0)


# -- with a queue

_ENTRY = EntryConfig(name="apn.example.com", routes=("apns",), delivery=DeliveryConfig())
DIRECT: dict[str, Any] = {"entries": (_ENTRY,), "acceptance": AcceptanceConfig(deadline=0.1)}
QUEUED: dict[str, Any] = {
    "entries": (_ENTRY,),
    "acceptance": AcceptanceConfig(mode=AcceptanceMode.QUEUED, deadline=5.0),
    "queue": QueueConfig(persistent=True),
}


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, line: bytes) -> bytes:
        self.writer.write(line + b"\r\n")
        return await _line(self.reader)

    async def begin(self) -> None:
        assert (await self.say(b"MAIL FROM:<a@b.example>"))[:3] == b"250"

    async def finish(self, to: bytes = b"x@apn.example.com") -> bytes:
        assert (await self.say(b"RCPT TO:<%b>" % to))[:3] == b"250"
        assert (await self.say(b"DATA"))[:3] == b"354"
        return await self.say(mail() + b".")

    async def send(self) -> bytes:
        await self.begin()
        return await self.finish()


@asynccontextmanager
async def session(worker: Worker) -> AsyncIterator[Client]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        await worker.serve([listening])
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        client = Client(reader, writer)
        await _line(reader)
        await client.say(b"HELO x")
        try:
            yield client
        finally:
            writer.close()
            await worker.drain(0.5)


async def test_the_mode_changes_between_two_transactions(tmp_path: Path) -> None:
    worker = Worker(prepared(**DIRECT), Metrics(), queue_dir=tmp_path)
    async with session(worker) as client:
        assert (await client.send())[:3] == b"451"  # nobody is at APNs' address
        await client.begin()
        await worker.apply(prepared(generation=2, **QUEUED), 1)
        assert (await client.finish())[:3] == b"451"
        assert (await client.send()).startswith(b"250 2.0.0 Queued as ")
        await client.begin()
        await worker.apply(prepared(generation=3, **DIRECT), 1)
        assert (await client.finish()).startswith(b"250 2.0.0 Queued as ")
        assert (await client.send())[:3] == b"451"
        assert worker.open_messages == 0


async def test_what_is_queued_outlives_the_worker_and_the_mode(tmp_path: Path) -> None:
    worker = Worker(prepared(**QUEUED), Metrics(), queue_dir=tmp_path)
    async with session(worker) as client:
        assert (await client.send())[:3] == b"250"
    left = Worker(prepared(), Metrics(), queue_dir=tmp_path)
    assert left._queue is not None
    async with asyncio.timeout(20):
        while left._queue.queue.queued != 1:  # noqa: ASYNC110 - until the partition is open
            await asyncio.sleep(0.01)
    await left.drain(0.0)


async def test_a_mode_without_its_queue_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Queued"):
        Worker(prepared(**QUEUED), Metrics())
    worker = Worker(prepared(), Metrics())
    with pytest.raises(ValueError, match="Queued"):
        await worker.apply(prepared(**QUEUED), 1)
    await worker.drain(0.0)


async def test_the_queue_is_sampled(tmp_path: Path) -> None:
    metrics = Metrics()
    worker = Worker(prepared(**QUEUED), metrics, queue_dir=tmp_path)

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"tubepost_queue_{name}", labels)

    async with session(worker) as client:
        assert (await client.send())[:3] == b"250"
        entry = worker.prepared.config.entries[0].name or ""
        async with asyncio.timeout(30):
            while not value("commits_total") or not any(  # noqa: ASYNC110 - the sampler tells nobody
                value("notifications", domain=entry, route=route) for route in ("", "apns", "token")
            ):
                await asyncio.sleep(0.05)
        assert value("partitions", state="owned") == 1
        assert (value("size_bytes") or 0) > 0


async def test_a_partition_that_another_process_has_is_waited_for(tmp_path: Path) -> None:
    """The successor of a worker: it serves only once its predecessor has closed the partition."""
    before = Worker(prepared(**QUEUED), Metrics(), queue_dir=tmp_path)
    await before.prepared_to_accept(20.0)
    assert before.queue_state() == ({0: ""}, "")
    after = Worker(prepared(**QUEUED), Metrics(), queue_dir=tmp_path)
    await after.prepared_to_accept(0.0)
    assert "is being opened" in after.queue_state()[1]
    async with session(after) as client:
        refused = await client.send()
        assert refused.startswith(b"451 4.3.0 The queue is not open yet")
        problems, obstacle = after.queue_state()
        assert f"in use by process {os.getpid()}" in problems[0]
        assert obstacle == f"the queue: {problems[0]}"
        # Direct needs no queue.
        await after.apply(prepared(generation=2, **DIRECT), 1)
        assert after.queue_state()[1] == ""
        await after.apply(prepared(generation=3, **QUEUED), 1)
        await before.drain(0.0)
        await after.prepared_to_accept(20.0)
        assert after.queue_state() == ({0: ""}, "")
        assert (await client.send())[:3] == b"250"


async def test_partitions_of_other_slots_are_adopted_and_given_back(tmp_path: Path) -> None:
    left = Worker(prepared(**QUEUED), Metrics(), queue_dir=tmp_path, index=2, count=3)
    async with session(left) as client:
        assert (await client.send())[:3] == b"250"
    worker = Worker(prepared(**QUEUED), Metrics(), queue_dir=tmp_path)
    assert worker._queue is not None
    worker.adopt((2,))
    async with asyncio.timeout(20):
        while worker._queue.queue.queued != 1:  # noqa: ASYNC110 - until the partition is open
            await asyncio.sleep(0.01)
    worker.adopt(())
    again = Worker(prepared(**QUEUED), Metrics(), queue_dir=tmp_path, index=2, count=3)
    await again.prepared_to_accept(20.0)
    assert again.queue_state() == ({2: ""}, "")
    await worker.drain(0.0)
    await again.drain(0.0)


async def test_what_has_no_verdict_by_the_deadline_is_kept_where_the_configuration_says_so(
    tmp_path: Path,
) -> None:
    overflow = AcceptanceConfig(deadline=0.1, overflow=AcceptanceOverflow.QUEUE)
    keep = {**QUEUED, "acceptance": overflow}
    worker = Worker(prepared(**keep), Metrics(), queue_dir=tmp_path)
    assert worker._queue is not None
    async with session(worker) as client:
        assert (await client.send()).startswith(b"250 2.0.0 Queued as ")
        async with asyncio.timeout(20):
            while worker._queue.queue.queued != 1:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.01)
        await worker.apply(prepared(generation=2, **DIRECT), 1)
        assert (await client.send())[:3] == b"451"
