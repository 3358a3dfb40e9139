"""PushDomain: an address that takes MCMT messages for its domains (Momentum's `domain` and listener)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from tubepost_api.acceptance import PLACES, AcceptanceSpec, QueueSpec
from tubepost_api.bounces import BouncesOverride, BouncesSpec
from tubepost_api.conditions import Conditions
from tubepost_api.config import AcceptanceMode, AcceptanceOverflow
from tubepost_api.delivery import DeliveryOverride, DeliverySpec, keeps_intervals, keeps_order
from tubepost_api.durations import DURATION_PATTERN
from tubepost_api.fields import UNIQUE, Checked, Name, no_repeats
from tubepost_api.listener import ListenerSpec
from tubepost_api.patterns import check_pattern
from tubepost_api.podtemplate import PodTemplateSpec
from tubepost_api.policy import PolicySpec
from tubepost_api.relay import RelaySpec
from tubepost_api.resource import Column, KindNames, Resource, age_column, ready_column
from tubepost_api.rest import RestSpec
from tubepost_api.rules import Rule, SpecModel, Transition
from tubepost_api.service import ServiceSpec
from tubepost_api.tracing import TracingSpec


def _check_domain(name: str) -> None:
    if len(name.split(".")) == 4 and name.replace(".", "").isdigit():
        raise ValueError(f"{name!r} is an IP address, not a domain")


DomainName = Annotated[
    str,
    Checked(
        "a domain in lower case",
        "write it in lower case, without a dot at the end; an internationalised one in its xn-- form",
        r"^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$",
        253,
        check=_check_domain,
    ),
]
DomainPattern = Annotated[
    str,
    Checked(
        "a regular expression",
        "write it in RE2 syntax; it has to match the whole domain, in lower case",
        r"^[^\s]+$",
        253,
        check=check_pattern,
        rules=(("''.matches(self) ? true : true", "must be a regular expression in RE2 syntax"),),
    ),
]
Routes = Annotated[
    tuple[Name, ...], Field(min_length=1, max_length=8, json_schema_extra=UNIQUE), AfterValidator(no_repeats)
]


class DomainSpec(SpecModel):
    """A domain, or all that match a pattern, with what differs from the values of the PushDomain."""

    name: DomainName | None = None
    """The domain, exact, in lower case. Either this or pattern."""
    pattern: DomainPattern | None = None
    """Regular expression (RE2) that the whole domain has to match. Exact names go first, then the patterns in
    their order. Either this or name."""
    routes: Routes | None = None
    """Names of ApnRoutes in place of those of the PushDomain."""
    delivery: DeliveryOverride | None = None
    """Delivery options that differ, field by field; the others are the PushDomain's."""
    bounces: BouncesOverride | None = None
    """Options of reports that differ, field by field; the others are the PushDomain's."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.name) != has(self.pattern)",
            "exactly one of name and pattern is needed",
            "set name for one domain, pattern for a regular expression",
            lambda domain: (domain.name is None) != (domain.pattern is None),
        ),
    )


class ContextSpec(SpecModel):
    """Context variables that come with a message."""

    addresses: Literal["Allow", "Ignore"] = "Allow"
    """Whether senders may set DLV_Source_Addr and DLV_Dest_Addr, which logs and hooks show; Ignore: a message
    that sets them is taken, and they are not. What delivery sets (DLV_Transaction_ID, DLV_Response_Status and
    so on) no sender can set."""


def _each_domain(first: str, sign: str, second: str) -> str:
    """CEL: two durations of every domain, its own or inherited, are in order."""
    one, two = (
        f"(has(d.delivery.{name}) ? d.delivery.{name} : self.delivery.{name})" for name in (first, second)
    )
    return (
        "self.domains.all(d, !has(d.delivery) || "
        # What is no duration is said of the field alone.
        f"[{one}, {two}].exists(t, !t.matches(r'{DURATION_PATTERN}')) || "
        f"duration({one}) {sign} duration({two}))"
    )


class PushDomainSpec(SpecModel):
    """An address that takes MCMT messages, its domains, and what becomes of the messages."""

    domains: Annotated[tuple[DomainSpec, ...], Field(min_length=1, max_length=256)]
    """Domains of the recipients that are served, exact or by pattern."""
    routes: Routes | None = None
    """Names of ApnRoutes in order (Momentum `routes`): a later one takes over when those before it are
    unavailable. All of them lead to one environment and topic. Domains may name their own."""
    listener: ListenerSpec = ListenerSpec()
    """The SMTP listener (Momentum `esmtp_listener`)."""
    acceptance: AcceptanceSpec = AcceptanceSpec()
    """When a message is acknowledged."""
    queue: QueueSpec | None = None
    """Where messages are kept until their end: for acceptance.mode Queued, and acceptance.overflow Queue."""
    delivery: DeliverySpec = DeliverySpec()
    """How notifications are delivered. Domains may differ, field by field."""
    bounces: BouncesSpec = BouncesSpec()
    """Reports to senders of what failed or is late. Domains may differ, field by field."""
    passthru: RelaySpec | None = None
    """SMTP relay for ordinary mail and for the e-mail parts of MCMT messages; without one ordinary mail is
    refused."""
    policy: PolicySpec | None = None
    """Hooks in Python."""
    context: ContextSpec = ContextSpec()
    """Context variables of messages."""
    rest: RestSpec | None = None
    """Listener for notifications as HTTP requests, beside SMTP; without it there is none."""
    loggers: Annotated[
        tuple[Name, ...], Field(max_length=8, json_schema_extra=UNIQUE), AfterValidator(no_repeats)
    ] = ()
    """Names of the ApnLoggers that log the notifications."""
    log_level: Literal["Debug", "Info", "Warning", "Error"] = "Info"
    """What the dispatcher writes to its own log (Momentum `debug_level`). Debug tells of sessions command by
    command, of every attempt, and of connections, without secrets; at most 1,000 such lines a second."""
    message_log: Literal["Disabled", "Enabled"] = "Disabled"
    """Enabled: one structured line in the dispatcher's own log for each message, at Info, when it gets its
    reply: client, sender, domains, size, reply, time. Loggers tell what becomes of its notifications."""
    tracing: TracingSpec | None = None
    """OpenTelemetry traces of messages; without it there are none."""
    replicas: Annotated[int, Field(ge=0, le=1000)] = 1
    """Number of dispatcher pods; also set through the scale subresource."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Worker processes of each pod; 0: as many as the pod's CPU limit has CPUs."""
    pod_template: PodTemplateSpec = PodTemplateSpec()
    """The dispatcher's pods. Only a cluster uses it."""
    service: ServiceSpec = ServiceSpec()
    """The Service in front of them. Only a cluster uses it."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.routes) || self.domains.all(d, has(d.routes))",
            "a domain has no routes",
            "name ApnRoutes in spec.routes, or in routes of every domain",
            lambda spec: spec.routes is not None or all(d.routes is not None for d in spec.domains),
            "routes",
        ),
        Rule(
            "self.domains.all(d, !has(d.name) || "
            "self.domains.exists_one(e, has(e.name) && e.name == d.name))",
            "a domain name is listed twice",
            "name every domain once",
            lambda spec: _twin([d.name for d in spec.domains]) is None,
            "domains",
            lambda spec: f"domains[{_twin([d.name for d in spec.domains])}].name",
        ),
        Rule(
            "self.domains.all(d, !has(d.pattern) || "
            "self.domains.exists_one(e, has(e.pattern) && e.pattern == d.pattern))",
            "a pattern is listed twice",
            "write every pattern once",
            lambda spec: _twin([d.pattern for d in spec.domains]) is None,
            "domains",
            lambda spec: f"domains[{_twin([d.pattern for d in spec.domains])}].pattern",
        ),
        Rule(
            _each_domain("responseTimeout", "<", "idleTimeout"),
            "a domain's responseTimeout is not less than its idleTimeout (own or inherited)",
            "raise idleTimeout: a connection must not be closed as idle while an answer may still come",
            lambda spec: _disorder(spec, keeps_order) is None,
            "domains",
            lambda spec: f"domains[{_disorder(spec, keeps_order)}].delivery",
        ),
        Rule(
            _each_domain("retryInterval", "<=", "maxRetryInterval"),
            "a domain's retryInterval is more than its maxRetryInterval (own or inherited)",
            "raise maxRetryInterval: waits begin at the one and grow up to the other",
            lambda spec: _disorder(spec, keeps_intervals) is None,
            "domains",
            lambda spec: f"domains[{_disorder(spec, keeps_intervals)}].delivery",
        ),
        Rule(
            "self.acceptance.mode != 'Queued' || has(self.queue)",
            "acceptance.mode Queued needs a queue",
            f"set {PLACES}",
            lambda spec: spec.acceptance.mode != AcceptanceMode.QUEUED or spec.queue is not None,
            "queue",
        ),
        Rule(
            "self.acceptance.overflow != 'Queue' || has(self.queue)",
            "acceptance.overflow Queue needs a queue",
            f"set {PLACES}; or acceptance.overflow: Refuse",
            lambda spec: spec.acceptance.overflow != AcceptanceOverflow.QUEUE or spec.queue is not None,
            "queue",
        ),
        Rule(
            "self.listener.mcmtReception != 'Passthru' || has(self.passthru)",
            "mcmtReception Passthru needs a relay",
            "set spec.passthru, or mcmtReception: Allow",
            lambda spec: spec.listener.mcmt_reception != "Passthru" or spec.passthru is not None,
            "passthru",
        ),
        Rule(
            "!has(self.rest) || self.rest.port != self.listener.port",
            "rest.port is the port of the SMTP listener",
            "choose another port, such as 8080",
            lambda spec: spec.rest is None or spec.rest.port != spec.listener.port,
            "rest",
        ),
        Rule(
            "!has(self.rest) || self.rest.port != self.service.port",
            "rest.port is the Service's port for SMTP, service.port",
            "choose another port, such as 8080",
            lambda spec: spec.rest is None or spec.rest.port != spec.service.port,
            "rest",
        ),
    )
    transitions: ClassVar[tuple[Transition, ...]] = (
        Transition(
            "has(self.queue) || !has(oldSelf.queue) || !has(oldSelf.queue.jetStream) || "
            "(oldSelf.acceptance.mode == 'Direct' && oldSelf.acceptance.overflow != 'Queue')",
            "what is in the stream would be left behind",
            "set acceptance.mode: Direct, wait until nothing is queued (status.live.queued is absent), then "
            "remove the queue",
            "queue",
        ),
    )


class RouteStatus(SpecModel):
    """A route in use."""

    name: Name
    """Name of the ApnRoute."""
    credential: Literal["Certificate", "Token"] | None = None
    """Kind of its credential."""
    topics: Annotated[tuple[Annotated[str, Field(max_length=255)], ...], Field(max_length=64)] = ()
    """Topics that the credential serves, the default one first."""
    not_after: datetime | None = None
    """End of the certificate's validity."""


