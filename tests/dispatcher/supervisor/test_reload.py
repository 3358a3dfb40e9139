from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.dispatcher.bundles import SECRETS, bundle
from tests.dispatcher.supervisor.conftest import eventually
from tests.dispatcher.supervisor.test_reload_status import PROBLEM
from tubepost_api.config import PolicyConfig
from tubepost_credentials.throwaway import make_apns_certificate, make_ca
from tubepost_dispatcher.config.bundle import Prepared
from tubepost_dispatcher.config.source import Loaded
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.policy.settings import START_LIMIT
from tubepost_dispatcher.supervisor import reload as module
from tubepost_dispatcher.supervisor.config_change import Change, Level
from tubepost_dispatcher.supervisor.reload import ConfigRefused, Reloader
from tubepost_dispatcher.supervisor.reload_status import ReloadStatus
from tubepost_runtime.tasks import TaskSet

CHANGE = Change(Level.OPTIONS, ("log_level",))
WARNING = replace(PROBLEM, severity="warning")


class Bench:
    """A reloader between a source and a supervisor that are made of one attribute each."""

    def __init__(self, directory: Path) -> None:
        self.paths = [directory / "looked-at"]
        self.loaded: Loaded | Exception = Loaded(bundle(), ())
        self.volume = threading.Event()
        self.volume.set()
        """Not set: reading hangs."""
        self.applied: list[Prepared] = []
        self.change: Change | None = CHANGE
        self.first: Prepared | None = None
        self.changing = asyncio.Lock()
        self.tasks = TaskSet()
        self.status = ReloadStatus(Metrics())
        self.reloader = Reloader(self, self.status, self._in_force, self._apply, self.changing, self.tasks)

    def load(self) -> Loaded:
        self.volume.wait(60.0)
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded

    def _in_force(self) -> Prepared:
        assert self.first is not None
        return self.applied[-1] if self.applied else self.first

    async def _apply(self, prepared: Prepared) -> Change | None:
        self.applied.append(prepared)
        return self.change

    async def start(self, *, strict: bool = True) -> None:
        self.first = await self.reloader.first(strict=strict)
        self.status.started(self.first, 1)

    @property
    def refused(self) -> str:
        """Why the newest configuration is not in force; empty when it is."""
        refused = self.status.status()["refused"]
        return " ".join(refused["problems"]) if refused else ""


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.tasks.cancel()


async def test_the_first_configuration_must_be_whole(bench: Bench) -> None:
    bench.loaded = Loaded(None, (PROBLEM, WARNING))
    with pytest.raises(ConfigRefused) as caught:
        await bench.start()
    assert caught.value.problems == (PROBLEM,)
    bench.loaded = Loaded(bundle(secrets={}), ())
    with pytest.raises(ConfigRefused, match="cert"):
        await bench.start()
    assert bench.first is None


async def test_a_lenient_start_tolerates_what_is_missing_until_it_is_there(bench: Bench) -> None:
    bench.loaded = Loaded(bundle(secrets={}), (WARNING,))
    await bench.start(strict=False)
    assert bench.reloader.lenient
    assert WARNING in bench.reloader.warnings
    assert "cert" in bench.refused
    bench.loaded = Loaded(bundle(secrets={"token": SECRETS["token"]}), ())
    assert await bench.reloader.reload() == CHANGE
    assert bench.reloader.lenient
    bench.loaded = Loaded(bundle(), ())
    assert await bench.reloader.reload() == CHANGE
    assert not bench.reloader.lenient
    assert bench.reloader.warnings == ()
    # What could be read must not be lost.
    bench.loaded = Loaded(bundle(secrets={}), ())
    assert await bench.reloader.reload() is None
    assert len(bench.applied) == 2
    assert "cert" in bench.refused


async def test_warnings_of_a_reload_are_logged_like_those_of_the_start_and_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def logged() -> list[str]:
        said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        caplog.clear()
        return said

    bench.loaded = Loaded(bundle(), (WARNING,))
    await bench.start()
    assert logged() == [str(WARNING)]
    await bench.reloader.reload()
    assert logged() == []
    other = replace(WARNING, field="spec.other")
    bench.loaded = Loaded(bundle(), (WARNING, other))
    await bench.reloader.reload()
    assert logged() == [str(other)]
    assert bench.reloader.warnings == (WARNING, other)


