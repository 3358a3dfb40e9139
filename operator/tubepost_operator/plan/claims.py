"""Claims that no pod of the StatefulSet has any more: which are emptied by a drain pod, and which go.

A StatefulSet with fewer replicas leaves its claims behind, and so does one that is deleted with its
PushDomain where claims are retained. What is on such a claim was acknowledged. A claim whose queue is known
to be empty is marked, and the mark is taken off before a pod of the StatefulSet gets it again; every other
one is drained. That is decided from what is there alone. Values in, values out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from tubepost_operator.plan.moves import QueuePod

AT_A_TIME: Final = 16
"""Drain pods of one PushDomain at the same time; the other claims wait for their turn."""


@dataclass(frozen=True, slots=True)
class QueueClaim:
    """A claim for a queue.

    `phase`: Kubernetes' word for whether it has a volume (Pending, Bound, Lost). `marked`: it is known to be
    empty. `ours`: nobody else owns it. `pod`: name of the StatefulSet's pod of its number, also of one that
    is about to go, empty for none. `drain`: its drain pod, with what is known to be in the queue; `refused`
    says why there can be none.
    """

    ordinal: int
    phase: str = "Bound"
    marked: bool = False
    ours: bool = True
    deleting: bool = False
    pod: str = ""
    drain: QueuePod | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A claim that is not known to be empty. `drained`: by a pod of its own; else `why` it is not."""

    ordinal: int
    drained: bool
    left: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Claims:
    """What becomes of claims, by their numbers.

    `left` are those that are not known to be empty. `given_up` are left alone by the user's word. `mark` are
    known to be empty now; `emptied` those of them that a drain pod has emptied. `unmark` have a pod of the
    StatefulSet again. `delete` are empty, and not to be kept.
    """

    left: tuple[Leftover, ...] = ()
    given_up: tuple[int, ...] = ()
    mark: tuple[int, ...] = ()
    emptied: tuple[int, ...] = ()
    unmark: tuple[int, ...] = ()
    delete: tuple[int, ...] = ()

    @property
    def drains(self) -> tuple[int, ...]:
        """Those that have a drain pod."""
        return tuple(one.ordinal for one in self.left if one.drained)


def plan_claims(
    claims: Sequence[QueueClaim],
    *,
    taken: int,
    going: Collection[int],
    delete: bool,
    abandon: bool,
) -> Claims:
    """Decide what becomes of claims.

    Args:
        claims: all of a PushDomain.
        taken: the StatefulSet has those below this number.
        going: of these, the numbers whose pods are known to be empty and go now.
        delete: what is empty and has no pod goes.
        abandon: by the user's word, queues of pods that go are not waited for.
    """
    left: list[Leftover] = []
    given_up, mark, emptied, unmark, remove = [], [], [], [], []
    running = 0
    for claim in sorted(claims, key=lambda claim: claim.ordinal):
        number, drain = claim.ordinal, claim.drain
        if claim.deleting:
            continue
        if number in going:
            if not claim.marked and claim.phase != "Pending":
                mark.append(number)
        elif number < taken:
            if claim.marked:
                unmark.append(number)
        elif claim.marked or claim.phase == "Pending":
            # One without a volume never had anything in it.
            if delete and claim.ours and not claim.pod and drain is None:
                remove.append(number)
        elif abandon:
            given_up.append(number)
        elif claim.pod:
            left.append(Leftover(number, drained=False, why=f"waits until Pod {claim.pod} has ended"))
        elif not claim.ours:
            left.append(Leftover(number, drained=False, why="somebody else owns it, and it is left alone"))
        elif claim.phase != "Bound":
            left.append(Leftover(number, drained=False, why="its volume is gone"))
        elif drain is not None and drain.left == 0:
            mark.append(number)
            emptied.append(number)
        elif running >= AT_A_TIME:
            left.append(Leftover(number, drained=False, why="waits for its turn"))
        else:
            running += 1
            why = drain.trouble if drain is not None else claim.refused or "its drain pod is not there yet"
            left.append(Leftover(number, drained=True, left=drain.left if drain else None, why=why))
    return Claims(tuple(left), tuple(given_up), tuple(mark), tuple(emptied), tuple(unmark), tuple(remove))
