"""Versions and contents of objects that are only named: Secrets, and ConfigMaps of users. No I/O."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar


class Versioned(Protocol):
    """Contents at one version."""

    @property
    def name(self) -> str:
        """Name of the object."""

    @property
    def version(self) -> str:
        """Its resourceVersion when it was read."""


T = TypeVar("T", bound=Versioned)


class Contents(Generic[T]):
    """What a watch tells of the objects of one kind, and what was read of some of them."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], str] = {}
        self._read: dict[tuple[str, str], T] = {}

    def put(self, namespace: str, name: str, version: str) -> bool:
        """Take the version of an object; whether it is new."""
        known = self._versions.get((namespace, name))
        self._versions[namespace, name] = version
        return known != version

    def remove(self, namespace: str, name: str) -> None:
        """An object is gone: so are its contents."""
        self._versions.pop((namespace, name), None)
        self._read.pop((namespace, name), None)

    def version(self, namespace: str, name: str) -> str | None:
        """Version of an object, None when it does not exist."""
        return self._versions.get((namespace, name))

    def get(self, namespace: str, name: str) -> T | None:
        """Contents of an object; None when they are not known at its present version."""
        found = self._read.get((namespace, name))
        if found is None or found.version != self._versions.get((namespace, name)):
            return None
        return found

    def keep(self, namespace: str, contents: T) -> None:
        """An object was read; kept while it is known that it exists."""
        if (namespace, contents.name) in self._versions:
            self._read[namespace, contents.name] = contents

    def known(
        self, namespace: str, names: set[str], *, complete: bool
    ) -> tuple[dict[str, T], tuple[str, ...]]:
        """Of these names: contents of those that are known, and the names of those that are to be read.

        `complete`: what the watch has not told of does not exist.
        """
        known: dict[str, T] = {}
        unread = []
        for name in sorted(names):
            if complete and self.version(namespace, name) is None:
                continue
            contents = self.get(namespace, name)
            if contents is None:
                unread.append(name)
            else:
                known[name] = contents
        return known, tuple(unread)
