"""Notifications as HTTP requests, beside SMTP (Momentum's REST injector)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import RestConfig, RestTlsConfig
from tubepost_api.convert import converted
from tubepost_api.fields import Port, SecretName, Size
from tubepost_api.listener import OWN_PORTS
from tubepost_api.rules import Rule, SpecModel


class RestTlsSpec(SpecModel):
    """TLS of the listener for requests."""

    secret_name: SecretName
    """Secret of type kubernetes.io/tls (tls.crt, tls.key) with the listener's certificate."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """Lowest TLS version."""


class RestTokensSpec(SpecModel):
    """Who may send requests."""

    secret_name: SecretName
    """Secret of bearer tokens: every key is the name of a client, and its value the client's token, of at
    least 16 characters."""


class RestSpec(SpecModel):
    """The listener for notifications as HTTP requests."""

    port: Port = 8080
    """Port that the dispatcher listens on; the Service has the same."""
    tls: RestTlsSpec | None = None
    """TLS; without it requests and tokens travel in cleartext."""
    tokens: RestTokensSpec
    """Bearer tokens of the clients."""
    max_batch: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Most notifications of one request."""
    max_body_size: Size = "10Mi"
    """Largest body of a request, in bytes or as a quantity."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.port >= 1024",
            "the dispatcher has no rights to a port below 1024",
            "choose one above, such as 8080",
            lambda rest: rest.port >= 1024,
            "port",
        ),
        Rule(
            f"!(self.port in [{', '.join(map(str, OWN_PORTS))}])",
            f"{' and '.join(map(str, OWN_PORTS))} are the dispatcher's own, for metrics and status",
            "choose another port, such as 8080",
            lambda rest: rest.port not in OWN_PORTS,
            "port",
        ),
    )


def rest_config(spec: RestSpec) -> RestConfig:
    """The listener as the dispatcher reads it."""
    tls = None
    if spec.tls is not None:
        tls = RestTlsConfig(
            certificate=SecretKeyRef(secret=spec.tls.secret_name, key="tls.crt"),
            private_key=SecretKeyRef(secret=spec.tls.secret_name, key="tls.key"),
            min_version=spec.tls.min_version,
        )
    return converted(spec, RestConfig, tls=tls, tokens=spec.tokens.secret_name)
