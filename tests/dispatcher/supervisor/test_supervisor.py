from __future__ import annotations

import asyncio
import logging
import os
import signal
import smtplib
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.exposition import generate_latest

from tests.dispatcher.bundles import SECRETS, bundle, prepared
from tests.dispatcher.supervisor.conftest import FakeWorkers, alive, eventually
from tests.support.mcmt import mail
from tubepost_api.config import AuthConfig, DeliveryConfig, DispatcherConfig
from tubepost_cli.simulated import SimulatedApns
from tubepost_dispatcher import build_info
from tubepost_dispatcher.acceptance.direct import DirectAcceptance
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.config.manifest_source import ManifestSource
from tubepost_dispatcher.config.source import Loaded
from tubepost_dispatcher.smtp import server as server_module
from tubepost_dispatcher.supervisor import supervisor as supervisor_module
from tubepost_dispatcher.supervisor import worker_handle
from tubepost_dispatcher.supervisor.config_change import Level
from tubepost_dispatcher.supervisor.sockets import CannotBind
from tubepost_dispatcher.supervisor.supervisor import ConfigRefused, Supervisor, SupervisorSettings
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed
from tubepost_runtime import process_log

pytestmark = pytest.mark.xdist_group("supervisor")


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
                code, text = smtp.data(mail(b'{"aps": {"alert": "%s"}}' % alert.encode()))
            return code, text.decode()

    async def status(self) -> dict[str, object]:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{self.supervisor.admin_port}/status")
        return dict(answer.json())

    async def http(self, path: str) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.supervisor.http_port}/{path}")).status_code

    async def metric(self, line: str) -> float:
        async with httpx.AsyncClient(trust_env=False) as client:
            text = (await client.get(f"http://127.0.0.1:{self.supervisor.http_port}/metrics")).text
        return next(
            (float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line + " ")), 0.0
        )

    async def workers(self) -> list[int]:
        return [worker["pid"] for worker in (await self.status())["workers"]]  # type: ignore[attr-defined, index]


@asynccontextmanager
async def serving(
    directory: Path,
    spec: Mapping[str, object] | None = None,
    compiled: Callable[[ConfigBundle], ConfigBundle] = lambda bundle: bundle,
    **settings: Any,
) -> AsyncIterator[Running]:
    file = directory / "push.yaml"
    file.write_text(yaml.safe_dump_all(_documents(**spec or {})))
    async with SimulatedApns() as apns:
        source = ManifestSource([file], transform=lambda bundle: compiled(apns.take_over(bundle)))
        fields = {"smtp_port": 0, "http_port": 0, "admin_port": 0, "grace": 10.0, **settings}
        supervisor = Supervisor(source, SupervisorSettings(**fields))
        await supervisor.start()
        try:
            yield Running(supervisor, apns, file)
        finally:
            await supervisor.drain()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path) as made:
        yield made


async def test_a_message_travels_and_is_counted(running: Running) -> None:
    code, text = await running.send("hello")
    assert code == 250
    (got,) = await running.apns.simulator.wait_for(1)
    assert got.payload == b'{"aps": {"alert": "hello"}}'
    assert got.apns_id in text
    assert await running.metric('tubepost_messages_total{kind="push",result="accepted"}') == 1


async def test_proxies_of_the_environment_are_not_used_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://user:hidden@127.0.0.1:9")
    with caplog.at_level("INFO", "tubepost.supervisor"):
        async with serving(tmp_path) as it:
            assert (await it.send())[0] == 250
    assert "ALL_PROXY, HTTPS_PROXY, https_proxy is not used: spec.proxy of an ApnRoute" in caplog.text
    assert "hidden" not in caplog.text


async def test_all_ports_take_connections_of_both_families(tmp_path: Path) -> None:
    async with serving(
        tmp_path, {"listener": {"allowedNetworks": ["127.0.0.0/8", "::1"]}}, smtp_host="::", http_host="::"
    ) as it:
        found = it.supervisor
        for host in ("127.0.0.1", "::1"):
            for port in (found.smtp_port, found.http_port, found.admin_port):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
            # Over the socket of both families an IPv4 client is still one.
            reader, writer = await asyncio.open_connection(host, found.smtp_port)
            assert (await reader.readline()).startswith(b"220 ")
            writer.close()


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


