"""The API server as the operator needs it: an interface and its errors.

Implemented by `cluster`, faked by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from tubepost_operator.kinds import Kind
from tubepost_operator.observed import Document

ErrorClass = Literal["conflict", "throttled", "server", "connection", "forbidden", "gone", "request"]

NAMESPACE_TERMINATING: Final = "NamespaceTerminating"
"""Cause of a refusal. Source: Kubernetes, core/v1 `NamespaceTerminatingCause`."""


class NoCluster(Exception):
    """Nothing says where the API server is. `kubeconfig`: the file that was named, None for none."""

    def __init__(self, kubeconfig: str | None, error: Exception) -> None:
        if kubeconfig is not None:
            what = f"{kubeconfig} cannot be used as a kubeconfig ({_first_line(error)})"
            remedy = "name another file with --kubeconfig"
        else:
            what = f"there is no cluster to work in ({_first_line(error)})"
            remedy = (
                "run the operator in a pod with a ServiceAccount, as the chart does, or elsewhere with "
                "--kubeconfig FILE or KUBECONFIG"
            )
        super().__init__(f"{what}. Remedy: {remedy}.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


class ApiError(Exception):
    """The API server did not do what it was asked.

    `status` is the HTTP status, 0 when there was no answer. The text is the server's message. `causes` are
    the machine-readable ones of the answer (`details.causes[].reason` of a metav1.Status).
    """

    def __init__(
        self,
        status: int,
        message: str,
        retry_after: float | None = None,
        causes: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.causes = causes

    @property
    def kind(self) -> ErrorClass:
        """What sort of failure it is, which decides whether and when to try again."""
        by_status: dict[int, ErrorClass] = {
            0: "connection",
            401: "forbidden",
            403: "forbidden",
            409: "conflict",
            410: "gone",
            429: "throttled",
        }
        return by_status.get(self.status, "server" if self.status >= 500 else "request")

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.kind in {"connection", "throttled", "server"}

    @property
    def rejection(self) -> bool:
        """Whether the server has understood the object and rejects it: a retry does not help."""
        return self.status in {400, 403, 405, 413, 415, 422}

    @property
    def restart_may_help(self) -> bool:
        """Whether a new process may fare better with the same request: its credentials are read anew."""
        return self.status == 401

    @property
    def namespace_terminating(self) -> bool:
        """Whether nothing can be created since the namespace is being deleted."""
        return NAMESPACE_TERMINATING in self.causes

    def __str__(self) -> str:
        return f"{self.status} {self.message}" if self.status else self.message


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """What a watch brings.

    `Sync`: all that exists has been brought, at the beginning and after every long interruption. `Refused`:
    the API server does not let it watch, until `Restored`. `document` is the object, or its metadata alone;
    that of the object as it was for `Gone`; `status` and `message` of the answer for `Refused`.
    """

    type: Literal["Put", "Gone", "Sync", "Refused", "Restored"]
    document: Document


@dataclass(frozen=True, slots=True)
class WatchSource:
    """What to watch: metadata of a kind, in one namespace or (None) in all, with a label selector."""

    name: str
    kind: Kind
    namespace: str | None
    selector: str = ""


class ClusterApi(Protocol):
    """What the operator asks of the API server. Writes are held back unless the Lease is ours."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Document | None:
        """An object, None when there is none.

        Raises:
            ApiError: any other answer, or none.
        """

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> list[Document]:
        """All objects of a kind that a label selector and a field selector match.

        Raises:
            ApiError: no list.
        """

    async def apply(
        self, kind: Kind, manifest: Document, *, force: bool = True, dry_run: bool = False
    ) -> Document:
        """Server-side apply with our field manager; the object as it then is, or (`dry_run`) would be.

        Raises:
            ApiError: not applied; a conflict without `force` means that somebody else has such an object.
            NotLeader: withheld.
        """

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Document, subresource: str | None = None
    ) -> Document | None:
        """A JSON merge patch; the object as it then is, None when there is no such object.

        Raises:
            ApiError: not patched.
            NotLeader: withheld.
        """

    async def remove_fields(
        self, kind: Kind, document: Document, places: Sequence[str], *, dry_run: bool = False
    ) -> Document:
        """Remove fields (JSON Pointers, in this order) from an object that was read.

        Returns:
            The object as it is then.

        Raises:
            ApiError: not removed; a conflict when it has changed since.
            NotLeader: withheld.
        """

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Remove the object with this uid; nothing happens when it is not there any more.

        Raises:
            ApiError: not removed.
            NotLeader: withheld.
        """

    async def create(self, kind: Kind, namespace: str, manifest: Document) -> Document:
        """Create an object.

        Raises:
            ApiError: not created; a conflict when one of the name exists.
            NotLeader: withheld.
        """

    async def watch(self, source: WatchSource, tell: Callable[[WatchEvent], None]) -> None:
        """List and watch until cancelled; a broken watch is restarted.

        `tell` is called in the caller's event loop. After an interruption it gets what has
        changed meanwhile, deletions included.
        """
