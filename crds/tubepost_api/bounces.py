"""Reports to senders of notifications that fail or are late (Momentum's `generate_bounces`)."""

from __future__ import annotations

from typing import Annotated, Literal

from tubepost_api.config_relay import BounceConfig, BouncesConfig
from tubepost_api.convert import converted
from tubepost_api.fields import Checked, Duration
from tubepost_api.relay import RelaySpec, relay_config
from tubepost_api.rules import SpecModel

MailAddress = Annotated[
    str,
    Checked(
        "a mail address",
        "write it bare, such as mailer-daemon@example.com",
        r"^[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$",
        254,
    ),
]
"""A mail address without a name, quotes or brackets."""

Direct = Literal["Reply", "Mail"]


class BouncesSpec(SpecModel):
    """Reports to senders (RFC 3464): to the Return-Path of the push part, else to MAIL FROM."""

    enabled: bool = True
    """Whether senders get reports of what failed for good, and of what RCPT NOTIFY= asks (Momentum
    `generate_bounces`)."""
    delay_notices: bool = False
    """Whether they are told once when a notification is late, too (Momentum `generate_delay_dsn`)."""
    delay_after: Duration = "4h"
    """How long after its acceptance a notification is late."""
    direct: Direct = "Reply"
    """With Direct acceptance. Reply: the 5xx to DATA is the report. Mail: a report is handed to the relay,
    and then the answer is 250; where the relay does not take it, the 5xx."""
    from_: MailAddress | None = None
    """Address in the From header field of reports; without it MAILER-DAEMON at the listener's hostname. The
    sender of their envelope is always the null one."""
    relay: RelaySpec | None = None
    """SMTP relay that takes the reports, and other mail that follows a notification. Without one there are
    none: failures are logged and counted only."""


class BouncesOverride(SpecModel):
    """Reports of one domain; what is absent is as in the PushDomain's own bounces, and so is the relay."""

    # Every option of BouncesSpec but the relay, of the same type (a test says so), described more shortly.

    enabled: bool | None = None
    """Whether senders get reports."""
    delay_notices: bool | None = None
    """Whether they are told when a notification is late, too."""
    delay_after: Duration | None = None
    """How long after its acceptance a notification is late."""
    direct: Direct | None = None
    """Reply or Mail, with Direct acceptance."""
    from_: MailAddress | None = None
    """Address in the From header field of reports."""


def merged(base: BouncesSpec, override: BouncesOverride | None) -> BouncesSpec:
    """The options of a domain: its own where it has them, else the PushDomain's."""
    if override is None:
        return base
    return base.model_copy(update={name: value for name, value in override if value is not None})


def bounce_config(spec: BouncesSpec) -> BounceConfig:
    """The options of one domain as the dispatcher reads them."""
    return converted(spec, BounceConfig)


def bounces_config(spec: BouncesSpec) -> BouncesConfig | None:
    """What is the PushDomain's as the dispatcher reads it."""
    return BouncesConfig(relay=relay_config(spec.relay)) if spec.relay is not None else None
