"""Warnings of what is valid, and probably not what somebody wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tubepost_api.apnlogger import ApnLogger
from tubepost_api.bounces import BouncesOverride, BouncesSpec
from tubepost_api.bounces import merged as merged_bounces
from tubepost_api.config import AcceptanceMode, AcceptanceOverflow, DeliveryMode
from tubepost_api.config_logger import LoggedOutcome
from tubepost_api.delivery import SCHEDULE, DeliveryOverride, DeliverySpec, merged
from tubepost_api.durations import parse_duration, parse_size
from tubepost_api.jetstream import JetStreamSpec
from tubepost_api.problems import Problem
from tubepost_api.pushdomain import PushDomain, PushDomainSpec
from tubepost_api.read import Loaded
from tubepost_api.relay import RelaySpec

SHORT_IDLE: Final = 60.0
"""Seconds. With a shorter idleTimeout, connections to APNs are opened and closed all the time."""
LITTLE_MEMORY: Final = 64 * 1024 * 1024
"""Bytes: with less, Python itself has hardly room in a process that runs hooks."""

_SHOWN = 8
"""Further places of a problem that its message names."""


def also(paths: list[str]) -> str:
    """The further places of a problem, for the end of its message."""
    others = [path.removeprefix("spec.") for path in paths[1:]]
    shown = ", ".join(others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
    return f" (also in {shown})" if others else ""


def push_domain(loaded: Loaded, domain: PushDomain) -> Iterator[Problem]:
    """Warnings of a PushDomain."""
    yield from _of_delivery(loaded, domain)
    yield from _of_queue(loaded, domain)
    yield from _of_bounces(loaded, domain.spec)
    yield from _of_listeners(loaded, domain.spec)
    for path, relay in (("passthru", domain.spec.passthru), ("bounces.relay", domain.spec.bounces.relay)):
        if relay is not None:
            yield from _of_relay(loaded, f"spec.{path}", relay)
    policy = domain.spec.policy
    if policy is not None and parse_size(policy.memory) < LITTLE_MEMORY:
        yield loaded.problem(
            "warning", "spec.policy.memory", "is hardly enough for Python itself", "use 64Mi or more"
        )


def _of_delivery(loaded: Loaded, domain: PushDomain) -> Iterator[Problem]:
    spec = domain.spec
    deadline = parse_duration(spec.acceptance.deadline)
    scopes: list[tuple[str, DeliverySpec | DeliveryOverride]] = [("spec.delivery", spec.delivery)]
    # What a domain inherits has been told of the PushDomain.
    scopes += [
        (f"spec.domains[{index}].delivery", entry.delivery)
        for index, entry in enumerate(spec.domains)
        if entry.delivery is not None
    ]
    for path, options in scopes:
        if options.mode == DeliveryMode.BLACKHOLE:
            yield loaded.problem(
                "warning", f"{path}.mode", "Blackhole answers 250 and sends nothing", "use it for tests only"
            )
        idle, response = options.idle_timeout, options.response_timeout
        if idle is not None and parse_duration(idle) < SHORT_IDLE:
            yield loaded.problem(
                "warning",
                f"{path}.idleTimeout",
                f"{idle} is short: APNs may take frequent reconnects for an attack",
                "use an hour or more",
            )
        if not _queues(spec) and response is not None and parse_duration(response) >= deadline:
            yield loaded.problem(
                "warning",
                f"{path}.responseTimeout",
                "the acceptance deadline comes first: messages are answered 451 before APNs has answered",
                "raise acceptance.deadline, or lower responseTimeout",
            )


def _of_relay(loaded: Loaded, path: str, relay: RelaySpec) -> Iterator[Problem]:
    if relay.auth_secret_name is not None and relay.tls == "None":
        yield loaded.problem(
            "warning", f"{path}.tls", "the relay's password is sent in cleartext", "use StartTls or Tls"
        )
    if relay.ca is not None and (relay.tls == "None" or not relay.verify):
        yield loaded.problem(
            "warning",
            f"{path}.ca",
            "has no effect without TLS, or without verify",
            "set tls to StartTls or Tls, and verify: true",
        )


def _of_listeners(loaded: Loaded, spec: PushDomainSpec) -> Iterator[Problem]:
    auth = spec.listener.auth
    if auth is not None and not auth.require_tls:
        yield loaded.problem(
            "warning",
            "spec.listener.auth.requireTls",
            "clients send their passwords in cleartext",
            "set up startTls, and requireTls: true",
        )
    if spec.rest is not None and spec.rest.tls is None:
        yield loaded.problem(
            "warning", "spec.rest.tls", "is absent: clients send their tokens in cleartext", "set rest.tls"
        )


def _of_bounces(loaded: Loaded, spec: PushDomainSpec) -> Iterator[Problem]:
    scopes: list[tuple[str, BouncesSpec | BouncesOverride, BouncesSpec]] = [
        ("spec.bounces", spec.bounces, spec.bounces)
    ]
    scopes += [
        (f"spec.domains[{index}].bounces", entry.bounces, merged_bounces(spec.bounces, entry.bounces))
        for index, entry in enumerate(spec.domains)
        if entry.bounces is not None
    ]
    relay = spec.bounces.relay
    if relay is not None and spec.policy is None and not any(options.enabled for _, _, options in scopes):
        yield loaded.problem(
            "warning",
            "spec.bounces.relay",
            "has no effect: no domain has reports, and there are no hooks",
            "set bounces.enabled: true, or remove the relay",
        )
    for path, written, _ in scopes:
        if written.direct == "Mail" and relay is None:
            yield loaded.problem(
                "warning",
                f"{path}.direct",
                "Mail has no effect without a relay: the answer is the 5xx",
                "set bounces.relay",
            )
        if written.delay_notices and not _queues(spec):
            yield loaded.problem(
                "warning",
                f"{path}.delayNotices",
                "has no effect without a queue",
                "set acceptance.mode: Queued and a queue, or remove it",
            )
    if _queues(spec):
        yield from _of_delays(loaded, spec)


def _of_delays(loaded: Loaded, spec: PushDomainSpec) -> Iterator[Problem]:
    """Notices of delay that come too late; at the options that somebody wrote, not at those inherited."""
    base = _late(spec.bounces, spec.delivery)
    if base:
        yield _too_late(loaded, "spec.bounces.delayAfter", base)
    for index, entry in enumerate(spec.domains):
        late = _late(merged_bounces(spec.bounces, entry.bounces), merged(spec.delivery, entry.delivery))
        own = entry.bounces.model_dump(exclude_none=True).keys() if entry.bounces is not None else ()
        if late and "delay_after" in own:
            yield _too_late(loaded, f"spec.domains[{index}].bounces.delayAfter", late)
        elif late and entry.delivery is not None and entry.delivery.message_expiration is not None:
            yield _too_late(loaded, f"spec.domains[{index}].delivery.messageExpiration", late)
        elif late and not base and entry.bounces is not None:
            yield _too_late(loaded, f"spec.domains[{index}].bounces", late)


def _late(bounces: BouncesSpec, delivery: DeliverySpec) -> str:
    """How a notice of delay is too late, empty where it is not, or there is none."""
    if not (bounces.enabled and bounces.delay_notices):
        return ""
    if parse_duration(bounces.delay_after) < parse_duration(delivery.message_expiration):
        return ""
    expiration = delivery.message_expiration
    return f"delayAfter ({bounces.delay_after}) is not shorter than messageExpiration ({expiration})"


def _too_late(loaded: Loaded, path: str, late: str) -> Problem:
    remedy = "lower delayAfter, or raise messageExpiration"
    return loaded.problem("warning", path, f"{late}: nothing is late before it has failed", remedy)


def _queues(spec: PushDomainSpec) -> bool:
    """Whether anything goes into the queue."""
    acceptance = spec.acceptance
    return acceptance.mode == AcceptanceMode.QUEUED or acceptance.overflow == AcceptanceOverflow.QUEUE


def _of_queue(loaded: Loaded, domain: PushDomain) -> Iterator[Problem]:
    spec = domain.spec
    if spec.queue is not None and not _queues(spec):
        yield loaded.problem(
            "warning",
            "spec.queue",
            "nothing goes into the queue: with mode Direct and no overflow it is emptied only",
            "set acceptance.mode: Queued or acceptance.overflow: Queue, or remove the queue once it is empty",
        )
    scopes: list[tuple[str, DeliverySpec | DeliveryOverride, DeliverySpec]] = [
        ("spec.delivery", spec.delivery, spec.delivery)
    ]
    scopes += [
        (f"spec.domains[{index}].delivery", entry.delivery, merged(spec.delivery, entry.delivery))
        for index, entry in enumerate(spec.domains)
        if entry.delivery is not None
    ]
    for path, written, options in scopes:
        # The API server fills in defaults, so that those cannot be told from what somebody wrote.
        unlike = [
            DeliverySpec.model_fields[name].alias or name
            for name in SCHEDULE
            if getattr(written, name) not in {None, DeliverySpec.model_fields[name].default}
        ]
        if not _queues(spec):
            if unlike:
                yield loaded.problem(
                    "warning",
                    f"{path}.{unlike[0]}",
                    f"has no effect without a queue{also(unlike)}",
                    "set acceptance.mode: Queued and a queue, or remove it",
                )
        elif (named := _named(written, unlike)) and parse_duration(
            options.message_expiration
        ) <= parse_duration(options.retry_interval):
            yield loaded.problem(
                "warning",
                f"{path}.{named}",
                f"messageExpiration ({options.message_expiration}) is not longer than retryInterval "
                f"({options.retry_interval}): what fails once may expire before it is tried again",
                "raise messageExpiration, or lower retryInterval",
            )
    if spec.queue is not None and spec.queue.jet_stream is not None:
        yield from _of_stream(loaded, spec, spec.queue.jet_stream)
    disk = spec.queue.disk if spec.queue is not None else None
    if disk is None or disk.claim is None:
        return
    needed, size = parse_size(disk.max_size or 0) + parse_size(disk.reserve), parse_size(disk.claim.size)
    if needed > size:
        yield loaded.problem(
            "warning",
            "spec.queue.disk.claim.size",
            f"{disk.claim.size} is less than maxSize and reserve together: messages are answered 452 early",
            "raise it, or lower maxSize or reserve",
        )


def _of_stream(loaded: Loaded, spec: PushDomainSpec, stream: JetStreamSpec) -> Iterator[Problem]:
    field = "spec.queue.jetStream"
    if stream.replicas == 1:
        yield loaded.problem(
            "warning",
            f"{field}.replicas",
            "with 1 a message is on one server alone: it is lost with that server's disk",
            "set replicas: 3, on a NATS cluster of three servers or more",
        )
    elif stream.replicas % 2 == 0:
        yield loaded.problem(
            "warning",
            f"{field}.replicas",
            f"{stream.replicas} bear the loss of no more servers than {stream.replicas - 1} do",
            "set replicas: 3 or 5",
        )
    if stream.servers[0].startswith("nats:"):
        password = " and the password" if stream.auth_secret_name is not None else ""
        yield loaded.problem(
            "warning",
            f"{field}.servers",
            f"messages{password} travel in cleartext",
            "set up TLS on the servers, and write tls:// in place of nats://",
        )
    scopes = [merged(spec.delivery, entry.delivery) for entry in spec.domains]
    longest = max(parse_duration(options.message_expiration) for options in scopes)
    if stream.max_age is not None and parse_duration(stream.max_age) <= longest:
        yield loaded.problem(
            "warning",
            f"{field}.maxAge",
            f"{stream.max_age} is not longer than messageExpiration: NATS removes what waits so long, and no "
            "sender is told",
            "remove maxAge, or raise it",
        )


def _named(written: DeliverySpec | DeliveryOverride, unlike: list[str]) -> str:
    """Of messageExpiration and retryInterval the one that somebody wrote here, empty for neither."""
    if isinstance(written, DeliveryOverride):
        unlike = [
            DeliveryOverride.model_fields[name].alias or name for name, value in written if value is not None
        ]
    return next((name for name in ("messageExpiration", "retryInterval") if name in unlike), "")


def logger(loaded: Loaded, resource: ApnLogger) -> Iterator[Problem]:
    """Warnings of an ApnLogger."""
    spec, webhook = resource.spec, resource.spec.sink.webhook
    lines = spec.format == "Momentum" and webhook is None
    without, remedy = "format: Json", "remove it, or set format: Momentum"
    if webhook is not None:
        without, remedy = "a webhook", "remove it, or use another sink"
    if not lines and spec.formats != type(spec.formats)():
        yield loaded.problem(
            "warning",
            "spec.formats",
            f"has no effect with {without}",
            remedy,
        )
    if not lines and spec.compatibility == "Momentum":
        yield loaded.problem(
            "warning",
            "spec.compatibility",
            f"has no effect with {without}",
            remedy,
        )
    if webhook is not None:
        field = "spec.sink.webhook"
        clear = webhook.url.startswith("http:")
        if clear and webhook.authorization is not None:
            yield loaded.problem(
                "warning",
                f"{field}.authorization",
                "is sent in cleartext, and so are the events",
                "use an https address",
            )
        if webhook.ca is not None and (clear or not webhook.verify):
            yield loaded.problem(
                "warning",
                f"{field}.ca",
                "has no effect without https, or without verify",
                "use an https address, and verify: true",
            )
    yield from _of_filter(loaded, resource)


def _of_filter(loaded: Loaded, resource: ApnLogger) -> Iterator[Problem]:
    spec, wanted = resource.spec, set(resource.spec.filter.outcomes or LoggedOutcome)
    if spec.filter.dead_tokens:
        wanted = {LoggedOutcome.PERMANENT}
    elif spec.filter.reasons:
        wanted.discard(LoggedOutcome.DELIVERED)
    passed = {
        LoggedOutcome.DELIVERED: spec.log_delivery,
        LoggedOutcome.PERMANENT: spec.log_permfail,
        LoggedOutcome.TRANSIENT: spec.log_tempfail,
    }
    if any(passed.values()) and not any(passed[outcome] for outcome in wanted):
        yield loaded.problem(
            "warning",
            "spec.filter",
            "lets nothing through beside logDelivery, logPermfail and logTempfail",
            "set the ones of the outcomes that are wanted to true",
        )
