"""Delivery options of a PushDomain, and of a domain that differs from it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from tubepost_api.config import DeliveryConfig, DeliveryMode, Throttle
from tubepost_api.convert import converted
from tubepost_api.durations import DURATION_PATTERN, parse_duration
from tubepost_api.fields import Checked, Count, Duration, DurationOrZero, failure
from tubepost_api.rules import Rule, SpecModel

ThrottleText = Annotated[
    str,
    Checked(
        "a throttle",
        'write "N" for N notifications each second, "N/SECONDS", or "0" for no limit',
        r"^[0-9]{1,9}(/[1-9][0-9]{0,5})?$",
        16,
    ),
]

MOST_RETRIES: Final = 1_000_000
"""Largest maxRetries."""
_RETRIES_REMEDY = f"write auto, none, or a number from 0 to {MOST_RETRIES}"


class _Retries:
    """Annotates a number of retries."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic."""
        return core_schema.no_info_plain_validator_function(self._validate)

    def _validate(self, value: Any) -> int | str:
        if type(value) is int and 0 <= value <= MOST_RETRIES:
            return value
        if isinstance(value, str) and value in {"auto", "none"}:
            return value
        raise failure(f"{value!r:.80} is not a number of retries", _RETRIES_REMEDY)


Retries = Annotated[
    int | str,
    _Retries(),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": 8,
            "x-kubernetes-validations": [
                {
                    "rule": f"type(self) == int ? self >= 0 && self <= {MOST_RETRIES} : "
                    "self in ['auto', 'none']",
                    "message": f"is not a number of retries; {_RETRIES_REMEDY}",
                }
            ],
        }
    ),
]
"""`auto` or `none`: no limit; or how often a notification is tried again."""


