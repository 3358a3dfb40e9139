"""Delivery options of a PushDomain, and of a domain that differs from it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from tubepost_api.config import DeliveryConfig, DeliveryMode, Throttle
from tubepost_api.convert import converted
from tubepost_api.durations import DURATION_PATTERN, parse_duration
from tubepost_api.fields import Checked, Count, Duration, DurationOrZero
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


class DeliverySpec(SpecModel):
    """How notifications are delivered. Counts are per pod."""

    mode: DeliveryMode = DeliveryMode.DELIVER
    """Deliver; Suspend answers 451 and sends nothing (Momentum `suspend_delivery`); Blackhole answers 250,
    counts and sends nothing (Momentum `blackhole`)."""
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
    "0": no limit."""
    expiry: DurationOrZero = "168h"
    """How long APNs keeps a notification for a device that is not reachable (Momentum `apn_expiry`), for push
    parts without apns-expiration; 0s: APNs tries once."""

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
    )


class DeliveryOverride(SpecModel):
    """Delivery options of one domain; what is absent is as in the PushDomain's own delivery."""

    # Every option of DeliverySpec, of the same type (a test says so), with a shorter description.

    mode: DeliveryMode | None = None
    """Deliver, Suspend or Blackhole."""
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


def merged(base: DeliverySpec, override: DeliveryOverride | None) -> DeliverySpec:
    """The options of a domain: its own where it has them, else the PushDomain's."""
    if override is None:
        return base
    return base.model_copy(update={name: value for name, value in override if value is not None})


def keeps_order(base: DeliverySpec, override: DeliveryOverride | None) -> bool:
    """Whether responseTimeout is less than idleTimeout once the override is applied."""
    options = merged(base, override)
    return parse_duration(options.response_timeout) < parse_duration(options.idle_timeout)


def to_config(options: DeliverySpec) -> DeliveryConfig:
    """The options as the dispatcher reads them: seconds, and no throttle where it is 0."""
    messages, _, seconds = options.throttle.partition("/")
    throttle = Throttle(messages=int(messages), seconds=float(seconds or 1)) if int(messages) else None
    return converted(options, DeliveryConfig, throttle=throttle)
