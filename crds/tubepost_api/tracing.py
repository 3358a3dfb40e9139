"""OpenTelemetry traces of a PushDomain's messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tubepost_api.fields import Checked
from tubepost_api.rules import SpecModel


def _check_endpoint(text: str) -> None:
    authority = text.partition("://")[2].partition("/")[0]
    port = authority.rpartition(":")[2] if not authority.endswith("]") and ":" in authority else ""
    if port and not 1 <= int(port) <= 65_535:
        raise ValueError(f"port {port} does not exist")


TracingEndpoint = Annotated[
    str,
    Checked(
        "the base address of an OTLP receiver",
        "write http://HOST:PORT, such as http://collector.observability:4318; /v1/traces is added to it",
        r"^https?://([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
        r"(/[A-Za-z0-9._~/-]*)?$",
        2048,
        check=_check_endpoint,
    ),
]


class TracingSpec(SpecModel):
    """Where traces go: to an OpenTelemetry collector, or whatever takes OTLP over HTTP as JSON."""

    endpoint: TracingEndpoint
    """Base address of the receiver, such as http://collector.observability:4318."""
    sample_percent: Annotated[int, Field(ge=1, le=100)] = 100
    """Of how many messages in a hundred there are traces; all spans of a message are kept, or none."""
