from __future__ import annotations

import asyncio
import os
import signal
import smtplib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from tubepost_api.config import DispatcherConfig
from tubepost_cli.simulated import SimulatedApns
from tubepost_dispatcher.config.source import ManifestSource
from tubepost_dispatcher.supervisor.levels import Level
from tubepost_dispatcher.supervisor.supervisor import ConfigRefused, Supervisor, SupervisorSettings

pytestmark = pytest.mark.xdist_group("supervisor")

TOKEN = "ab" * 32
MESSAGE = (
    'Content-Type: multipart/vnd.msys.mcmt; boundary="b"\r\n\r\n--b\r\n'
    f"Content-Type: message/vnd.msys.apn\r\n\r\nX-Device-Token: {TOKEN}\r\n\r\n"
    '{"aps": {"alert": "%s"}}\r\n--b--\r\n'
)


def _documents(**spec: object) -> list[dict[str, object]]:
    api = "tubepost.io/v1alpha1"
    return [
        {
            "apiVersion": api,
            "kind": "PushDomain",
            "metadata": {"name": "alerts"},
            "spec": {"domains": [{"name": "apn_example.com"}], "routes": ["apns"], "workers": 1, **spec},
        },
        {
            "apiVersion": api,
            "kind": "ApnRoute",
            "metadata": {"name": "apns"},
            "spec": {
                "environment": "Sandbox",
                "certificate": {"secretName": "cert"},
                "topic": "com.example.app",
            },
        },
    ]


@dataclass
class Running:
    supervisor: Supervisor
    apns: SimulatedApns
    file: Path

    def write(self, **spec: object) -> None:
        self.file.write_text(yaml.safe_dump_all(_documents(**spec)))

    async def send(self, alert: str = "hi") -> tuple[int, str]:
        return await asyncio.to_thread(self._send, alert)

    def _send(self, alert: str) -> tuple[int, str]:
        with smtplib.SMTP("127.0.0.1", self.supervisor.smtp_port, timeout=30) as smtp:
            smtp.ehlo()
            smtp.mail("a@b.example")
            code, text = smtp.rcpt("x@apn_example.com")
            if code == 250:
                code, text = smtp.data(MESSAGE % alert)
            return code, text.decode()

    async def status(self) -> dict[str, object]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{self.supervisor.admin_port}/status")
        return dict(answer.json())

    async def metric(self, line: str) -> float:
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{self.supervisor.http_port}/metrics")).text
        return next(
            (float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line + " ")), 0.0
        )

    async def workers(self) -> list[int]:
        return [worker["pid"] for worker in (await self.status())["workers"]]  # type: ignore[attr-defined, index]


async def eventually(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Poll a condition, bounded; the event loop goes on in between."""
    async with asyncio.timeout(timeout):
        while True:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    file = tmp_path / "push.yaml"
    file.write_text(yaml.safe_dump_all(_documents()))
    async with SimulatedApns() as apns:
        source = ManifestSource([file], transform=apns.take_over)
        supervisor = Supervisor(
            source, SupervisorSettings(smtp_port=0, http_port=0, admin_port=0, grace=10.0)
        )
        await supervisor.start()
        try:
            yield Running(supervisor, apns, file)
        finally:
            await supervisor.drain()


async def test_a_message_travels_and_is_counted(running: Running) -> None:
    code, text = await running.send("hello")
    assert code == 250
    (got,) = await running.apns.simulator.wait_for(1)
    assert got.payload == b'{"aps": {"alert": "hello"}}'
    assert got.apns_id in text
    assert await running.metric('tubepost_messages_total{kind="push",result="accepted"}') == 1


async def test_a_changed_file_is_put_in_force_without_cutting_a_session(running: Running) -> None:
    pids = await running.workers()
    with smtplib.SMTP("127.0.0.1", running.supervisor.smtp_port, timeout=30) as session:
        await asyncio.to_thread(session.ehlo)
        running.write(delivery={"mode": "Blackhole"})

        async def blackhole() -> bool:
            return "Blackhole" in (await running.send())[1]

        await eventually(blackhole)
        assert (await asyncio.to_thread(session.noop))[0] == 250
    assert await running.workers() == pids
    assert running.supervisor.prepared.config.generation == 2
    assert await running.metric('tubepost_config_reloads_total{level="options",result="applied"}') == 1


async def test_a_broken_file_is_refused_and_said_while_the_old_one_serves_on(running: Running) -> None:
    running.file.write_text("kind: PushDomain\n  bad: [")

    async def refused() -> object:
        return (await running.status())["config"]["refused"]  # type: ignore[index]

    await eventually(refused)
    assert (await running.send())[0] == 250
    assert await running.metric("tubepost_config_last_reload_failed") == 1
    running.write()
    await eventually(lambda: _mended(running))


async def _mended(running: Running) -> bool:
    return await running.metric("tubepost_config_last_reload_failed") == 0


async def test_workers_come_and_go_and_sessions_of_those_that_stay_go_on(running: Running) -> None:
    (first,) = await running.workers()
    with smtplib.SMTP("127.0.0.1", running.supervisor.smtp_port, timeout=30) as session:
        await asyncio.to_thread(session.ehlo)
        for wanted in (3, 1):
            running.write(workers=wanted)

            async def there(wanted: int = wanted) -> bool:
                return len(set(await running.workers())) == wanted

            await eventually(there, 40.0)
            assert first in await running.workers()
            for _ in range(6):
                assert (await running.send())[0] == 250
        assert (await asyncio.to_thread(session.noop))[0] == 250
    assert await running.metric('tubepost_messages_total{kind="push",result="accepted"}') == 12


async def test_a_killed_worker_is_replaced_and_its_counts_stay(running: Running) -> None:
    assert (await running.send())[0] == 250
    assert await running.metric('tubepost_messages_total{kind="push",result="accepted"}') == 1
    (pid,) = await running.workers()
    os.kill(pid, signal.SIGKILL)

    async def replaced() -> bool:
        return all(worker != pid for worker in await running.workers()) and running.supervisor.http_port > 0

    await eventually(replaced, 40.0)
    assert (await running.send())[0] == 250
    assert await running.metric('tubepost_messages_total{kind="push",result="accepted"}') == 2
    assert await running.metric('tubepost_worker_exits_total{cause="signal 9"}') == 1


async def test_a_start_with_broken_manifests_says_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "push.yaml"
    file.write_text(yaml.safe_dump_all(_documents(routes=["nowhere"])))
    supervisor = Supervisor(
        ManifestSource([file]), SupervisorSettings(smtp_port=0, http_port=0, admin_port=0)
    )
    with pytest.raises(ConfigRefused, match="nowhere"):
        await supervisor.start()


async def test_levels(running: Running) -> None:
    supervisor = running.supervisor
    change = await supervisor.reload()
    assert change is not None
    assert change.level is Level.NONE
    config: DispatcherConfig = supervisor.prepared.config
    assert config.generation == 1
