"""What a simulator is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tubepost_simulator.chaos import Chaos

Environment = Literal["Production", "Sandbox"]
"""Which of Apple's two services is simulated."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A provider-token key that the simulator knows.

    `key` is PEM: the public key, or the .p8 itself. `topics` None: good for all of the team's topics.
    `environment` None: good for both (Apple has had keys limited to topics and environments since 2025).
    """

    team_id: str
    key: bytes = field(repr=False)
    topics: tuple[str, ...] | None = None
    environment: Environment | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device token that the simulator knows.

    `topic` (without the suffix of a push type) None: any. `environment` None: any. `gone_since` is in
    milliseconds since the epoch, None for a device that is there; `gone_reason` says which of the two
    reasons with status 410 it gets.
    """

    topic: str | None = None
    environment: Environment | None = None
    gone_since: int | None = None
    gone_reason: Literal["Unregistered", "ExpiredToken"] = "Unregistered"


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Settings of a simulator. Times are in seconds; port 0 means any free one, host `::` all addresses.

    Without `server_certificate` and `server_key` (PEM) it makes its own, valid for `hosts`, from a throw-away
    authority. Client certificates are accepted from `client_ca` (PEM) or, when that is None, from the
    throw-away authority; any other one fails the TLS handshake with an alert. `verify_tokens` False takes
    provider tokens of unknown keys, signature unseen (age and form are still checked). `token_digits` is the
    required length of device tokens, 0 for any. `idle_timeout` 0 means never. At most `retain` notifications,
    and payloads of `retain_bytes` in sum, are kept; the oldest go first.
    """

    host: str = "127.0.0.1"
    port: int = 0
    api_port: int = 0
    """Of the inbox page and the JSON API."""
    api_port_may_differ: bool = False
    """Where `api_port` cannot be had, any other one will do."""
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    server_certificate: bytes | None = None
    server_key: bytes | None = field(default=None, repr=False)
    client_ca: bytes | None = None
    environment: Environment = "Sandbox"
    token_keys: Mapping[str, TokenKey] = field(default_factory=dict)
    verify_tokens: bool = True
    token_lifetime: float = 3_600.0
    token_update_interval: float = 1_200.0
    devices: Mapping[str, Device] = field(default_factory=dict)
    accept_unknown_devices: bool = True
    token_digits: int = 0
    max_channels: int = 10_000
    """Broadcast channels of each app (Apple's own limit)."""
    check_payload: bool = True
    chaos: Chaos = field(default_factory=Chaos)
    idle_timeout: float = 0.0
    max_connections: int = 1_000
    retain: int = 100_000
    retain_bytes: int = 256 * 1024 * 1024
    allowed_hosts: tuple[str, ...] = ()
    """Names that the Host header of a request to page and API may hold, besides addresses and names that
    nobody can register (`guard.host_refusal`); `*` for any."""
    seed: int | None = None
    """Of the random numbers behind jitter and error rates; None: not repeatable."""
