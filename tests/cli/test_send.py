from __future__ import annotations

import pytest

from tubepost_cli.send import _outcome


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
