"""What is to be stored, and who hears what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tubepost_dispatcher.store.port import Entry, Failure


class Put(NamedTuple):
    """Entries to store, all or none."""

    entries: Sequence[Entry]
    done: Callable[[Sequence[int] | Failure], None]
    take: bool
    packed: bytes | None = None
    """Of what is taken: the entries as they stand in a bundle; None: they become rows."""


Tell = Callable[[Callable[[], None]], None]
"""Sees to it that somebody is told, on the event loop."""


def refuse(puts: Sequence[Put], failure: Failure, tell: Tell) -> None:
    """Tell all of them that nothing of theirs was stored."""
    for put in puts:
        tell(partial(put.done, failure))


def nobody(told: Callable[[], None]) -> None:
    """A `Tell` where there are no puts, and so nobody to be told."""
    raise AssertionError(told)
