from __future__ import annotations

import kopf

from tubepost_operator.handlers.settings import INACTIVITY_TIMEOUT, SERVER_TIMEOUT, settings
from tubepost_operator.liveness import SILENT_AFTER


def test_a_dropped_connection_is_noticed_within_a_minute() -> None:
    found = settings()
    assert isinstance(SERVER_TIMEOUT, int), "the server reads no fraction"
    assert SERVER_TIMEOUT < INACTIVITY_TIMEOUT < 60 < SILENT_AFTER
    assert found.watching.server_timeout == SERVER_TIMEOUT
    assert found.watching.inactivity_timeout == INACTIVITY_TIMEOUT
    assert found.networking.connect_timeout
    assert found.networking.request_timeout


def test_nothing_is_written_into_objects() -> None:
    found = settings()
    assert not found.posting.enabled
    assert found.scanning.disabled
    assert found.persistence.finalizer.startswith("tubepost.io/")
    assert isinstance(found.persistence.progress_storage, kopf.AnnotationsProgressStorage)
    assert found.persistence.progress_storage.prefix == "tubepost.io"
