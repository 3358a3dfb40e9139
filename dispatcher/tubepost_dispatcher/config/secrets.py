"""Where the dispatcher gets the content of Secrets from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SecretSource(Protocol):
    """Gives out Secrets by name. Their content must never reach a log line or an exception's text."""

    def get(self, name: str) -> Mapping[str, bytes] | None:
        """The data of a Secret by key, None where there is no such Secret."""
