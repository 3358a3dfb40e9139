"""A dispatcher with a queue: real workers, and the simulator in APNs' place."""

from __future__ import annotations

import asyncio
import os
import smtplib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dispatcher.supervisor.conftest import eventually
from tests.dispatcher.supervisor.test_supervisor import serving
from tests.support.mcmt import mail
from tubepost_api.config import ServingWorkload
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.store.directory import Directory
from tubepost_dispatcher.supervisor.supervisor import ConfigRefused
from tubepost_dispatcher.worker import process as worker_process

pytestmark = pytest.mark.xdist_group("supervisor")

QUEUED = {"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}


async def test_a_queue_needs_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"spec\.queue\.disk: .*Remedy: start it with --queue-dir"):
        async with serving(tmp_path, spec=QUEUED, strict=False):
            raise AssertionError("it must not start")
    async with serving(tmp_path) as running:
        running.write(**QUEUED)
        assert await running.supervisor.reload() is None
        assert "--queue-dir" in str((await running.status())["config"])
        assert (await running.send())[1].startswith("2.0.0 Delivered")


async def test_a_change_of_the_mode_is_one_of_options(tmp_path: Path) -> None:
    async with serving(tmp_path, queue_dir=tmp_path / "queue") as running:
        pids = await running.workers()
        assert (await running.send("one"))[1].startswith("2.0.0 Delivered")
        for spec, text in ((QUEUED, "2.0.0 Queued as "), ({}, "2.0.0 Delivered")):
            running.write(**spec)
            change = await running.supervisor.reload()
            assert change is not None
            assert change.level == "options"
            assert (await running.send("two"))[1].startswith(text)
        assert len(await running.apns.simulator.wait_for(3)) == 3
        assert await running.workers() == pids


async def test_a_pod_that_others_have_replaced_delivers_its_queue_and_takes_no_mail(tmp_path: Path) -> None:
    others = (ServingWorkload(kind="StatefulSet"),)
    serving_now: list[tuple[ServingWorkload, ...]] = [()]

    def compiled(bundle: ConfigBundle) -> ConfigBundle:
        return replace(bundle, config=bundle.config.model_copy(update={"serving": serving_now[0]}))

    settings = {"queue_dir": tmp_path / "queue", "workload": "Deployment"}
    async with serving(tmp_path, spec=QUEUED, compiled=compiled, **settings) as running:
        running.apns.simulator.apply_chaos({"latencyMs": 500})
        assert (await running.send("one"))[0] == 250
        session = await asyncio.to_thread(smtplib.SMTP, "127.0.0.1", running.supervisor.smtp_port)
        serving_now[0] = others
        assert await running.supervisor.reload() is not None
        status = await running.status()
        assert (status["ready"], status["reason"]) == (False, "retiring: the queue is being emptied")
        assert (await asyncio.to_thread(session.noop))[0] == 421
        session.close()
        assert (await running.send("led here all the same"))[0] == 250
        await eventually(lambda: running.metric("tubepost_retiring"))
        with pytest.raises(smtplib.SMTPConnectError, match="421"):
            await running.send("two")
        assert len(await running.apns.simulator.wait_for(2)) == 2
        serving_now[0] = ()
        assert await running.supervisor.reload() is not None
        assert (await running.status())["ready"] is True
        assert (await running.send("three"))[0] == 250


@pytest.mark.parametrize("trouble", ["locked", "broken"])
async def test_a_queue_that_takes_nothing_makes_the_pod_unready_and_recovers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(worker_process, "OPEN_PATIENCE", 0.1)
    monkeypatch.setattr(worker_process.process_log, "setup", lambda *_: None)
    queue = tmp_path / "queue"
    queue.mkdir()
    if trouble == "locked":
        other = Directory(partition_path(queue, 0))
        words, reply = f"in use by process {os.getpid()}", "The queue is not open yet"
    else:
        partition_path(queue, 0).touch()
        words, reply = "Not a directory", "The disk of the queue failed"
    async with serving(tmp_path, spec=QUEUED, queue_dir=queue, in_process=True) as running:
        status = await running.status()
        assert status["ready"] is False
        assert str(status["reason"]).startswith("the queue: ")
        assert words in str(status["reason"])
        (partition,) = status["queue"]["partitions"]  # type: ignore[index]
        assert (partition["partition"], partition["worker"]) == (0, 0)
        assert words in partition["problem"]
        code, text = await running.send()
        assert code == 451
        assert reply in text
        assert await running.http("livez") == 200
        assert await running.http("readyz") == 503
        if trouble == "locked":
            other.close()
        else:
            partition_path(queue, 0).unlink()
        await eventually(lambda: running.supervisor._ready()[0])
        assert (await running.send())[0] == 250
        assert len(await running.apns.simulator.wait_for(1)) == 1


async def test_what_was_acknowledged_is_delivered_by_the_next_start(tmp_path: Path) -> None:
    suspended = {**QUEUED, "delivery": {"mode": "Suspend"}}
    queue = tmp_path / "queue"
    async with serving(tmp_path, spec=suspended, queue_dir=queue) as running:

        def send() -> dict[str, tuple[int, bytes]]:
            with smtplib.SMTP("127.0.0.1", running.supervisor.smtp_port, timeout=30) as smtp:
                to = ["x@apn_example.com", "nobody@elsewhere.example", "y@apn_example.com"]
                return smtp.sendmail("a@b.example", to, mail())

        refused = await asyncio.to_thread(send)
        assert {to: code for to, (code, _) in refused.items()} == {"nobody@elsewhere.example": 550}
        await eventually(lambda: running.metric('tubepost_queue_held{cause="suspend"}'))
        assert running.apns.simulator.notifications == []
    # In Direct mode, too: what the queue has is its to deliver.
    async with serving(tmp_path, queue_dir=queue) as running:
        assert len(await running.apns.simulator.wait_for(2)) == 2
