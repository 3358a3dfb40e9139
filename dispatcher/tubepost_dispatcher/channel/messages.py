"""What supervisor and worker say to each other.

Every message is a value with a `type`, by which it is recognised at the other end. Messages that are answered
say what by; `Channel.request` brings request and answer together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Base64UrlBytes, Discriminator

from tubepost_api.config import DispatcherConfig
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.queue_step import Step, StepResult
from tubepost_dispatcher.totals import Samples


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that a worker needs to work by a configuration.

    Attributes:
        config: the compiled document.
        secrets: the Secrets' contents.
        workers: how many workers share the pod's limits.
        memory_limit: bytes of memory, shared pages in parts, beyond which the worker refuses new sessions; 0
            for no limit.
        log_format: the form of the process log's lines.
        lenient: whether credentials that cannot be read are accepted; their routes are held.
        retiring: whether other pods take the mail, and this one only delivers its queue.
        retire_after: seconds for which it still takes mail then.
    """

    config: DispatcherConfig
    secrets: Mapping[str, Mapping[str, Base64UrlBytes]] = field(repr=False)
    workers: int = 1
    memory_limit: int = 0
    log_format: Literal["text", "json"] = "text"
    lenient: bool = False
    retiring: bool = False
    retire_after: float = 0.0

    @property
    def bundle(self) -> ConfigBundle:
        """Document and Secrets."""
        return ConfigBundle(self.config, self.secrets)


# -- to the worker -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Be worker `index` and accept on so many listening sockets; the first message. Answered by `Ready`.

    The sockets' descriptors have been sent on the other line, as with `Sockets`. `queue_dir` is where the
    partitions of the queue are, None without one. `rest`: so many of the sockets, the last ones, are for
    requests.
    """

    index: int
    sockets: int
    configuration: Configuration
    queue_dir: Path | None = None
    rest: int = 0
    _: KW_ONLY
    type: Literal["start"] = "start"


@dataclass(frozen=True, slots=True)
class Sockets:
    """Accept on exactly these listening sockets; so many descriptors have been sent on the other line.

    `rest`: so many of them, the last ones, are for requests.
    """

    count: int
    rest: int = 0
    _: KW_ONLY
    type: Literal["sockets"] = "sockets"


@dataclass(frozen=True, slots=True)
class Configure:
    """Put another configuration in force. Answered by `Configured`."""

    configuration: Configuration
    _: KW_ONLY
    type: Literal["configure"] = "configure"


@dataclass(frozen=True, slots=True)
class Adopt:
    """Empty the partitions of exactly these slots of the queue, beside the worker's own."""

    slots: tuple[int, ...]
    _: KW_ONLY
    type: Literal["adopt"] = "adopt"


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Say how it is. Answered by `Status`."""

    _: KW_ONLY
    type: Literal["getStatus"] = "getStatus"


@dataclass(frozen=True, slots=True)
class Operate:
    """Do one step of a request about the queue. Answered by `Operated`."""

    step: Step
    _: KW_ONLY
    type: Literal["operate"] = "operate"


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Reopen log files."""

    _: KW_ONLY
    type: Literal["reopenLogs"] = "reopenLogs"


@dataclass(frozen=True, slots=True)
class Leave:
    """End sessions, and serve those who still come for a message each. Answered by `Left`.

    The answer comes when nobody does any more, at the latest after `at_most` seconds.
    """

    at_most: float
    _: KW_ONLY
    type: Literal["leave"] = "leave"


@dataclass(frozen=True, slots=True)
class Drain:
    """End in order, within `grace` seconds. `Drained` is the last that the worker says.

    `last`: the volume of the queue goes with the dispatcher; else what is in it has a successor.
    """

    grace: float
    last: bool = True
    _: KW_ONLY
    type: Literal["drain"] = "drain"


# -- in both directions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hold:
    """A worker holds a route, or no longer: what one has found out about a credential is the pod's.

    Attributes:
        route: its name.
        credential: the mark of the credential that was found out about.
        reason: why; empty when the hold has ended.
        detail: a sentence for people.
        seconds: until the next probe.
    """

    route: str
    credential: str
    reason: str
    detail: str
    seconds: float
    _: KW_ONLY
    type: Literal["hold"] = "hold"


# -- from the worker ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ready:
    """It accepts connections."""

    _: KW_ONLY
    type: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class QueueState:
    """How the worker's queue is; sent when it has changed.

    Attributes:
        partitions: what is wrong with each partition that it has or wants; empty where nothing is.
        obstacle: why the worker takes no messages now; empty when it does.
    """

    partitions: Mapping[int, str]
    obstacle: str
    _: KW_ONLY
    type: Literal["queueState"] = "queueState"


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration is in force; or it is not, because of `problems`."""

    problems: tuple[str, ...] = ()
    _: KW_ONLY
    type: Literal["configured"] = "configured"


@dataclass(frozen=True, slots=True)
class Status:
    """Metrics, and the worker's part of /status (JSON values); None while it has no pipeline."""

    metrics: Samples
    status: dict[str, Any] | None
    _: KW_ONLY
    type: Literal["status"] = "status"


@dataclass(frozen=True, slots=True)
class Operated:
    """What came of a step."""

    result: StepResult
    _: KW_ONLY
    type: Literal["operated"] = "operated"


@dataclass(frozen=True, slots=True)
class Left:
    """Nobody comes any more, or the time is over."""

    _: KW_ONLY
    type: Literal["left"] = "left"


@dataclass(frozen=True, slots=True)
class Counted:
    """Metrics that have changed; sent unasked."""

    metrics: Samples
    _: KW_ONLY
    type: Literal["counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing has changed."""

    _: KW_ONLY
    type: Literal["alive"] = "alive"


@dataclass(frozen=True, slots=True)
class Drained:
    """It has drained, and ends: the number of sessions that were cut, and the last metrics."""

    cut: int
    metrics: Samples
    _: KW_ONLY
    type: Literal["drained"] = "drained"


Message = Annotated[
    Start
    | Sockets
    | Configure
    | Adopt
    | GetStatus
    | Operate
    | ReopenLogs
    | Leave
    | Drain
    | Hold
    | Ready
    | QueueState
    | Configured
    | Status
    | Operated
    | Left
    | Counted
    | Alive
    | Drained,
    Discriminator("type"),
]
"""Everything that can be said."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message on its way.

    Attributes:
        message: what is said.
        request: the number that an answer has to name; 0 when none is awaited.
        reply_to: the number of the request that this answers; 0 when it answers none.
    """

    message: Message
    request: int = 0
    reply_to: int = 0
