"""What an operator does with a worker's queue, one bounded step at a time.

A step looks for a fraction of a second, or changes some hundred entries, and is over; between two of them
mail is stored as ever. An entry that delivery has and has not sent yet is taken back from it first. One that
is being sent is left alone, and counted; a hold meets it should this attempt fail.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from tubepost_dispatcher.follow_up import OutgoingMail, is_mail
from tubepost_dispatcher.follow_up import decode as decode_mail
from tubepost_dispatcher.notification import Notification, decode
from tubepost_dispatcher.partitions import partition_path
from tubepost_dispatcher.queue.asking import taken, told
from tubepost_dispatcher.queue.item import Item
from tubepost_dispatcher.queue.journal import Journal
from tubepost_dispatcher.queue.queue import Queue
from tubepost_dispatcher.queue.sampling import state_of, tells_of_all
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.queue_request import Action, Group, add_up
from tubepost_dispatcher.queue_step import Partition, Queued, State, Step, StepResult
from tubepost_dispatcher.store.port import Entry, Failure, Filter, Kept, Page, Tally, matches
from tubepost_dispatcher.text import hide_tokens, short_token

CHANGED_AT_ONCE: Final = 100
"""Entries that one step changes: one commit. More of them would keep the event loop for too long."""
PATIENCE: Final = 0.2
"""Seconds that one step may look for entries, while others wait for their commits: between two steps there is
a commit, and in the middle of a drain a long one."""
MOST_GROUPS: Final = 1_000
"""Groups of one answer; beyond, the smallest are put together."""


class Operations:
    """Does steps. Lives on the queue's event loop.

    Args:
        queue: the worker's; None: it has none, and only its journal can be asked.
        journal: the worker's.
        directory: of the partitions, for the journals of those that were adopted.
        wall: unix seconds.
    """

    def __init__(
        self,
        queue: Queue | None,
        journal: Journal,
        directory: Path | None = None,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._journal = journal
        self._directory = directory
        self._wall = wall

    async def do(self, step: Step) -> StepResult:
        """Do one step; what cannot be done is a problem of the result."""
        if step.work == "trace":
            return await self._trace(step)
        if step.work == "partitions":
            return StepResult(
                self._partitions(), lines_lost=self._journal.lost, lines_kept=self._journal.persistent
            )
        slot = self._queue.slots.get(step.partition) if self._queue is not None else None
        if self._queue is None or slot is None:
            return StepResult(problem=f"partition {step.partition:02d} is not with this worker any more")
        which = _filter(step)
        if which is None or (step.work != "change" and not tells_of_all(slot.number, slot.store)):
            return StepResult()
        match step.work:
            case "count":
                return await self._count(step, slot, which)
            case "list":
                return await self._list(step, slot, which)
            case "change":
                return await self._change(self._queue, step, slot, which)

    # -- reading --------------------------------------------------------------------------------------

    def _partitions(self) -> tuple[Partition, ...]:
        queue = self._queue
        if queue is None:
            return ()
        return tuple(
            Partition(
                number,
                state_of(slot.store.figures, own=number == queue.own),
                slot.store.figures.entries if tells_of_all(number, slot.store) else 0,
                len(slot.active),
                slot.store.figures.size,
                slot.store.figures.quarantined,
                slot.store.figures.damaged,
                slot.store.figures.failure.text if slot.store.figures.failure else "",
            )
            for number, slot in sorted(queue.slots.items())
        )

    async def _trace(self, step: Step) -> StepResult:
        beside: list[Path] = []
        if self._directory is not None and self._queue is not None:
            others = self._queue.slots.keys() - {self._queue.own}
            beside = [partition_path(self._directory, number) for number in sorted(others)]
        lines: list[dict[str, Any]] = []
        for message_id in step.selection.ids:
            lines += await self._journal.trace(message_id, beside)
        return StepResult(
            lines=tuple(lines), lines_lost=self._journal.lost, lines_kept=self._journal.persistent
        )

    async def _count(self, step: Step, slot: Slot, which: Filter) -> StepResult:
        tally = await told(partial(slot.store.tally, patience=PATIENCE), which, self._wall(), step.after)
        if isinstance(tally, Failure):
            return StepResult(problem=_problem(slot, tally))
        assert isinstance(tally, Tally)
        groups = [
            Group(one.domain, one.route, one.reason, one.hold, one.queued, one.due, one.oldest, one.size)
            for one in tally.counts
        ]
        return StepResult(
            groups=tuple(add_up(groups, MOST_GROUPS)),
            looked_at=tally.looked_at,
            following=tally.following,
        )

    async def _list(self, step: Step, slot: Slot, which: Filter) -> StepResult:
        page = await told(partial(slot.store.page, patience=PATIENCE), which, step.after, step.limit)
        if isinstance(page, Failure):
            return StepResult(problem=_problem(slot, page))
        assert isinstance(page, Page)
        now = self._wall()
        return StepResult(
            listed=tuple(_queued(slot, one, now) for one in page.kept), following=page.following
        )

    # -- changing -------------------------------------------------------------------------------------

    async def _change(self, queue: Queue, step: Step, slot: Slot, which: Filter) -> StepResult:
        page = await told(partial(slot.store.page, patience=PATIENCE), which, step.after, CHANGED_AT_ONCE)
        if isinstance(page, Failure):
            return StepResult(problem=_problem(slot, page))
        assert isinstance(page, Page)
        keys = [one.key for one in page.kept]
        if step.action is Action.FLUSH:
            keys = [key for key in keys if key not in slot.active and key not in slot.mailing]
        else:
            queue.recall(slot, keys)
        # In the same turn as the recall: nobody is handed them in between.
        found = await taken(slot, keys)
        if isinstance(found, Failure):
            return StepResult(problem=_problem(slot, found))
        changed: list[Entry] = []
        for one in found:
            too_late = step.action is Action.FLUSH and one.entry.due <= self._wall()
            if matches(which, one.entry) and not too_late:
                self._change_one(queue, step, slot, one)
                changed.append(one.entry)
            else:
                slot.store.release([one.key])
        missing = set(keys) - {one.key for one in found}
        under_way = [slot.active[key].owner for key in missing if key in slot.active]
        mailing = [slot.mailing[key] for key in missing if key in slot.mailing]
        if step.action is Action.HOLD:
            for owner in under_way:
                assert isinstance(owner, Item)
                owner.hold = step.note
            for mail in mailing:
                mail.hold = step.note
        # What was asked before is durable when this is answered.
        durable = await told(slot.store.take, ())
        queue.feed_soon()
        return StepResult(
            groups=tuple(add_up([_group(one, self._wall()) for one in changed], MOST_GROUPS)),
            looked_at=len(page.kept),
            under_way=len(under_way) + len(mailing),
            following=page.following,
            problem=_problem(slot, durable) if isinstance(durable, Failure) else "",
        )

    def _change_one(self, queue: Queue, step: Step, slot: Slot, one: Kept) -> None:
        entry = one.entry
        match step.action:
            case Action.DROP:
                queue.drop(slot, one, f"dropped by an operator, {step.note}")
                return
            case Action.HOLD:
                entry = entry._replace(due=math.inf, hold=step.note)
            case Action.FLUSH | Action.RELEASE:
                entry = entry._replace(due=self._wall(), hold="")
        slot.store.again(one.key, entry)
        what = _decoded(entry) if step.selection.ids else None
        if isinstance(what, Notification) and step.action is not None:
            # Of whole filters the journal would keep this and nothing else.
            self._journal.operated(what, _DONE[step.action], step.note)


_DONE: Final = {Action.FLUSH: "flushed", Action.HOLD: "held", Action.RELEASE: "released"}


def _filter(step: Step) -> Filter | None:
    """What the store is asked for; None: nothing can match."""
    chosen = step.selection
    held = {Action.FLUSH: False, Action.HOLD: False, Action.RELEASE: True}.get(step.action or Action.DROP)
    if held is not None and chosen.held is not None and chosen.held is not held:
        return None
    before = step.as_of if chosen.older_than is None else step.as_of - chosen.older_than
    return Filter(
        chosen.domain,
        chosen.sender,
        chosen.ids or None,
        chosen.last_reason,
        # Accepted at the moment itself is not later.
        math.nextafter(before, math.inf),
        None if chosen.younger_than is None else step.as_of - chosen.younger_than,
        chosen.route,
        chosen.held if held is None else held,
    )


def _group(entry: Entry, now: float) -> Group:
    due = int(entry.due <= now)
    return Group(entry.domain, entry.route, entry.reason, entry.hold, 1, due, entry.accepted, len(entry.body))


def _queued(slot: Slot, one: Kept, now: float) -> Queued:
    entry = one.entry
    state: State = "due" if entry.due <= now else "waiting"
    if one.key in slot.active or one.key in slot.mailing:
        state = "active"
    elif entry.hold:
        state = "held"
    what = _decoded(entry)
    shown = Queued(
        entry.message_id, "", slot.number, state, entry.domain, hide_tokens(entry.sender), "", "", "", "", 0,
        entry.accepted, None if math.isinf(entry.due) else entry.due, entry.expires, entry.attempt,
        entry.route, entry.reason, entry.hold,
    )  # fmt: skip
    if what is None:
        return dataclasses.replace(shown, state="damaged")
    if isinstance(what, OutgoingMail):
        return dataclasses.replace(
            shown,
            kind=what.kind,
            apns_id=what.apns_id,
            sender=hide_tokens(what.sender),
            recipient=hide_tokens(what.recipient),
            size=len(what.content),
        )
    push, token = what.push, what.push.token.decode("ascii", "replace")
    return dataclasses.replace(
        shown,
        apns_id=what.apns_id.decode("ascii", "replace"),
        sender=hide_tokens(what.sender, token),
        recipient=hide_tokens(what.recipient, token),
        token_prefix=short_token(token),
        user=hide_tokens(what.user, token),
        client=what.client_address,
        size=what.size,
        topic=hide_tokens(_text(push.topic), token),
        push_type=_text(push.push_type),
        priority=push.priority,
        collapse_id=hide_tokens(_text(push.collapse_id), token),
        apns_expiration=push.expiration,
        channel_id=_text(push.channel_id),
    )


def _decoded(entry: Entry) -> Notification | OutgoingMail | None:
    try:
        return decode_mail(entry.body) if is_mail(entry.body) else decode(entry.body)
    except ValueError:
        return None


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("ascii", "replace")


def _problem(slot: Slot, failure: Failure) -> str:
    return f"partition {slot.number:02d}: {failure.text}"
