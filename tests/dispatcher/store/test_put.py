from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.dispatcher.store.support import an_entry
from tubepost_dispatcher.store.port import Failure, FailureKind
from tubepost_dispatcher.store.put import Put, nobody, refuse


def test_everybody_is_told_and_not_at_once() -> None:
    heard: list[Sequence[int] | Failure] = []
    calls: list[Callable[[], None]] = []
    failure = Failure(FailureKind.FULL, "full")
    refuse([Put([an_entry()], heard.append, True), Put([], heard.append, False)], failure, calls.append)
    assert heard == []
    for call in calls:
        call()
    assert heard == [failure, failure]


def test_nobody_is_told_where_nobody_waits() -> None:
    with pytest.raises(AssertionError):
        nobody(lambda: None)
