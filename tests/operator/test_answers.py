from __future__ import annotations

import json

import pytest
from urllib3 import HTTPHeaderDict, HTTPResponse

from tubepost_operator.answers import read_error

TERMINATING = {
    "kind": "Status",
    "message": "namespace going is being terminated",
    "details": {"causes": [{"reason": "NamespaceTerminating"}]},
}


@pytest.mark.parametrize(
    ("status", "body", "headers", "message", "retry_after"),
    [
        (403, json.dumps(TERMINATING), {}, TERMINATING["message"], None),
        (502, "<html>Bad Gateway</html>", {}, "HTTP 502", None),
        (429, "null", {"Retry-After": "7"}, "HTTP 429", 7.0),
        (429, '["x"]', {"Retry-After": "soon"}, "HTTP 429", None),
    ],
)
def test_whatever_answers_is_read(
    status: int, body: str, headers: dict[str, str], message: str, retry_after: float | None
) -> None:
    error = read_error(HTTPResponse(body.encode(), HTTPHeaderDict(headers), status, preload_content=True))
    assert (error.status, error.message, error.retry_after) == (status, message, retry_after)
    assert error.namespace_terminating == (body == json.dumps(TERMINATING))
