"""SMTP relays: for what is not a push, and for reports to senders."""

from __future__ import annotations

from typing import Literal

from tubepost_api.config_relay import RelayConfig
from tubepost_api.convert import converted
from tubepost_api.fields import Duration, Host, Port, SecretName
from tubepost_api.rules import SpecModel
from tubepost_api.secretkeys import CaSpec, key_of


class RelaySpec(SpecModel):
    """An SMTP relay."""

    host: Host
    """Host name or IP address of the relay."""
    port: Port = 25
    """Port of the relay."""
    tls: Literal["None", "StartTls", "Tls"] = "None"
    """None: plain; StartTls: STARTTLS is required; Tls: TLS from the first byte."""
    verify: bool = True
    """Whether the relay's certificate is verified."""
    ca: CaSpec | None = None
    """Authorities to trust instead of the system's: those of a relay in the cluster, for example."""
    auth_secret_name: SecretName | None = None
    """Secret of type kubernetes.io/basic-auth (username, password) to authenticate with."""
    timeout: Duration = "30s"
    """Longest time for connecting, and for each command."""


def relay_config(spec: RelaySpec) -> RelayConfig:
    """The relay as the dispatcher reads it."""
    return converted(spec, RelayConfig, auth=spec.auth_secret_name, ca=key_of(spec.ca))