class LiveStatus(SpecModel):
    """Coarse facts of the running dispatchers, renewed at most once a minute."""

    updated_at: datetime
    """When these facts were gathered."""
    sessions: Annotated[int, Field(ge=0)] = 0
    """Open SMTP sessions, to two digits."""
    delivered_per_minute: Annotated[int, Field(ge=0)] = 0
    """Notifications that APNs took during the last minute, to two digits."""
    delivered: Annotated[int, Field(ge=0)] = 0
    """Notifications that APNs took since the pods started, to two digits."""
    failed: Annotated[int, Field(ge=0)] = 0
    """Notifications that failed for good since the pods started, to two digits."""
    queued: Annotated[int, Field(ge=0)] | None = None
    """Notifications in the queues, to two digits; absent when none are."""
    last_error: Annotated[str, Field(max_length=512)] | None = None
    """The most frequent failure of the newest minute that had one: route, outcome and reason."""
    held_routes: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    """Names of the routes that take no requests for the moment."""


class ConfigStatus(SpecModel):
    """The compiled configuration that the dispatcher has."""

    name: Annotated[str, Field(max_length=253)]
    """Name of the ConfigMap."""
    hash: Annotated[str, Field(max_length=64)]
    """Hash of its contents and of the Secrets', the one in the metric tubepost_config_info."""
    generation: Annotated[int, Field(ge=0)] = 0
    """The generation of the spec that it was compiled from."""


