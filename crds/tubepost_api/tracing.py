"""OpenTelemetry traces of a PushDomain's messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tubepost_api.fields import HTTP_ADDRESS, Checked, check_http_port
from tubepost_api.rules import SpecModel

TracingEndpoint = Annotated[
    str,
    Checked(
        "the base address of an OTLP receiver",
        "write http://HOST:PORT, such as http://collector.observability:4318; /v1/traces is added to it",
        HTTP_ADDRESS + r"(/[A-Za-z0-9._~/-]*)?$",
        2048,
        check=check_http_port,
    ),
]


class TracingSpec(SpecModel):
    """Where traces go: to an OpenTelemetry collector, or whatever takes OTLP over HTTP as JSON."""

    endpoint: TracingEndpoint
    """Base address of the receiver, such as http://collector.observability:4318."""
    sample_percent: Annotated[int, Field(ge=1, le=100)] = 100
    """Of how many messages in a hundred there are traces; all spans of a message are kept, or none."""
