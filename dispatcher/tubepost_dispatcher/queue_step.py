"""One step of a request about the queue, as supervisor and workers say it to each other. Values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tubepost_dispatcher.queue_request import Action, Cursor, Group, Selection

State = Literal["waiting", "due", "active", "held", "damaged"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker is to do, within some milliseconds.

    Attributes:
        work: `partitions`: say which it has; `count` and `list`: what the selection names; `change`: do
            `action` with it; `trace`: say what the journal has about the selection's ids.
        partition: of `count`, `list` and `change`.
        after: key of the last entry that an earlier step looked at.
        selection: which notifications.
        as_of: unix seconds; what was accepted later is not concerned, and ages count from it.
        limit: notifications to list.
        action: of `change`, and of a `count` that is its dry run.
        note: who changes it, when and why: the text of a hold, the detail of an end.
    """

    work: Literal["partitions", "count", "list", "change", "trace"]
    partition: int = 0
    after: int | None = None
    selection: Selection = field(default_factory=Selection)
    as_of: float = 0.0
    limit: int = 100
    action: Action | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that a worker has.

    Attributes:
        number: of the worker slot that it was made for.
        state: `owned`, `adopted` (of a slot that has no worker now), `locked` (another process has it) or
            `failed`.
        entries: notifications in it, as of the last commit.
        active: those of them that delivery has.
        size: bytes of its files.
        quarantined: files set aside since they could not be trusted.
        damaged: entries set aside since they were not what had been written.
        problem: why it takes nothing at present; empty: it does.
    """

    number: int
    state: str
    entries: int
    active: int
    size: int
    quarantined: int = 0
    damaged: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """A notification in the queue, or a mail that follows one, without payload and content.

    Device tokens are in short form. Times in unix seconds; `due` None: not before it is released. `reason`
    and `route` are those of the last attempt. `hold`: who holds it, when and why. `apns_expiration` None: the
    sender gave none. `channel_id`: of a broadcast, which has no token. `kind`: `notification`, or that of the
    mail.
    """

    message_id: str
    apns_id: str
    partition: int
    state: State
    domain: str
    sender: str
    recipient: str
    token_prefix: str
    user: str
    client: str
    size: int
    accepted: float
    due: float | None
    expires: float
    attempts: int
    route: str
    reason: str
    hold: str
    topic: str = ""
    push_type: str = ""
    priority: int | None = None
    collapse_id: str = ""
    apns_expiration: int | None = None
    channel_id: str = ""
    kind: str = "notification"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of a step.

    Attributes:
        partitions: those of the worker.
        groups: what was counted, or changed.
        listed: notifications.
        lines: of the journal.
        looked_at: entries that the step passed over.
        under_way: notifications that were left alone, since they are being sent.
        following: `after` of the next step, None: the partition has no more.
        problem: why nothing, or not all, was done; empty: all was.
        lines_lost: lines that the journal could not write.
        lines_kept: whether the journal outlives the worker.
    """

    partitions: tuple[Partition, ...] = ()
    groups: tuple[Group, ...] = ()
    listed: tuple[Queued, ...] = ()
    lines: tuple[dict[str, Any], ...] = ()
    looked_at: int = 0
    under_way: int = 0
    following: int | None = None
    problem: str = ""
    lines_lost: int = 0
    lines_kept: bool = False


@dataclass
class Answer:
    """What is answered to a request about the queue: as much as could be done in a second.

    Attributes:
        as_of: unix seconds; what was accepted later is not concerned, and ages count from it.
        partitions: all that workers have.
        groups: what was counted, or changed.
        listed: notifications.
        lines: of the journals, in order of time.
        looked_at: entries that were passed over.
        under_way: notifications that were left alone, since they are being sent.
        following: where to go on; None: that was all.
        problems: what is missing from this answer, and why.
        lines_lost: lines that journals could not write.
        lines_kept: whether the journals outlive the workers.
    """

    as_of: float
    partitions: list[Partition] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    listed: list[Queued] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    looked_at: int = 0
    under_way: int = 0
    following: Cursor | None = None
    problems: list[str] = field(default_factory=list)
    lines_lost: int = 0
    lines_kept: bool = True
