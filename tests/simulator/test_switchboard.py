from __future__ import annotations

import pytest

from tubepost_simulator import Chaos, ChaosError, Reason, switchboard
from tubepost_simulator.chaos import ConnectionAction, parse
from tubepost_simulator.switchboard import Switchboard


def test_refuse_next_counts_down_and_can_be_seen() -> None:
    board = Switchboard(parse({"refuseNext": 2}))
    assert [board.refuses() for _ in range(3)] == [True, True, False]
    assert board.current().refuse_next == 0


def test_refuse_every() -> None:
    board = Switchboard(parse({"refuseEvery": 3}))
    assert [board.refuses() for _ in range(6)] == [False, False, True, False, False, True]


def test_patch_keeps_what_has_run_down() -> None:
    board = Switchboard(parse({"refuseNext": 2, "failNext": {"Shutdown": 2}}))
    assert board.refuses()
    assert board.failure() is Reason.SHUTDOWN
    assert board.patch({"latencyMs": 1, "now": "GoAway"}) is ConnectionAction.GOAWAY
    assert board.current().refuse_next == 1
    assert board.current().fail_next == {Reason.SHUTDOWN: 1}


def test_refused_patch_changes_nothing() -> None:
    board = Switchboard(Chaos())
    with pytest.raises(ChaosError):
        board.patch({"latencyMs": 1, "stall": "x"})
    assert board.current() == Chaos()


def test_initial_shares_are_checked() -> None:
    with pytest.raises(ChaosError):
        Switchboard(Chaos(errors={Reason.SHUTDOWN: 0.7, Reason.BAD_TOPIC: 0.7}))


def test_fail_next_goes_before_error_rates() -> None:
    board = Switchboard(parse({"failNext": {"Shutdown": 1, "BadTopic": 0}, "errors": {"Forbidden": 1.0}}))
    assert [board.failure() for _ in range(2)] == [Reason.SHUTDOWN, Reason.FORBIDDEN]


def test_error_rates_are_about_right_and_repeatable() -> None:
    chaos = parse({"errors": {"Shutdown": 0.2, "BadTopic": 0.3}})
    runs = [
        [board.failure() for _ in range(2_000)] for board in (Switchboard(chaos, 7), Switchboard(chaos, 7))
    ]
    assert runs[0] == runs[1]
    assert 300 < runs[0].count(Reason.SHUTDOWN) < 500
    assert 500 < runs[0].count(Reason.BAD_TOPIC) < 700


def test_delay_lies_between_latency_and_jitter() -> None:
    board = Switchboard(parse({"latencyMs": 10, "jitterMs": 5}), 1)
    delays = [board.delay() for _ in range(100)]
    assert all(0.010 <= delay <= 0.015 for delay in delays)
    assert len(set(delays)) > 50
    assert Switchboard(parse({"latencyMs": 10})).delay() == 0.010


def test_attempts_are_counted_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "_MAX_ATTEMPTS", 2)
    board = Switchboard(Chaos())
    assert [board.attempt(name) for name in ("a", "a", "b", "c", "a")] == [1, 2, 1, 1, 1]
    assert len(board._attempts) == 2


def test_a_device_has_its_reason_before_any_other() -> None:
    board = Switchboard(Chaos(devices={"aa": Reason.UNREGISTERED}, fail_next={Reason.FORBIDDEN: 1}))
    assert [board.failure(token) for token in ("aa", "aa", "bb", "bb")] == [
        Reason.UNREGISTERED,
        Reason.UNREGISTERED,
        Reason.FORBIDDEN,
        None,
    ]


@pytest.mark.parametrize("devices", [{"AA": "Unregistered"}, {"": "Unregistered"}, {"aa": "Nonsense"}])
def test_devices_are_checked(devices: dict[str, str]) -> None:
    board = Switchboard(Chaos())
    with pytest.raises(ChaosError, match="devices"):
        board.patch({"devices": devices})
