from __future__ import annotations

import uuid

from tubepost_dispatcher.intake.apns_ids import apns_ids


def test_ids_are_distinct_version_4_uuids_in_apns_form() -> None:
    next_id = apns_ids()
    made = [next_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    for text in made:
        parsed = uuid.UUID(text.decode())
        assert str(parsed).encode() == text
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122
