"""From what a push part says, and what its route knows, to the header values of the request to APNs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from tubepost_api.config import RouteDefaults
from tubepost_dispatcher.header_values import MAX_TOPIC, is_collapse_id, is_topic
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.push_types import (
    BROADCAST_PAYLOAD_LIMIT,
    BROADCAST_TYPE,
    PUSH_TYPES,
    PushType,
)
from tubepost_dispatcher.reasons.catalogue import permanent_outcome
from tubepost_dispatcher.text import printable

_MAX_PLANS: Final = 1_024  # senders choose topics: what they choose must not grow without bound

_PlanKey = tuple[bytes | None, bytes | None, int | None, bool, bool, bool]


_BY_SUFFIX: Final = tuple(
    (spec.suffix.encode("ascii"), spec)
    for spec in sorted(PUSH_TYPES.values(), key=lambda spec: -len(spec.suffix))
    if spec.suffix
)
"""Push types by the ends of their topics, longest first."""


class RequestHeaders:
    """Header values of one notification. `expiration` in unix seconds, `collapse_id` empty for none."""

    __slots__ = ("collapse_id", "expiration", "priority", "push_type", "topic")

    def __init__(
        self, topic: bytes, push_type: bytes, priority: int, expiration: int, collapse_id: bytes
    ) -> None:
        self.topic = topic
        self.push_type = push_type
        self.priority = priority
        self.expiration = expiration
        self.collapse_id = collapse_id


class _Plan:
    """What does not change from one notification of a kind to the next."""

    __slots__ = ("fixed_expiration", "name", "payload_limit", "priority", "push_type", "topic")

    def __init__(self, spec: PushType, topic: bytes, priority: int) -> None:
        self.name = spec.name
        self.push_type = spec.name.encode("ascii")
        self.topic = topic
        self.priority = priority
        self.payload_limit = spec.payload_limit
        self.fixed_expiration = spec.expiration


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """What a route contributes. One instance lives as long as the route's configuration and credential.

    `topics`: those that the credential covers, empty for any. `default_topic`: the route's own, else the
    certificate's, None without either. Raises ValueError when a default cannot be sent (collapse id,
    topic), or the default push type is unknown.
    """

    topics: frozenset[str]
    default_topic: str | None
    auth: Literal["certificate", "token"]
    defaults: RouteDefaults
    _plans: dict[_PlanKey, _Plan | Outcome] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _collapse_id: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        collapse_id = (self.defaults.collapse_id or "").encode("utf-8")
        if collapse_id and not is_collapse_id(collapse_id):
            raise ValueError("the default collapse id is not printable ASCII of at most 64 bytes")
        if self.default_topic and not is_topic(self.default_topic.encode("utf-8")):
            raise ValueError(f"the default topic {self.default_topic!r} is not a bundle identifier")
        if self.defaults.push_type is not None and self.defaults.push_type not in PUSH_TYPES:
            raise ValueError(f"unknown default push type {self.defaults.push_type!r}")
        object.__setattr__(self, "_collapse_id", collapse_id)


def resolve(part: PushPart, facts: RouteFacts, *, now: int, expiry: float) -> RequestHeaders | Outcome:
    """Settle the headers of one notification; `now` in unix seconds, `expiry` in seconds (0: try once).

    Push type: the part's, else what the part's topic ends in (`.voip`), else the route's default, else what
    the route's topic ends in, else by the payload (`mdm` member: mdm; content-available alone: background;
    else alert). A topic that ends in another type's suffix is refused. Topic: the part's, else the route's,
    with the type's suffix added where it is missing. Priority: the part's, else the route's default if the
    type allows it, else the type's. Expiration: the part's, else the type's fixed one, else `now` + `expiry`.
    What cannot be sent like this is a permanent outcome that says why.

    What goes to a channel is a Live Activity, whatever the route's default is; its topic is the app's bundle
    id (without a suffix), and a certificate is as good as a token.
    """
    broadcast = part.channel_id is not None
    key = (part.push_type, part.topic, part.priority, part.background, part.is_mdm, broadcast)
    plan = facts._plans.get(key)  # noqa: SLF001 - the cache of these facts, private to this module
    if plan is None:
        plan = _remember(part, facts, key)
    if type(plan) is not _Plan:
        assert isinstance(plan, Outcome)
        return plan
    if len(part.payload) > plan.payload_limit:
        return permanent_outcome(
            "PayloadTooLarge",
            f"the payload has {len(part.payload)} bytes, the limit for push type {plan.name} is "
            f"{plan.payload_limit}",
        )
    expiration = part.expiration
    if expiration is None:
        fixed = plan.fixed_expiration
        expiration = (now + int(expiry) if expiry else 0) if fixed is None else fixed
    elif plan.fixed_expiration is not None and expiration != plan.fixed_expiration:
        return permanent_outcome(
            "BadExpirationDate",
            f"apns-expiration {expiration} with push type {plan.name}, which allows {plan.fixed_expiration}",
        )
    collapse_id = part.collapse_id
    if broadcast:
        if collapse_id is not None:
            return permanent_outcome("BadCollapseId", "a notification to a channel has no apns-collapse-id")
        collapse_id = b""
    return RequestHeaders(
        plan.topic,
        plan.push_type,
        plan.priority,
        expiration,
        facts._collapse_id if collapse_id is None else collapse_id,  # noqa: SLF001 - as above
    )


def _remember(part: PushPart, facts: RouteFacts, key: _PlanKey) -> _Plan | Outcome:
    plans = facts._plans  # noqa: SLF001 - the cache of these facts, private to this module
    if len(plans) >= _MAX_PLANS:
        plans.clear()
    plan = plans[key] = _plan(part, facts)
    return plan


def _plan(part: PushPart, facts: RouteFacts) -> _Plan | Outcome:
    broadcast = part.channel_id is not None
    name = _push_type(part, facts)
    if broadcast and name != BROADCAST_TYPE:
        return permanent_outcome(
            "InvalidPushType",
            f"a notification to a channel has push type {BROADCAST_TYPE}, not {printable(name)}",
        )
    spec = PUSH_TYPES.get(name)
    if spec is None:
        return permanent_outcome(
            "InvalidPushType", f"unknown push type {printable(name)}, known are {', '.join(PUSH_TYPES)}"
        )
    of_topic = None if part.topic is None else _type_of_topic(part.topic, facts)
    if of_topic is not None and of_topic is not spec and not _ends_with(part.topic, spec):
        return permanent_outcome(
            "BadTopic",
            f"topic {printable(part.topic or b'', 100)} is for push type {of_topic.name} and apns-push-type "
            f"says {name}; send one that fits, or leave one of the two out",
        )
    if spec.token_only and facts.auth == "certificate" and not broadcast:
        return permanent_outcome(
            "PushTypeNotAllowed",
            f"push type {name} needs token authentication, the route has a certificate",
        )
    topic = _topic(part, facts, spec)
    if isinstance(topic, Outcome):
        return topic
    priority = part.priority
    if priority is None:
        default = facts.defaults.priority
        priority = default if default in spec.priorities else spec.default_priority
    elif priority not in spec.priorities:
        allowed = " or ".join(map(str, spec.priorities))
        return permanent_outcome(
            "BadPriority", f"apns-priority {priority} with push type {name}, which allows {allowed}"
        )
    plan = _Plan(spec, topic, priority)
    if broadcast:
        plan.topic = topic.removesuffix(spec.suffix.encode("ascii"))
        plan.payload_limit = BROADCAST_PAYLOAD_LIMIT
    return plan


def _push_type(part: PushPart, facts: RouteFacts) -> str:
    if part.push_type is not None:
        return part.push_type.decode("ascii", "replace")
    if part.channel_id is not None:
        return BROADCAST_TYPE
    if part.topic is not None and (found := _type_of_topic(part.topic, facts)) is not None:
        return found.name
    if facts.defaults.push_type is not None:
        return facts.defaults.push_type
    if part.topic is None and facts.default_topic:
        found = _type_of_suffix(facts.default_topic.encode("utf-8"))
        if found is not None:
            return found.name
    return "mdm" if part.is_mdm else "background" if part.background else "alert"


def _type_of_topic(topic: bytes, facts: RouteFacts) -> PushType | None:
    """The push type that a part's topic stands for, unless it is the app's own name, as the route says."""
    if facts.default_topic is not None and topic == facts.default_topic.encode("utf-8"):
        return None
    return _type_of_suffix(topic)


def _type_of_suffix(topic: bytes) -> PushType | None:
    for suffix, spec in _BY_SUFFIX:
        if topic.endswith(suffix) and len(topic) > len(suffix):
            return spec
    return None


def _ends_with(topic: bytes | None, spec: PushType) -> bool:
    return bool(spec.suffix) and topic is not None and topic.endswith(spec.suffix.encode("ascii"))


def _topic(part: PushPart, facts: RouteFacts, spec: PushType) -> bytes | Outcome:
    base = part.topic.decode("ascii", "replace") if part.topic is not None else facts.default_topic
    if not base:
        return permanent_outcome(
            "MissingTopic", "no topic: neither an apns-topic header nor one of the route or its certificate"
        )
    topic = base if base.endswith(spec.suffix) else base + spec.suffix
    # Certificates list the bundle identifier and some of the suffixes only.
    if facts.topics and topic not in facts.topics and topic.removesuffix(spec.suffix) not in facts.topics:
        covered = ", ".join(sorted(facts.topics))
        return permanent_outcome(
            "TopicDisallowed",
            f"topic {printable(topic, 100)} is not covered by the route's credential, which covers "
            f"{printable(covered, 200)}",
        )
    if len(topic) > MAX_TOPIC:
        return permanent_outcome(
            "TopicTooLong", f"the topic has {len(topic)} bytes, the limit is {MAX_TOPIC}"
        )
    return topic.encode("ascii", "replace")
