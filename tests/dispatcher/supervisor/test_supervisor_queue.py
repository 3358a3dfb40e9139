"""A dispatcher with a queue: real workers, and the simulator in APNs' place."""

from __future__ import annotations

import asyncio
import smtplib
from dataclasses import replace
from pathlib import Path

import pytest

from tests.dispatcher.supervisor.test_supervisor import serving
from tubepost_api.config import ServingWorkload
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.supervisor.supervisor import ConfigRefused

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
        with pytest.raises(smtplib.SMTPConnectError, match="421"):
            await running.send("two")
        assert len(await running.apns.simulator.wait_for(1)) == 1
        serving_now[0] = ()
        assert await running.supervisor.reload() is not None
        assert (await running.status())["ready"] is True
        assert (await running.send("three"))[0] == 250
