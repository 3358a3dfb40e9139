from __future__ import annotations

from tubepost_simulator.reasons import REASONS, Reason


def test_every_reason_has_a_status_and_a_sentence() -> None:
    assert set(REASONS) == set(Reason)
    for reason, info in REASONS.items():
        assert reason.status == info.status
        assert info.status in {400, 403, 404, 405, 410, 413, 429, 500, 503}
        assert info.help.endswith(".")
