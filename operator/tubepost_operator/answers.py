"""Answers of the API server that say no, as errors."""

from __future__ import annotations

import contextlib
import json

import urllib3

from tubepost_operator.api import ApiError


def read_error(response: urllib3.BaseHTTPResponse) -> ApiError:
    """The answer as an error: a metav1.Status, or whatever a proxy in between says."""
    message, causes = f"HTTP {response.status}", frozenset[str]()
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        status = json.loads(response.data)
        message = str(status.get("message") or message)
        details = status.get("details") or {}
        causes = frozenset(str(cause.get("reason")) for cause in details.get("causes") or ())
    retry_after: float | None = None
    with contextlib.suppress(ValueError, TypeError):
        retry_after = float(response.headers["Retry-After"]) if "Retry-After" in response.headers else None
    return ApiError(response.status, message, retry_after, causes)
