"""Secrets that the manifests name, and the commands that make them."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from tubepost_importer.report import SecretNeeded

_BAD = re.compile(r"[^a-z0-9]+")


def slug(text: str, otherwise: str, *, most: int = 50) -> str:
    """A text as the name of an object: lower-case letters, digits and hyphens, beginning with a letter."""
    name = _BAD.sub("-", text.lower()).strip("-")
    if not name or not name[0].isalpha():
        name = f"{otherwise}-{name}".strip("-")
    return name[:most].strip("-")


class Secrets:
    """Names for Secrets, one for what is in the same files."""

    def __init__(self, namespace: str | None) -> None:
        self._option = f" --namespace={namespace}" if namespace else ""
        self._names: dict[tuple[str, ...], str] = {}
        self._needed: dict[str, SecretNeeded] = {}

    def certificate(self, first_name: str, certificate: str, key: str) -> str:
        """The Secret with a certificate and its key, which may be one file; one Secret for the same files."""
        files = (certificate, key)
        if files not in self._names:
            name = self._new(first_name, certificate)
            self._names[files] = name
            command = (
                f"kubectl create secret tls {name}{self._option} "
                f"--cert={shlex.quote(certificate)} --key={shlex.quote(key)}"
            )
            keys = (("tls.crt", certificate), ("tls.key", key))
            self._needed[name] = SecretNeeded(name, keys, command)
        return self._names[files]

    def authorities(self, path: str) -> str:
        """The Secret with certificates of authorities."""
        if (path,) not in self._names:
            name = self._names[path,] = self._new("apns-ca", path)
            command = (
                f"kubectl create secret generic {name}{self._option} --from-file=ca.crt={shlex.quote(path)}"
            )
            self._needed[name] = SecretNeeded(name, (("ca.crt", path),), command)
        return self._names[path,]

    def users(self) -> str:
        """The Secret with the users of a listener."""
        name = "smtp-auth"
        command = f"kubectl create secret generic {name}{self._option} --from-file=users=users.txt"
        self._needed[name] = SecretNeeded(
            name, (("users", "users.txt"),), command, "users.txt has a line NAME:PASSWORD for every user"
        )
        return name

    def _new(self, first_name: str, path: str) -> str:
        if first_name not in self._needed:
            return first_name
        stem = slug(PurePosixPath(path).stem, "file", most=30)
        name, count = f"{first_name}-{stem}", 2
        while name in self._needed:
            name, count = f"{first_name}-{stem}-{count}", count + 1
        return name

    def all(self) -> tuple[SecretNeeded, ...]:
        """All that are needed."""
        return tuple(self._needed.values())
