"""A webhook of an ApnLogger: events by HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tubepost_api.config_logger import WebhookConfig
from tubepost_api.convert import converted
from tubepost_api.fields import HTTP_ADDRESS, Checked, Duration, Size, check_http_port
from tubepost_api.rules import SpecModel
from tubepost_api.secretkeys import CaSpec, SecretKeySpec, key_of

WebhookUrl = Annotated[
    str,
    Checked(
        "the address of a webhook",
        "write https://HOST/PATH; what authorizes comes from a Secret (authorization)",
        HTTP_ADDRESS + r"(/[!$-~]*)?$",
        2048,
        check=check_http_port,
        confidential=True,
    ),
]


class WebhookSpec(SpecModel):
    """An HTTP endpoint that takes the events, as CloudEvents in batches of JSON."""

    url: WebhookUrl
    """Address that the batches are sent to, by POST."""
    authorization: SecretKeySpec | None = None
    """Key of a Secret that holds the whole value of the Authorization header field, such as Bearer and a
    token."""
    signature: SecretKeySpec | None = None
    """Key of a Secret that holds the key of the signature (HMAC-SHA256), of at least 16 bytes; without it
    requests are not signed."""
    ca: CaSpec | None = None
    """Authorities to trust instead of the system's."""
    verify: bool = True
    """Whether the endpoint's certificate is verified."""
    timeout: Duration = "10s"
    """Longest time for one request, its answer included."""
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Most events of one request."""
    batch_interval: Duration = "1s"
    """Longest time that events wait for others to fill a request."""
    max_retry_interval: Duration = "5m"
    """Longest wait between two attempts; waits double up to it."""
    max_events: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Most events that wait in memory, per worker; those beyond are dropped, counted and told of."""
    max_size: Size = "16Mi"
    """Most bytes of events that wait in memory, per worker."""


def webhook_config(spec: WebhookSpec) -> WebhookConfig:
    """The webhook as the dispatcher reads it."""
    return converted(
        spec,
        WebhookConfig,
        authorization=key_of(spec.authorization),
        signature=key_of(spec.signature),
        ca=key_of(spec.ca),
    )
