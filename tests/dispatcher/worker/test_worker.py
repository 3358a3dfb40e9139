from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from tests.dispatcher.bundles import bundle, prepared
from tubepost_api.config import FileSink, ListenerLimits, LoggerConfig
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.pod_limits.local import LocalLimits
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
        worker.apply(prepared(generation=5, log_level="Debug"), 1)
        writer.write(b"NOOP\r\n")
        assert (await _line(reader)).startswith(b"250 ")
        status = worker.status()
        assert (status["configGeneration"], status["sessions"]) == (5, 1)
        assert worker.metrics.registry.get_sample_value("tubepost_config_generation") == 5
        assert await worker.drain(5.0) == 0
        assert (await _line(reader)).startswith(b"421 ")
        writer.close()
        await writer.wait_closed()


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
    assert "create that directory" in worker.status()["loggerProblems"]["log"]
    await worker.drain(0.0)
