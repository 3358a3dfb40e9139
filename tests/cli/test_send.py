from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from tubepost_cli.send import _outcome, command
from tubepost_cli.waiting import Waiting


@pytest.mark.parametrize(
    ("code", "text", "outcome"),
    [
        (250, "2.0.0 Delivered apns-id=4a0c id=1a21", "delivered"),
        (250, "2.0.0 Queued as 1a21", "queued"),
        (250, "2.0.0 Queued as 1a21, 3 notifications", "queued"),
        (250, "2.0.0 Discarded: delivery mode is Blackhole", "delivered"),
        (451, "4.3.0 The disk of the queue failed, try again later", "transient"),
        (0, "Connection refused", "transient"),
        (550, "5.1.1 APNs: BadDeviceToken", "permanent"),
    ],
)
def test_outcomes(code: int, text: str, outcome: str) -> None:
    assert _outcome(code, text) == outcome


@pytest.mark.parametrize(("output", "told"), [("text", True), ("json", False)])
def test_that_a_reply_is_waited_for_is_told(monkeypatch: pytest.MonkeyPatch, output: str, told: bool) -> None:
    """The words go to standard error, so that the result stays what a program reads."""
    ticks = threading.Event()

    class Quick(Waiting):
        def __init__(self, say: Callable[[float], None]) -> None:
            def telling(seconds: float) -> None:
                say(seconds)
                ticks.set()

            super().__init__(telling, first=0.001, again=0.001)

    def slow(*_: object) -> tuple[int, str]:
        assert ticks.wait(60)
        return 250, "2.0.0 Delivered apns-id=4a0c"

    monkeypatch.setattr("tubepost_cli.send.Waiting", Quick)
    monkeypatch.setattr("tubepost_cli.send._inject", slow)
    arguments = ["--domain", "a.example", "--token", "ab" * 32, "--alert", "x", "-o", output]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0
    assert ("no reply yet after" in done.stderr) == told
    assert "acceptance.deadline" in done.stderr or not told
    assert "no reply yet" not in done.stdout
