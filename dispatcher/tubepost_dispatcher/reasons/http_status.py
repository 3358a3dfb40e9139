"""What a reason is as an answer to an HTTP request (RFC 9110). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import ReasonSpec

_OTHERS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "PayloadTooLarge": 413,
        "Unregistered": 410,
        "ExpiredToken": 410,
        "TooManyRequests": 429,
        "Throttled": 429,
        "InternalError": 500,
        "ClientNotAllowed": 403,
        "AuthThrottled": 429,
    }
)

TRANSIENT: Final = 503
"""What is not taken now: Service Unavailable."""
PERMANENT: Final = 422
"""What is understood and cannot be done: Unprocessable Content."""


def http_status(spec: ReasonSpec) -> int:
    """The status with which a request is answered that fails for this reason.

    Transient ones are those that are worth repeating: 408, 409, 429, 500, 503.
    """
    if spec.http:
        return spec.http
    found = _OTHERS.get(spec.reason)
    if found is not None:
        return found
    return TRANSIENT if spec.kind is OutcomeKind.TRANSIENT else PERMANENT
