"""The ConfigMap with the compiled configuration."""

from __future__ import annotations

from typing import Final

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child

LIMIT: Final = 1024 * 1024
"""Bytes that the data of a ConfigMap can have. Source: Kubernetes' MaxSecretSize, which counts here too."""


def config_map(source: Source) -> Document:
    """Build the ConfigMap; whether it fits is asked before (`size`)."""
    return child(
        source,
        "ConfigMap",
        {"data": {Names.CONFIG_KEY: source.config.to_json()}},
        name=source.config_map,
        annotations={Names.CONTENT_ANNOTATION: source.config.digest()},
    )


def size(source: Source) -> int:
    """Bytes of the data."""
    return len(Names.CONFIG_KEY) + len(source.config.to_json().encode())