class FakedSite:
    """A supervisor whose workers are stand-ins: for what concerns the supervisor alone."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.contents = bundle()
        self.source = _Given(self)
        fields = {"smtp_port": 0, "http_port": 0, "admin_port": 0, "grace": 10.0, "workers": 1}
        self.supervisor = Supervisor(self.source, SupervisorSettings(**{**fields, **settings}))


class _Given:
    """A source that gives what it is told to give."""

    def __init__(self, site: FakedSite) -> None:
        self._site = site
        self.loads = 0
        self.paths: list[Path] = [site.directory / "looked-at"]

    def load(self) -> Loaded:
        self.loads += 1
        if self._site.contents is None:
            raise RuntimeError("a fault of ours")
        return Loaded(self._site.contents, ())


@pytest.fixture
def faked(tmp_path: Path, fake_workers: FakeWorkers) -> FakedSite:
    fake_workers("good")
    return FakedSite(tmp_path)


@pytest.fixture
async def site(faked: FakedSite) -> AsyncIterator[FakedSite]:
    await faked.supervisor.start()
    yield faked
    await faked.supervisor.drain()


async def test_a_storm_of_reloads_is_one_at_work_and_one_that_waits(site: FakedSite) -> None:
    await asyncio.gather(*(site.supervisor.reload_and_reopen() for _ in range(200)))
    assert site.source.loads <= 1 + 2


async def test_a_fault_of_ours_is_reported_and_the_watch_goes_on(site: FakedSite) -> None:
    site.contents = None  # type: ignore[assignment]
    (site.directory / "looked-at").write_text("1")
    await eventually(lambda: site.supervisor._reload_status.status()["refused"])
    assert "a fault of ours" in site.supervisor._reload_status.status()["refused"]["problems"][0]
    site.contents = bundle(log_level="Debug")
    (site.directory / "looked-at").write_text("22")
    await eventually(lambda: site.supervisor.prepared.config.log_level == "Debug")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _with_port(port: int) -> ConfigBundle:
    return bundle(listener=bundle().config.listener.model_copy(update={"port": port}))


async def test_a_port_can_be_changed_and_changed_back_at_once(
    tmp_path: Path, fake_workers: FakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_workers("good")
    monkeypatch.setattr(supervisor_module, "LINGER", 0.2)
    site = FakedSite(tmp_path, smtp_port=None, watch=False)
    one, two = _free_port(), _free_port()
    site.contents = _with_port(one)
    await site.supervisor.start()
    try:
        for port in (two, one, two):
            site.contents = _with_port(port)
            change = await site.supervisor.reload()
            assert change is not None
            assert change.level is Level.WORKERS
            assert site.supervisor.smtp_port == port
        await eventually(lambda: not _listens(one))
        assert _listens(two)
        with socket.create_server(("127.0.0.1", one)):
            site.contents = _with_port(one)
            assert await site.supervisor.reload() is None
        assert site.supervisor.smtp_port == two
        assert site.supervisor.prepared.config.listener.port == two
        assert (await site.supervisor._status())["config"]["refused"]
    finally:
        await site.supervisor.drain()
    assert not _listens(two)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def test_before_it_ends_whoever_is_still_led_to_it_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "QUIET", 0.5)
    async with serving(tmp_path, linger=60.0, grace=120.0, in_process=True) as running:
        drain = asyncio.create_task(running.supervisor.drain())
        await eventually(lambda: running.supervisor.draining)
        assert await running.http("readyz") == 503
        for number in range(3):
            assert (await running.send(f"late {number}"))[0] == 250
        assert not drain.done()
        assert await drain == 0
        assert not _listens(running.supervisor.smtp_port)
    assert running.supervisor.exit_code == 0


async def test_the_end_waits_for_nobody_without_end(
    tmp_path: Path, fake_workers: FakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_handle, "LAST_WORDS", 0.1)
    fake_workers("good")  # which never says that nobody comes
    site = FakedSite(tmp_path, grace=1.0, linger=3600.0)
    await site.supervisor.start()
    async with asyncio.timeout(20):
        assert await site.supervisor.drain() == 0


async def test_while_draining_new_connections_are_refused_and_nothing_is_reloaded(
    tmp_path: Path, fake_workers: FakeWorkers
) -> None:
    fake_workers("stays")
    site = FakedSite(tmp_path, grace=60.0)
    await site.supervisor.start()
    drain = asyncio.create_task(site.supervisor.drain())
    await eventually(lambda: not _listens(site.supervisor.smtp_port))
    assert site.supervisor._ready() == (False, "draining")
    assert await site.supervisor.reload() is None
    await site.supervisor.stop_now()
    async with asyncio.timeout(20):
        await drain
        await site.supervisor.wait()
    assert site.supervisor.exit_code == 1


@pytest.mark.parametrize("mode", ["crash", "cannot be started"])
async def test_a_start_that_fails_leaves_nothing_behind(
    faked: FakedSite, fake_workers: FakeWorkers, mode: str
) -> None:
    fake_workers(mode)
    with pytest.raises(WorkerFailed):
        await faked.supervisor.start()
    assert not _listens(faked.supervisor.smtp_port)
    await faked.supervisor.wait()
    assert await faked.supervisor.reload() is None


async def test_a_start_that_is_called_off(faked: FakedSite, fake_workers: FakeWorkers) -> None:
    fake_workers("deaf")
    task = asyncio.create_task(faked.supervisor.start())
    pool = faked.supervisor._pool
    await eventually(lambda: pool._workers and pool._workers[0].pid)
    pid = pool._workers[0].pid
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)
    assert faked.supervisor.exit_code == 0


@pytest.mark.parametrize(
    ("taken", "listener", "chosen"),
    [
        ("smtp_port", "the SMTP listener", "--port, or spec.listener.port"),
        ("http_port", "the endpoint of metrics and health", "--http-port"),
        ("admin_port", "the endpoint of status and queue", "--admin-port"),
    ],
)
async def test_a_port_that_is_taken_at_start_is_named_with_its_listener(
    faked: FakedSite, caplog: pytest.LogCaptureFixture, taken: str, listener: str, chosen: str
) -> None:
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ports = {"smtp_port": 0, "http_port": 0, "admin_port": 0, taken: port}
        supervisor = Supervisor(faked.source, SupervisorSettings(**ports))
        with pytest.raises(CannotBind, match=f"{listener} cannot listen on .*:{port}: .*in use") as refused:
            await supervisor.start()
        assert chosen in refused.value.remedy
        await supervisor.wait()
    # Nothing was served, so that nothing was drained.
    assert "drained" not in caplog.text


@pytest.mark.parametrize(("limits", "workers"), [((0,), 3), ((0, 2), 2), ((1,), 1), ((32,), 3)])
async def test_workers_are_not_more_than_connections_unless_those_have_no_limit(
    faked: FakedSite, limits: tuple[int, ...], workers: int
) -> None:
    (entry,) = bundle().config.entries
    entries = tuple(
        entry.model_copy(
            update={
                "name": f"d{number}.example.com",
                "delivery": DeliveryConfig(max_outbound_connections=limit),
            }
        )
        for number, limit in enumerate(limits)
    )
    supervisor = Supervisor(faked.source, SupervisorSettings(workers=3))
    assert supervisor._wanted_workers(prepared(entries=entries)) == workers


async def test_secrets_that_come_one_after_another_to_a_lenient_start(
    tmp_path: Path, fake_workers: FakeWorkers
) -> None:
    fake_workers("good")
    site = FakedSite(tmp_path, strict=False, watch=False)
    supervisor = site.supervisor
    site.contents = bundle(secrets={})
    await supervisor.start()
    try:
        assert supervisor._reload_status.status()["refused"]
        assert supervisor._configuration().lenient
        # Of no use to anybody yet: it runs, and asks for no messages.
        assert supervisor._ready() == (False, "no ApnRoute has a credential that can be used")
        site.contents = bundle(secrets={"token": SECRETS["token"]})
        change = await supervisor.reload()
        assert change is not None
        assert supervisor._ready() == (True, "ok")
        assert supervisor.prepared.routes["token"].credential is not None
        assert "cert" in str(supervisor._reload_status.status()["refused"])
        # What could be read is not given up again.
        site.contents = bundle(secrets={})
        assert await supervisor.reload() is None
        assert supervisor.prepared.routes["token"].credential is not None
        site.contents = bundle()
        assert await supervisor.reload() is not None
        assert supervisor._reload_status.status()["refused"] is None
        assert not supervisor._configuration().lenient
        site.contents = bundle(secrets={"token": SECRETS["token"]})
        assert await supervisor.reload() is None
    finally:
        await supervisor.drain()


async def test_users_who_can_log_in_are_not_lost_to_a_line_that_was_broken_at_a_lenient_start(
    tmp_path: Path, fake_workers: FakeWorkers
) -> None:
    fake_workers("good")
    site = FakedSite(tmp_path, strict=False, watch=False)
    listener = bundle().config.listener.model_copy(update={"auth": AuthConfig(secret="auth")})

    def users(text: bytes) -> ConfigBundle:
        return bundle(listener=listener, secrets={**SECRETS, "auth": {"users": text}})

    site.contents = users(b"a:1\n:2\n")
    await site.supervisor.start()
    try:
        assert site.supervisor.prepared.users == {"a": "1"}
        assert "a line is not NAME:PASSWORD" in str(site.supervisor._reload_status.status()["refused"])
        site.contents = bundle(listener=listener)
        assert await site.supervisor.reload() is None
        assert site.supervisor.prepared.users == {"a": "1"}
        site.contents = users(b"a:1\nb:2\n:3\n")
        assert await site.supervisor.reload() is not None
        assert site.supervisor.prepared.users == {"a": "1", "b": "2"}
    finally:
        await site.supervisor.drain()


async def test_the_generation_is_known_while_no_worker_says_it(site: FakedSite) -> None:
    site.contents = bundle(log_level="Debug", generation=7)
    await site.supervisor.reload()
    text = generate_latest(await site.supervisor._collect()).decode()
    assert "tubepost_config_generation 7.0" in text
    assert f'tubepost_config_info{{hash="{site.supervisor.prepared.digest}"}} 1.0' in text
    assert text.count("tubepost_config_info{") == 1


async def test_a_pod_that_is_ready_says_what_it_works_by_while_its_last_worker_still_starts(
    tmp_path: Path, fake_workers: FakeWorkers
) -> None:
    fake_workers("first alone")
    supervisor = FakedSite(tmp_path, workers=2).supervisor
    starting = asyncio.create_task(supervisor.start())
    try:
        await eventually(lambda: supervisor._pool.any_ready)
        assert not starting.done()
        text = generate_latest(await supervisor._collect()).decode()
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
    assert f'tubepost_config_info{{hash="{supervisor.prepared.digest}"}} 1.0' in text
    assert "tubepost_workers 2.0" in text


async def test_it_says_what_runs(site: FakedSite) -> None:
    text = generate_latest(await site.supervisor._collect()).decode()
    version, modules, python = build_info.labels()
    assert f'tubepost_build_info{{modules="{modules}",python="{python}",version="{version}"}} 1.0' in text
    assert (await site.supervisor._status())["build"] == build_info.line()


async def test_one_worker_in_this_process_for_a_debugger(
    tmp_path: Path, fake_workers: FakeWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_workers("cannot be started")  # no process of its own is needed
    monkeypatch.setattr(process_log, "setup", lambda *_: None)  # the tests' own logging stays
    stopped_here: list[object] = []
    accept = DirectAcceptance.accept

    def breakpoint_in(acceptance: DirectAcceptance, transaction: Any) -> None:
        stopped_here.append(transaction)
        accept(acceptance, transaction)

    monkeypatch.setattr(DirectAcceptance, "accept", breakpoint_in)
    async with serving(tmp_path, in_process=True) as running:
        running.write(workers=3)
        assert (await running.send("hello"))[0] == 250
        assert await running.workers() == [os.getpid()]
        running.write(delivery={"mode": "Blackhole"}, workers=3)

        async def blackhole() -> bool:
            return "Blackhole" in (await running.send())[1]

        await eventually(blackhole)
        assert await running.workers() == [os.getpid()]
        assert await running.metric("tubepost_workers") == 1
        assert await running.metric("tubepost_push_parts_total") == len(stopped_here) >= 2
    assert running.supervisor.exit_code == 0
    assert not _listens(running.supervisor.smtp_port)


async def test_a_worker_in_this_process_ends_at_once_when_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_log, "setup", lambda *_: None)
    async with serving(tmp_path, in_process=True) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.supervisor.smtp_port)
        assert (await reader.readline()).startswith(b"220 ")
        async with asyncio.timeout(20):
            await running.supervisor.stop_now()
            await reader.read()
        writer.close()
        assert not _listens(running.supervisor.smtp_port)
        assert running.supervisor.exit_code == 1
