from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.dispatcher.policy.support import Asking, asking, settings, until
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.policy import client as module
from tubepost_dispatcher.policy.client import PolicyClient
from tubepost_dispatcher.policy.faults import Fault

GOOD = """
from tubepost_policy import DONE

def generic_delivery_msg_dispose(msg):
    return DONE
"""

EVIL = """
import os, signal, sys, time
from tubepost_policy import DONE

def generic_delivery_msg_dispose(msg):
    if msg.sender == "evil":
        evil()
    return DONE

def evil():
    {}
"""


@pytest.mark.parametrize(
    ("body", "kind", "line"),
    [
        ("while True: pass", "timeout", 11),
        ("time.sleep(60)", "timeout", 11),
        ("x = []\n    while True: x.append(bytearray(1 << 20))", "memory", 12),
        ("raise ValueError('no')", "exception", 11),
        ("evil()", "exception", 11),
        ("sys.exit(1)", "exit", 11),
        ("os._exit(1)", "died", 0),
        ("signal.raise_signal(signal.SIGKILL)", "died", 0),
        ("signal.signal(signal.SIGABRT, signal.SIG_IGN)\n    while True: pass", "timeout", 0),
        ("import ctypes; ctypes.string_at(0)", "died", 11),
        (
            "sys.setrecursionlimit(10**9)\n    class A:\n        def __getattr__(a, n): return getattr(a, n)\n    A().x",
            "died",
            13,
        ),
        ("os.closerange(0, 64)", "died", 0),
        ("os.fork()", "exception", 11),
        ("import threading; threading.Thread(target=evil).start()", "exception", 11),
        ("open('/dev/null', 'w').close(); open('/proc/self/statm').close()", "", 0),
        ("import builtins; builtins.len = builtins.isinstance = None", "died", 0),
        ("import json; json.dumps = None", "", 0),
        ("print('x' * 50_000_000)", "", 0),
        ("[print('x' * 1_000) for _ in range(20_000)]", "", 0),
        ("os.write(1, b'x' * (1 << 24))", "", 0),
    ],
)
async def test_what_one_call_does_harms_that_call_alone(body: str, kind: str, line: int) -> None:
    timeout = 0.3 if kind == "timeout" else 5.0
    async with asking(EVIL.format(body), timeout=timeout, memory=192 << 20) as policy:
        assert await policy.ask() == {"done": True}
        assert await policy.faults("a", "evil", "b", "c") == [("", 0), (kind, line), ("", 0), ("", 0)]
        if kind:
            assert policy.count("tubepost_policy_faults_total", point="dispose", kind=kind) == 1
        if kind in {"timeout", "died", "memory"}:
            why = "timeout" if kind == "timeout" else "died"
            await until(lambda: policy.count("tubepost_policy_restarts_total", kind=why) == 1)
        assert policy.count("tubepost_policy_calls_total", point="dispose") == 5
        assert policy.count("tubepost_policy_seconds_count", point="dispose") == 5


@pytest.mark.parametrize(
    "body",
    [
        "open(FILE, 'w').close()",
        "open(FILE, 'a').close()",
        "open(FILE, 'r+').close()",
        "os.open(FILE, os.O_RDONLY | os.O_TRUNC)",
        "os.truncate(FILE, 0)",
        "os.remove(FILE)",
        "os.rename(FILE, FILE + '.old')",
        "os.symlink(FILE, FILE + '.link')",
        "os.chmod(FILE, 0)",
        "__import__('shutil').rmtree(os.path.dirname(FILE))",
        "__import__('pathlib').Path(FILE).unlink()",
    ],
)
async def test_files_are_not_a_hooks_to_change(body: str, tmp_path: Path) -> None:
    file = tmp_path / "queue.db"
    _keep(file)
    before = _seen(file)
    async with asking(EVIL.format(body.replace("FILE", repr(str(file))))) as policy:
        assert await policy.faults("evil", "a") == [("exception", 11), ("", 0)]
    assert _seen(file) == before


def _keep(file: Path) -> None:
    file.write_text("what was acknowledged")


def _seen(file: Path) -> tuple[list[str], str, int]:
    """Names beside it, its text, its mode."""
    return [path.name for path in file.parent.iterdir()], file.read_text(), file.stat().st_mode


async def test_nothing_of_a_process_is_left_behind() -> None:
    # What ctypes starts is not seen by Python; it is in the process group all the same.
    body = "import ctypes; (ctypes.CDLL(None).fork() or time.sleep(600)); os._exit(1)"
    async with asking(EVIL.format(body)) as policy:
        assert await policy.ask() == {"done": True}
        await until(lambda: policy.client.ready == 2)
        before = set(policy.client.pids)
        assert (await policy.faults("evil"))[0][0] in {"died", "timeout"}
        await until(lambda: bool(before - set(policy.client.pids)))
        (pid,) = before - set(policy.client.pids)

        def gone() -> bool:
            for stat in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = stat.read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if fields[2] == str(pid) and fields[0] != "Z":
                    return False
            return True

        await until(gone)


