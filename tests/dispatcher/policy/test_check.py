from __future__ import annotations

import textwrap
import time

import pytest

from tests.policy.facts import DEAD, facts
from tubepost_api.config import PolicyConfig
from tubepost_dispatcher.policy.check import Session, check_module


def settings(source: str, timeout: float = 1.0) -> PolicyConfig:
    return PolicyConfig(name="hooks", source=textwrap.dedent(source), timeout=timeout)


def test_a_good_module_names_its_hooks() -> None:
    checked = check_module(
        settings("""
        from tubepost_policy import Message, Request

        print("loaded")

        def apn_request_eval(req: Request, msg: Message) -> None:
            pass

        def generic_delivery_msg_dispose(msg: Message) -> None:
            pass
        """)
    )
    assert checked.finding is None
    assert checked.hooks == ("apn_request_eval", "generic_delivery_msg_dispose")
    assert checked.warnings == ()
    assert checked.printed == ["loaded"]


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        ("x = 1\nimport nowhere\n", 2, "ModuleNotFoundError: No module named 'nowhere'"),
        ("def f(:\n", 1, "SyntaxError: invalid syntax"),
        ("\n\nraise ValueError('no')\n", 3, "ValueError: no"),
        ("import sys\nsys.exit(3)\n", 2, "sys.exit(3) was called"),
        ("import os\nos._exit(3)\n", 0, "its process has ended"),
        ("import os, signal\nsignal.raise_signal(9)\n", 0, "its process was ended by SIGKILL"),
        ("def apn_request_eval(req):\n    pass\n", 1, "apn_request_eval is called with 2 arguments"),
        ("def apn_status_classifier(a, b):\n    pass\n", 1, "is called with 1 argument, and takes (a, b)"),
        ("async def apn_status_classifier(a):\n    pass\n", 1, "a plain function"),
        ("apn_status_classifier = 5\n", 0, "apn_status_classifier is int, not a function"),
        ("import subprocess\nsubprocess.run(['true'])\n", 2, "starts and signals no processes"),
        ("import os\nos.fork()\n", 2, "starts and signals no processes"),
        ("import threading\nthreading.Thread(target=print).start()\n", 2, "starts no threads"),
        ("x = bytearray(1 << 40)\n", 1, "the memory limit is reached"),
        ("import os\nos.write(os.memfd_create('x'), b'x')\n", 2, "File too large"),
        ("def f(): f()\nf()\n", 1, "RecursionError"),
    ],
)
def test_what_cannot_be_in_force_is_told_with_its_line(source: str, line: int, text: str) -> None:
    checked = check_module(PolicyConfig(name="hooks", source=source))
    assert checked.finding is not None
    assert (checked.finding.line, text in checked.finding.text) == (line, True), checked.finding


def test_a_name_like_a_hooks_is_a_warning() -> None:
    checked = check_module(settings("\ndef apn_request_evil(req, msg):\n    pass\n"))
    assert checked.finding is None
    assert "line 2: apn_request_evil is no hook" in checked.warnings[0]
    assert any("the module has no hook" in text for text in checked.warnings)


def test_a_module_that_is_never_loaded_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tubepost_dispatcher.policy.check.START_LIMIT", 0.5)
    begun = time.monotonic()
    checked = check_module(settings("x = 1\nwhile True:\n    x += 1\n"))
    assert time.monotonic() - begun < 5.0
    assert checked.finding is not None
    assert "did not end within 0.5 s" in checked.finding.text
    assert checked.finding.line in {2, 3}


def test_a_flood_of_output_is_bounded_and_holds_nothing_up() -> None:
    checked = check_module(settings("for n in range(300_000):\n    print('x' * 50)\n"))
    assert checked.finding is None
    assert len(checked.printed) <= 200


def test_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUBEPOST_TEST_SECRET", "s3cret")
    checked = check_module(
        settings("""
        import os
        print(sorted(os.environ))
        print(len(os.listdir("/proc/self/fd")))
        """)
    )
    assert "TUBEPOST_TEST_SECRET" not in checked.printed[0]
    # Standard ones, calls, crash, and the one that lists.
    assert int(checked.printed[1]) <= 6


def test_a_call_is_answered_and_its_time_is_limited() -> None:
    source = """
    def generic_delivery_msg_dispose(msg):
        while msg.outcome.status == 400:
            pass
        msg.drop("dead")
    """
    dispose = {"point": "dispose", "message": facts()}
    with Session(settings(source, timeout=0.3)) as session:
        outcome = {"kind": "permanent", "reason": "Unregistered", "status": 410}
        answer = session.call({**dispose, "outcome": outcome})
        assert answer == {"action": {"type": "drop", "reason": "dead"}}
        late = session.call({**dispose, "outcome": {"kind": "permanent", "status": 400}})
        assert "did not end within 0.3 s" in str(late)
        assert "line" in str(late)


@pytest.mark.parametrize(
    "harm", ["json.dumps = json.loads = os.write = os.read = None", "builtins.len = None"]
)
def test_a_module_that_puts_others_in_the_place_of_ours_harms_itself_alone(harm: str) -> None:
    source = f"""
    import builtins, json, os

    def generic_delivery_msg_dispose(msg):
        {harm}
        msg.drop("dead")
    """
    with Session(settings(source)) as session:
        answer = session.call({"point": "dispose", "message": facts(), "outcome": DEAD})
        if "len" in harm:
            assert "process has ended" in str(answer)
        else:
            assert answer == {"action": {"type": "drop", "reason": "dead"}}