async def test_what_a_credential_gives_cause_to_is_logged_at_a_reload_too(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.start()
    caplog.clear()
    token = {**SECRETS["token"], "key.p8": SECRETS["token"]["key.p8"].replace(b"\n", b"\\n")}
    bench.loaded = Loaded(bundle(secrets={**SECRETS, "token": token}), ())
    await bench.reloader.reload()
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "key 'key.p8': the provider-token key has the two characters" in record.getMessage()


async def test_what_cannot_be_read_is_refused(bench: Bench) -> None:
    await bench.start()
    bench.loaded = Loaded(None, (PROBLEM, WARNING))
    assert await bench.reloader.reload() is None
    assert bench.refused == str(PROBLEM)
    assert not bench.applied


async def test_what_cannot_be_applied_leaves_everything_as_it_was(bench: Bench) -> None:
    await bench.start()
    bench.loaded = Loaded(bundle(), (WARNING,))
    bench.change = None
    assert await bench.reloader.reload() is None
    assert bench.reloader.warnings == ()


async def test_a_fault_of_ours_is_refused_like_one_of_theirs(bench: Bench) -> None:
    await bench.start()
    bench.loaded = RuntimeError("a fault of ours")
    assert await bench.reloader.reload() is None
    assert "cannot be put in force: RuntimeError('a fault of ours')" in bench.refused


async def test_calls_share_the_one_that_waits_and_no_other(bench: Bench) -> None:
    await bench.start()
    async with bench.changing:
        waiting = [asyncio.create_task(bench.reloader.reload()) for _ in range(5)]
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    later = asyncio.create_task(bench.reloader.reload())
    assert await asyncio.gather(*waiting, later) == [CHANGE] * 6
    assert len(bench.applied) == 2


async def test_files_are_watched(bench: Bench) -> None:
    await bench.start()
    bench.tasks.spawn(bench.reloader.watch())
    bench.paths[0].write_text("1")
    await eventually(lambda: bench.applied)


async def test_a_renewed_certificate_beside_the_old_one_is_taken_when_its_time_has_come(bench: Bench) -> None:
    ca, now = make_ca(), datetime.now(UTC)
    # Certificates count whole seconds.
    soon = now.replace(microsecond=0) + timedelta(seconds=2)
    old = make_apns_certificate(ca, ("com.example.old",), days=10, start=now - timedelta(days=5))
    new = make_apns_certificate(ca, ("com.example.new",), days=100, start=soon)
    both = {
        "tls.crt": old.certificate_pem + new.certificate_pem,
        "tls.key": old.private_key_pem + new.private_key_pem,
    }
    bench.loaded = Loaded(bundle(secrets={**SECRETS, "cert": both}), ())
    await bench.start()
    assert bench.first is not None
    watching = asyncio.create_task(bench.reloader.watch())
    await eventually(lambda: bool(bench.applied))
    watching.cancel()
    assert datetime.now(UTC) >= soon
    (applied,) = bench.applied
    assert applied.certificates != bench.first.certificates
    assert applied.routes["apns"].pool_key != bench.first.routes["apns"].pool_key


async def test_after_the_end_has_begun_nothing_is_put_in_force(bench: Bench) -> None:
    await bench.start()
    async with bench.changing:
        waiting = asyncio.create_task(bench.reloader.reload())
        await asyncio.sleep(0)
        bench.reloader.stop()
    assert await waiting is None
    assert await bench.reloader.reload() is None
    assert not bench.applied


async def test_a_volume_that_hangs_holds_nobody_up_and_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_READ", 0.01)
    await bench.start()
    bench.volume.clear()
    reading = asyncio.create_task(bench.reloader.reload())
    await eventually(lambda: "reading has taken" in bench.refused)
    assert not bench.changing.locked(), "a dead worker can be replaced meanwhile"
    bench.volume.set()
    assert await reading == CHANGE
    bench.volume.clear()
    reading = asyncio.create_task(bench.reloader.reload())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading}, timeout=10.0)
    assert reading.cancelled(), "the end comes, whatever is being read"
    bench.volume.set()


def test_a_module_of_hooks_that_is_never_loaded_is_not_taken_for_a_volume_that_hangs() -> None:
    assert module.SLOW_READ > START_LIMIT + 1.0, "its own finding comes first"


def with_hooks(source: str) -> Loaded:
    return Loaded(bundle(policy=PolicyConfig(name="hooks", source=source)), ())


GOOD_HOOKS = "def apn_status_classifier(status): return None\n"
BAD_HOOKS = "def apn_status_classifier(): return None\n"


@pytest.mark.parametrize("strict", [True, False])
async def test_hooks_that_cannot_be_called_are_refused_at_the_start(bench: Bench, strict: bool) -> None:
    bench.loaded = with_hooks(BAD_HOOKS)
    with pytest.raises(ConfigRefused) as caught:
        await bench.start(strict=strict)
    assert "policy.py, line 1: apn_status_classifier is called with 1 argument" in str(caught.value)


async def test_hooks_that_cannot_be_called_are_refused_and_the_old_ones_stay(bench: Bench) -> None:
    bench.loaded = with_hooks(GOOD_HOOKS)
    await bench.start()
    bench.loaded = with_hooks(BAD_HOOKS)
    assert await bench.reloader.reload() is None
    assert bench.applied == []
    assert "policy.py, line 1" in bench.refused
    bench.loaded = with_hooks(GOOD_HOOKS + "\ndef apn_statuses(status): pass\n")
    assert await bench.reloader.reload() is CHANGE
    assert any("line 3: apn_statuses is no hook" in str(warning) for warning in bench.reloader.warnings)