async def test_a_module_that_is_never_loaded_stops_nothing() -> None:
    async with asking("import os\nos._exit(3)\n") as policy:
        await until(lambda: policy.count("tubepost_policy_restarts_total", kind="died") >= 3)
        # Pauses grow: it was not started a hundred times.
        assert policy.count("tubepost_policy_restarts_total", kind="died") < 20
        waiting = policy.begin()
        assert policy.client.ready == 0
        policy.client.swap(settings(GOOD))
        assert await waiting == {"done": True}


async def test_a_process_that_cannot_be_started_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.policy.settings.sys.executable", "/nowhere/python")
    async with asking(GOOD) as policy:
        await until(lambda: policy.count("tubepost_policy_restarts_total", kind="died") >= 2)
        monkeypatch.undo()
        assert await policy.ask() == {"done": True}


async def test_a_call_that_waits_for_too_long_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(EVIL.format("time.sleep(60)"), timeout=1.0) as policy:
        await until(lambda: policy.client.ready == 2)
        monkeypatch.setattr(module, "MAX_WAIT", 0.2)
        assert await policy.faults("evil", "evil", "a", "evil", "b") == [
            ("timeout", 11), ("timeout", 11), ("busy", 0), ("busy", 0), ("busy", 0),
        ]  # fmt: skip
        monkeypatch.undo()
        assert await policy.ask() == {"done": True}


async def test_the_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    async with asking(GOOD) as policy:
        assert [kind for kind, _ in await policy.faults("a", "b", "c", "d")] == ["", "", "busy", "busy"]


async def test_what_is_withdrawn_is_not_answered_and_not_executed() -> None:
    async with asking(GOOD) as policy:
        told: list[object] = []
        call = policy.client.call("dispose", dict, told.append)
        policy.client.withdraw(call)
        assert await policy.ask() == {"done": True}
        assert told == []
        assert policy.count("tubepost_policy_calls_total", point="dispose") == 1


async def test_a_point_without_a_hook_is_not_asked_once_that_is_known() -> None:
    async with asking(GOOD) as policy:
        assert policy.client.has("request")
        assert await policy.ask(point="request") == {}
        assert not policy.client.has("request")
        assert policy.client.has("dispose")
        assert policy.count("tubepost_policy_calls_total", point="request") == 0


async def test_another_module_is_in_force_between_two_calls() -> None:
    async with asking(EVIL.format("time.sleep(0.2)"), timeout=2.0) as policy:
        await policy.ask()
        slow, waiting = policy.begin("evil"), policy.begin("b")
        before = set(policy.client.pids)
        policy.client.swap(settings("def generic_delivery_msg_dispose(msg): msg.drop('other')"))
        after = policy.begin("c")
        drop = {"action": {"type": "drop", "reason": "other"}}
        assert [await slow, await waiting, await after] == [{"done": True}, drop, drop]
        assert before.isdisjoint(policy.client.pids)
        await until(lambda: not policy.client._leaving)


async def test_several_processes_work_side_by_side() -> None:
    async with asking(EVIL.format("time.sleep(0.5)"), timeout=2.0, processes=2) as policy:
        await until(lambda: policy.client.ready == 3)
        slow = policy.begin("evil")
        assert await policy.ask("a") == {"done": True}
        assert not slow.done()
        assert await slow == {"done": True}


async def test_others_are_served_while_one_call_takes_long() -> None:
    async with asking(EVIL.format("time.sleep(60)"), timeout=10.0) as policy:
        await until(lambda: policy.client.ready == 2)
        slow = policy.begin("evil")
        for _ in range(20):
            assert await policy.ask("a") == {"done": True}
        assert not slow.done()


async def test_the_end_does_not_wait_for_an_endless_loop() -> None:
    metrics = Metrics()
    policy = Asking(PolicyClient(settings(EVIL.format("while True: pass"), timeout=60.0), metrics), metrics)
    await policy.ask()
    busy, waiting = policy.begin("evil"), policy.begin("a")
    begun = asyncio.get_running_loop().time()
    await policy.client.close(0.2)
    assert asyncio.get_running_loop().time() - begun < 5.0
    assert isinstance(await busy, Fault)
    assert (await waiting).kind == "busy"
    assert (await policy.ask()).kind == "busy"
    assert policy.client.pids == []


async def test_warnings_of_a_module_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with asking(GOOD + "\ndef apn_request_evil(req, msg): pass\n", processes=2) as policy:
        await until(lambda: policy.client.ready == 3)
    assert caplog.text.count("apn_request_evil is no hook") == 1
