"""The configuration in force, as acceptance needs it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from functools import partial

from tubepost_api.config import AcceptanceOverflow, DispatcherConfig, McmtReception
from tubepost_dispatcher.delivery.domain import Domains


@dataclass(frozen=True, slots=True)
class ActiveConfig:
    """One configuration in force: swapped as a whole, between two transactions."""

    config: DispatcherConfig
    domains: Domains
    relay_auth: tuple[str, str] | None
    """User name and password for the passthru relay."""
    relay_tls: ssl.SSLContext | None = None
    """The relay's, where it has certificate authorities of its own."""
    keep_headers: bool = False
    """Whether reports may be made of what is accepted, and show the header block of its message."""
    # What each message asks of `config`, whose own attributes take several times as long to look up.
    told: bool = field(init=False, repr=False, compare=False)
    """Log or traces are told of each message."""
    reception: McmtReception = field(init=False, repr=False, compare=False)
    relays: bool = field(init=False, repr=False, compare=False)
    """There is a relay for mail."""
    addresses: bool = field(init=False, repr=False, compare=False)
    """Senders may set the variables of addresses."""
    deadline: float = field(init=False, repr=False, compare=False)
    """Seconds from the end of DATA to the reply."""
    overflows: bool = field(init=False, repr=False, compare=False)
    """The queue takes over what has no verdict by then."""

    def __post_init__(self) -> None:
        config, put = self.config, partial(object.__setattr__, self)
        put("told", config.message_log == "Enabled" or config.tracing is not None)
        put("reception", config.listener.mcmt_reception)
        put("relays", config.passthru is not None)
        put("addresses", config.context_addresses == "Allow")
        put("deadline", config.acceptance.deadline)
        put("overflows", config.acceptance.overflow is AcceptanceOverflow.QUEUE)
