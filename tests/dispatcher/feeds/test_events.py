from __future__ import annotations

import pytest

from tubepost_dispatcher.feeds.events import LogEvent


def test_an_event_has_no_room_for_other_values() -> None:
    event = LogEvent("delivery", 1.0)
    assert event.attempt == 1
    assert dict(event.context) == {}
    with pytest.raises(AttributeError):
        event.other = 1  # type: ignore[attr-defined]
