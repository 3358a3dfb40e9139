from __future__ import annotations

import pytest

from tubepost_operator.api import NAMESPACE_TERMINATING, ApiError, ErrorClass, NoCluster


@pytest.mark.parametrize(
    ("status", "kind", "transient", "rejection"),
    [
        (0, "connection", True, False),
        (400, "request", False, True),
        (403, "forbidden", False, True),
        (404, "request", False, False),
        (409, "conflict", False, False),
        (410, "gone", False, False),
        (422, "request", False, True),
        (429, "throttled", True, False),
        (503, "server", True, False),
    ],
)
def test_an_error_is_of_a_kind(status: int, kind: ErrorClass, transient: bool, rejection: bool) -> None:
    error = ApiError(status, "text")
    assert (error.kind, error.transient, error.rejection) == (kind, transient, rejection)
    assert str(error) == (f"{status} text" if status else "text")


def test_a_namespace_that_is_being_deleted_is_known_by_the_cause_not_by_the_message() -> None:
    assert ApiError(403, "no", causes=frozenset({NAMESPACE_TERMINATING})).namespace_terminating
    assert not ApiError(403, "namespace default is being terminated").namespace_terminating


@pytest.mark.parametrize(
    ("kubeconfig", "error", "said"),
    [
        (
            None,
            ValueError("No configuration found.\nmore"),
            "there is no cluster to work in (No configuration found).",
        ),
        (
            "/etc/kc",
            OSError(2, "No such file"),
            "/etc/kc cannot be used as a kubeconfig ([Errno 2] No such file).",
        ),
        ("/etc/kc", KeyError(), "/etc/kc cannot be used as a kubeconfig (KeyError)."),
    ],
)
def test_without_a_cluster_the_remedy_is_told(kubeconfig: str | None, error: Exception, said: str) -> None:
    text = str(NoCluster(kubeconfig, error))
    assert text.startswith(said)
    assert "--kubeconfig" in text
    assert "\n" not in text