class DeliverySpec(SpecModel):
    """How notifications are delivered. Counts are per pod."""

    mode: DeliveryMode = DeliveryMode.DELIVER
    """Deliver; Suspend sends nothing and answers 451, or with mode Queued keeps what comes in the queue
    (Momentum `suspend_delivery`); Blackhole answers 250, counts and sends nothing (Momentum `blackhole`,
    internal); Refuse answers RCPT 550, and what is queued fails (Momentum `blackhole`, inline)."""
    response_timeout: Duration = "5s"
    """Longest wait for APNs' answer to one notification (Momentum `delivery_response_timeout`)."""
    connect_timeout: Duration = "30s"
    """Longest time for opening a connection to APNs, TLS included (Momentum `connect_timeout`)."""
    idle_timeout: Duration = "1h"
    """Time after which an unused connection is closed (Momentum `idle_timeout`); more than responseTimeout.
    Apple asks senders to keep connections open."""
    max_outbound_connections: Count = 32
    """Most connections to APNs of one pod and route, divided among the pod's workers (Momentum
    `max_outbound_connections`); 0: no limit."""
    max_deliveries_per_connection: Count = 0
    """Notifications after which a connection is replaced (Momentum option of that name); 0: no limit."""
    throttle: ThrottleText = "0"
    """Most notifications of one pod: "N" each second, or "N/SECONDS" (Momentum `outbound_throttle_messages`);
    "0": no limit. Pods do not share it, on a JetStream queue neither: with N replicas write an Nth of it."""
    expiry: DurationOrZero = "168h"
    """How long APNs keeps a notification for a device that is not reachable (Momentum `apn_expiry`), for push
    parts without apns-expiration; 0s: APNs tries once."""
    retry_interval: Duration = "20m"
    """How long a queued notification waits after its first transient failure (Momentum `retry_interval`); the
    wait doubles with every further one, and is spread by half of it to both sides."""
    max_retry_interval: Duration = "12h"
    """Longest of these waits (Momentum `max_retry_interval`); not less than retryInterval."""
    max_retries: Retries = "auto"
    """How often a queued notification is tried again after transient failures (Momentum `max_retries`); auto
    and none: until messageExpiration."""
    message_expiration: Duration = "168h"
    """How long a notification is kept in the queue (Momentum `message_expiration`); then it has failed."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            # What is no duration is said of the field alone.
            f"[self.responseTimeout, self.idleTimeout].exists(d, !d.matches(r'{DURATION_PATTERN}')) || "
            "duration(self.responseTimeout) < duration(self.idleTimeout)",
            "responseTimeout is not less than idleTimeout",
            "raise idleTimeout: a connection must not be closed as idle while an answer may still come",
            lambda delivery: keeps_order(delivery, None),
            "idleTimeout",
        ),
        Rule(
            f"[self.retryInterval, self.maxRetryInterval].exists(d, !d.matches(r'{DURATION_PATTERN}')) || "
            "duration(self.retryInterval) <= duration(self.maxRetryInterval)",
            "retryInterval is more than maxRetryInterval",
            "raise maxRetryInterval: waits begin at the one and grow up to the other",
            lambda delivery: keeps_intervals(delivery, None),
            "maxRetryInterval",
        ),
    )


SCHEDULE: Final = ("retry_interval", "max_retry_interval", "max_retries", "message_expiration")
"""Options that concern queued notifications alone."""


class DeliveryOverride(SpecModel):
    """Delivery options of one domain; what is absent is as in the PushDomain's own delivery."""

    # Every option of DeliverySpec, of the same type (a test says so), with a shorter description.

    mode: DeliveryMode | None = None
    """Deliver, Suspend, Blackhole or Refuse."""
    response_timeout: Duration | None = None
    """Longest wait for APNs' answer to one notification."""
    connect_timeout: Duration | None = None
    """Longest time for opening a connection to APNs, TLS included."""
    idle_timeout: Duration | None = None
    """Time after which an unused connection is closed; more than responseTimeout."""
    max_outbound_connections: Count | None = None
    """Most connections to APNs of one pod and route, divided among its workers; 0: no limit."""
    max_deliveries_per_connection: Count | None = None
    """Notifications after which a connection is replaced; 0: no limit."""
    throttle: ThrottleText | None = None
    """Most notifications of one pod: "N" each second, or "N/SECONDS"; "0": no limit."""
    expiry: DurationOrZero | None = None
    """How long APNs keeps a notification for a device that is not reachable; 0s: APNs tries once."""
    retry_interval: Duration | None = None
    """How long a queued notification waits after its first transient failure."""
    max_retry_interval: Duration | None = None
    """Longest wait between two attempts; not less than retryInterval."""
    max_retries: Retries | None = None
    """How often a queued notification is tried again; auto and none: until messageExpiration."""
    message_expiration: Duration | None = None
    """How long a notification is kept in the queue."""


def merged(base: DeliverySpec, override: DeliveryOverride | None) -> DeliverySpec:
    """The options of a domain: its own where it has them, else the PushDomain's."""
    if override is None:
        return base
    return base.model_copy(update={name: value for name, value in override if value is not None})


def keeps_order(base: DeliverySpec, override: DeliveryOverride | None) -> bool:
    """Whether responseTimeout is less than idleTimeout once the override is applied."""
    options = merged(base, override)
    return parse_duration(options.response_timeout) < parse_duration(options.idle_timeout)


def keeps_intervals(base: DeliverySpec, override: DeliveryOverride | None) -> bool:
    """Whether retryInterval is at most maxRetryInterval once the override is applied."""
    options = merged(base, override)
    return parse_duration(options.retry_interval) <= parse_duration(options.max_retry_interval)


def to_config(options: DeliverySpec) -> DeliveryConfig:
    """The options as the dispatcher reads them: seconds, and None for no throttle and no limit of retries."""
    messages, _, seconds = options.throttle.partition("/")
    throttle = Throttle(messages=int(messages), seconds=float(seconds or 1)) if int(messages) else None
    retries = options.max_retries if isinstance(options.max_retries, int) else None
    return converted(options, DeliveryConfig, throttle=throttle, max_retries=retries)
