"""Manifests from files, as `kubectl apply -f` reads them, without a cluster."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tubepost_api.problems import Manifest, Problem
from tubepost_dispatcher.config.documents import DocumentError, read_json, read_yaml

SUFFIXES = (".yaml", ".yml", ".json")
"""Files of a directory that are read."""
STDIN = Path("-")
"""Stands for standard input."""
MAX_FILE_SIZE = 8 * 1024 * 1024
"""Bytes; larger than anything that a cluster would accept."""


def load_manifests(
    paths: Sequence[Path], *, recursive: bool = False, stdin: bytes = b""
) -> tuple[list[Manifest], list[Problem]]:
    """Read manifests from files and directories, in the order given.

    A file may hold several documents; those of kind `List` (or `PushDomainList` and so on) are taken apart.
    Directories are read sorted by name, as `kubectl apply -f` does: the files in them, and with `recursive`
    (its -R) all that is below; what begins with a dot is left out. A
    file that cannot be read, or contains anything but objects, is a problem; the others are still read.
    The path `-` stands for `stdin`, what standard input has held.
    """
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for path in paths:
        files = [path]
        if path.is_dir():
            files = list(_files(path, recursive))
            if not files:
                below = not recursive and any(_files(path, recursive=True))
                remedy = "name one of the directories below it, or read all of them with -R" if below else ""
                remedy = remedy or f"name files with {', '.join(SUFFIXES)}"
                problems.append(_problem(str(path), "", "contains no manifests", remedy))
        for file in files:
            _load(file, manifests, problems, stdin)
    return manifests, problems


def _files(directory: Path, recursive: bool) -> Iterator[Path]:
    # A mounted ConfigMap has every file twice: as a link, and below a directory that begins with two dots.
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Path(folder, name)


def _problem(origin: str, field: str, message: str, remedy: str) -> Problem:
    return Problem("error", origin, "", "", "", field, message, remedy)


def _load(path: Path, manifests: list[Manifest], problems: list[Problem], stdin: bytes) -> None:
    if path == STDIN:
        _read("standard input", ".yaml", stdin, manifests, problems)  # JSON is YAML, too
        return
    origin = str(path)
    try:
        # Reading a FIFO or a device might never end.
        if path.exists() and not path.is_file():
            problems.append(_problem(origin, "", "is not a file", "name files and directories"))
            return
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        problems.append(
            _problem(origin, "", f"cannot be read ({reason})", "check the path and its permissions")
        )
        return
    _read(origin, path.suffix, data, manifests, problems)


def _read(origin: str, suffix: str, data: bytes, manifests: list[Manifest], problems: list[Problem]) -> None:
    if len(data) > MAX_FILE_SIZE:
        problems.append(_problem(origin, "", f"is larger than {MAX_FILE_SIZE} bytes", "split it"))
        return
    try:
        documents = read_json(data) if suffix == ".json" else read_yaml(data)
    except DocumentError as error:
        place = f"line {error.line}, column {error.column}" if error.line else ""
        problems.append(_problem(origin, place, str(error), error.remedy))
        return
    index = 0
    for line, document in documents:
        for item in _items(document):
            if not isinstance(item, dict):
                problems.append(
                    _problem(
                        origin,
                        f"line {line}",
                        "is not an object",
                        "begin it with apiVersion, kind and metadata",
                    )
                )
                continue
            manifest = Manifest(origin, index, item)
            index += 1
            manifests.append(manifest)
            problems += _bad_secret(manifest)


def _items(document: Any) -> Iterator[Any]:
    """The document itself, or the items of a Kubernetes List."""
    if not isinstance(document, dict):
        yield document
        return
    kind, items = document.get("kind"), document.get("items")
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(items, list):
        yield document
        return
    of_items = {"apiVersion": document.get("apiVersion"), "kind": kind.removesuffix("List")}
    for item in items:
        # A typed list names version and kind once, for all of its items.
        yield {**of_items, **item} if isinstance(item, dict) and of_items["kind"] else item


def _bad_secret(manifest: Manifest) -> Iterator[Problem]:
    document = manifest.document
    if document.get("kind") != "Secret" or document.get("apiVersion") != "v1":
        return
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    namespace, name = str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")
    for part in ("data", "stringData"):
        values = document.get(part)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            yield Problem(
                "error",
                manifest.origin,
                "Secret",
                namespace,
                name,
                part,
                "is not a mapping",
                "write key: value",
            )
            continue
        for key, value in values.items():
            if (_decoded(value) if part == "data" else _text(value)) is None:
                # The message must not show the value.
                wrong = "is not base64" if part == "data" else "is not a string"
                remedy = "encode it, or move it to stringData" if part == "data" else "put it in quotes"
                yield Problem(
                    "error", manifest.origin, "Secret", namespace, name, f"{part}.{key}", wrong, remedy
                )


def _decoded(value: object) -> bytes | None:
    if value is None:
        return b""
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _text(value: object) -> bytes | None:
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else None


class ManifestSecrets:
    """The Secrets among manifests, by name. What they hold must never reach a log line or a message."""

    def __init__(self, manifests: Iterable[Manifest], namespace: str | None = None) -> None:
        """Keep the Secrets of a namespace. None: of all namespaces; of several with one name, the first."""
        self._secrets: dict[str, dict[str, bytes]] = {}
        for manifest in manifests:
            document = manifest.document
            metadata = document.get("metadata")
            if document.get("kind") != "Secret" or not isinstance(metadata, Mapping):
                continue
            name = metadata.get("name")
            own_namespace = metadata.get("namespace") or "default"
            if isinstance(name, str) and namespace in {None, own_namespace}:
                self._secrets.setdefault(name, _data(document))

    def get(self, name: str) -> Mapping[str, bytes] | None:
        """The data of a Secret by key, None where the manifests have no such Secret."""
        return self._secrets.get(name)


def _data(document: Mapping[str, Any]) -> dict[str, bytes]:
    result: dict[str, bytes] = {}
    for part, read in (("data", _decoded), ("stringData", _text)):
        values = document.get(part)
        if isinstance(values, Mapping):
            for key, value in values.items():
                content = read(value)
                if content is not None:
                    result[str(key)] = content
    return result
