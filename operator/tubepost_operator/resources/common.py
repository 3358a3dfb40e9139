"""What all builders share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tubepost_api.config import DispatcherConfig
from tubepost_api.pushdomain import PushDomainSpec
from tubepost_operator.kinds import CHILDREN
from tubepost_operator.names import Names, short_hash
from tubepost_operator.observed import Document
from tubepost_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Source:
    """What children are made from.

    `document` is the PushDomain as the API server has it, `spec` the same as a model. `config` is the
    configuration to serve: the newest that checks, or the last that did. `config_map` is the name of the
    ConfigMap with it.
    """

    document: Document
    spec: PushDomainSpec
    config: DispatcherConfig
    config_map: str
    settings: Settings

    @property
    def name(self) -> str:
        """Name of the PushDomain."""
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the PushDomain."""
        return str(self.document["metadata"]["namespace"])


def child(
    source: Source,
    kind: str,
    body: Mapping[str, Any],
    *,
    name: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """A child with the metadata that all have: labels, owner, and the hash of what is applied."""
    metadata: Document = {
        "name": name or source.name,
        "namespace": source.namespace,
        "labels": Names.labels(source.name),
        "annotations": dict(annotations or {}),
        "ownerReferences": [Names.owner_reference(source.document)],
    }
    manifest: Document = {
        "apiVersion": CHILDREN[kind].api_version,
        "kind": kind,
        "metadata": metadata,
        **body,
    }
    metadata["annotations"][Names.APPLIED_ANNOTATION] = digest(manifest)
    return manifest


def digest(value: object) -> str:
    """16 hex digits that are the same for equal JSON values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return short_hash(text, 16)


def without_none(value: Mapping[str, Any]) -> Document:
    """The entries that are set to something."""
    return {key: item for key, item in value.items() if item is not None and item not in ({}, [])}
