"""The subjects of a queue's stream: what state a message is in, and for whom. Pure.

    <prefix>.lease.<owner>.<id>          its owner has it in memory; becomes `ready` unless renewed or removed
    <prefix>.later.<lane>.<owner>.<id>   due later; its owner takes it then, and it fires a little after
    <prefix>.held.<lane>.<owner>.<id>    an operator holds it
    <prefix>.ready.<lane>                due, and anyone's; `mixed` for the lane where there is more than one

Owners and ids are made here, lanes are numbers: nothing that a sender writes becomes part of a subject.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MIXED: Final = "mixed"
PUT: Final = "p"
"""Begins the id of what came from a sender and was left in the stream: nobody has tried it yet."""
AGAIN: Final = "a"
"""Begins the id of everything else."""


class Place(NamedTuple):
    """What a subject says."""

    state: str
    """`lease`, `later`, `held` or `ready`."""
    lane: int | None = None
    owner: str = ""
    ident: str = ""


class Subjects:
    """Of one stream and one owner."""

    def __init__(self, prefix: str, owner: str) -> None:
        self._prefix = prefix
        self._owner = owner

    @property
    def everything(self) -> str:
        """What the stream takes."""
        return f"{self._prefix}.>"

    @property
    def all_ready(self) -> str:
        """Those of all that is due and nobody's."""
        return f"{self._prefix}.ready.*"

    def lease(self, ident: str) -> str:
        """Of what this owner has in memory."""
        return f"{self._prefix}.lease.{self._owner}.{ident}"

    def later(self, lane: int, ident: str) -> str:
        """Of what this owner takes when it is due."""
        return f"{self._prefix}.later.{lane}.{self._owner}.{ident}"

    def held(self, lane: int, ident: str) -> str:
        """Of what is held."""
        return f"{self._prefix}.held.{lane}.{self._owner}.{ident}"

    def ready(self, lane: int | None) -> str:
        """Of what is due; None: of several lanes."""
        return f"{self._prefix}.ready.{MIXED if lane is None else lane}"

    def read(self, subject: str) -> Place | None:
        """What a subject says; None: it is none of ours."""
        if not subject.startswith(f"{self._prefix}."):
            return None
        parts = subject[len(self._prefix) + 1 :].split(".")
        match parts:
            case ["lease", owner, ident]:
                return Place("lease", None, owner, ident)
            case ["later" | "held" as state, lane, owner, ident] if lane.isdecimal() and lane.isascii():
                return Place(state, int(lane), owner, ident)
            case ["ready", "mixed"]:
                return Place("ready")
            case ["ready", lane] if lane.isdecimal() and lane.isascii():
                return Place("ready", int(lane))
            case _:
                return None
