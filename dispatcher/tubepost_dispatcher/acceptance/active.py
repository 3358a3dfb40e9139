"""The configuration in force, as acceptance needs it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from tubepost_api.config import DispatcherConfig
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
