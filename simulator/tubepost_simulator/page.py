"""The inbox page: its files, as they are served. They are read once, and nothing else can be asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Final, NamedTuple

_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
INDEX: Final = "index.html"


class Asset(NamedTuple):
    """One file of the page. `tag` changes with its content (RFC 9110, `ETag`)."""

    content_type: str
    body: bytes
    tag: str


def load() -> dict[str, Asset]:
    """All files of the page by name, `index.html` among them."""
    found = {}
    for path in resources.files("tubepost_simulator").joinpath("page_files").iterdir():
        kind = _TYPES.get(path.name[path.name.rfind(".") :])
        if kind is not None:
            body = path.read_bytes()
            found[path.name] = Asset(kind, body, hashlib.sha256(body).hexdigest()[:16])
    return found
