"""What the commands want of a cluster; `command` has it from kubectl, tests from recorded objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import click

Document = dict[str, Any]

EX_UNAVAILABLE: Final = 69
"""Exit status: the cluster, or a pod in it, does not answer (sysexits.h)."""
EX_NOPERM: Final = 77
"""Exit status: the API server does not allow it (sysexits.h)."""


class ClusterFailed(click.ClickException):
    """The cluster did not do what was asked for; in words, with the remedy."""

    exit_code = EX_UNAVAILABLE


class NotAllowed(ClusterFailed):
    """The user may not do this.

    Attributes:
        what: is not allowed.
        remedy: how to get the right; the message has both.
    """

    exit_code = EX_NOPERM

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what + (f". Remedy: {remedy}" if remedy else ""))
        self.what = what
        self.remedy = remedy


class NotFound(ClusterFailed):
    """There is no such object, or no such kind."""

    exit_code = 1


class Cluster(ABC):
    """A cluster and a namespace in it, by the rights of the user.

    Raises:
        NotAllowed, NotFound, ClusterFailed: from every method.
    """

    namespace = ""
    """The namespace that was asked for by name; empty: kubectl's own choice."""

    @abstractmethod
    def objects(self, kind: str, *, selector: str = "", everywhere: bool = False) -> list[Document]:
        """Objects of a kind (`pods`, `pushdomains.tubepost.io`), by a label selector.

        Those of the namespace, or of all namespaces.
        """

    @abstractmethod
    def object(self, kind: str, name: str) -> Document:
        """One object."""

    @abstractmethod
    def patch(self, kind: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """Apply a JSON patch (RFC 6902) as a whole, or nothing of it."""

    @abstractmethod
    def logs(
        self, pod: str, container: str, *, follow: bool = False, options: Sequence[str] = ()
    ) -> Iterator[str]:
        """Lines of a container's log, each with the time at which it was written before it."""

    @abstractmethod
    def forward(self, pod: str, ports: Sequence[int]) -> AbstractContextManager[Mapping[int, int]]:
        """While it is open, ports of this machine's loopback that lead to ports of the pod's, by those."""

    @abstractmethod
    def versions(self) -> Document:
        """Versions of kubectl and of the API server."""
