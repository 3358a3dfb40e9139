"""Proxy variables of the environment (HTTPS_PROXY and the like), which no process of ours goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAMES: Final = ("http_proxy", "https_proxy", "all_proxy")


def proxy_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of those that are set, as they are written there. Their values may hold a password."""
    return tuple(sorted(name for name, value in environment.items() if name.lower() in _NAMES and value))