class PushDomainStatus(SpecModel):
    """What the operator found."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = ()
    """Accepted, ReferencesResolved, CredentialsValid, Programmed, Ready and Delivering; with reports also
    BouncesDeliverable, with a queue also QueueDurable and QueueSettled."""
    tracing: TracingSpec | None = None
    """OpenTelemetry traces of messages; without it there are none."""
    replicas: Annotated[int, Field(ge=0)] = 0
    """Number of dispatcher pods."""
    selector: Annotated[str, Field(max_length=1024)] = ""
    """Label selector of the pods, for the scale subresource."""
    address: Annotated[str, Field(max_length=320)] | None = None
    """HOST:PORT of the listener inside the cluster."""
    routes: Annotated[
        tuple[RouteStatus, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """The routes in use and their credentials."""
    config: ConfigStatus | None = None
    """The configuration that is published: the newest that was without a fault."""
    live: LiveStatus | None = None
    """Coarse facts of the running dispatchers; metrics tell more."""


class PushDomain(Resource):
    """PushDomain is an SMTP address that turns MCMT messages for its domains into push notifications."""

    names: ClassVar[KindNames] = KindNames(
        "PushDomain",
        "pushdomains",
        "pushdomain",
        "pd",
        (
            ready_column(),
            Column(
                "Delivering",
                ".status.conditions[?(@.type=='Delivering')].status",
                description="Whether APNs takes its notifications.",
            ),
            Column("Mode", ".spec.delivery.mode", description="Whether notifications leave.", wide=True),
            Column("Replicas", ".status.replicas", "integer", "Number of dispatcher pods."),
            Column("Address", ".status.address", description="Address of the listener."),
            Column("Routes", ".spec.routes", description="Routes to APNs.", wide=True),
            Column(
                "Reason",
                ".status.conditions[?(@.type=='Ready')].reason",
                description="Why it is ready or not.",
                wide=True,
            ),
            age_column(),
        ),
        scale=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "the name cannot be that of a Service",
            "choose one of at most 63 lower-case letters, digits and hyphens that begins with a letter",
            lambda resource: (
                len(resource.metadata.name) <= 63
                and re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", resource.metadata.name) is not None
            ),
        ),
    )

    kind: Literal["PushDomain"]
    """Kind of the object."""
    spec: PushDomainSpec
    """The address, its domains, and what becomes of the messages."""
    status: PushDomainStatus | None = None
    """What the operator found; never written by users."""


def _twin(values: list[str | None]) -> int | None:
    """Index of the first value that stood before."""
    return next((i for i, value in enumerate(values) if value is not None and value in values[:i]), None)


def _disorder(
    spec: PushDomainSpec, keeps: Callable[[DeliverySpec, DeliveryOverride | None], bool]
) -> int | None:
    """Index of the first domain whose durations are not in order."""
    return next(
        (
            i
            for i, domain in enumerate(spec.domains)
            if domain.delivery is not None and not keeps(spec.delivery, domain.delivery)
        ),
        None,
    )
