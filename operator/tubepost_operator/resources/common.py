"""What all builders share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tubepost_api.config import DispatcherConfig
from tubepost_api.podtemplate import PodTemplateSpec
from tubepost_api.pushdomain import PushDomainSpec
from tubepost_operator.kinds import CHILDREN
from tubepost_operator.names import Names, short_hash
from tubepost_operator.observed import Document
from tubepost_operator.resources.queue import ClaimTemplate, QueueVolume
from tubepost_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Source:
    """What children are made from.

    `document` is the PushDomain as the API server has it, `spec` the same as a model. `config` is the
    configuration to serve: the newest that checks, or the last that did. `config_map` is the name of the
    ConfigMap with it. `queue` is where the pods have theirs, None for none; `claim` what claims for it are
    made from; `kept` the volume as it is, where the pods keep one that the spec does not name.
    `replicas`: of the workload, where they are not those of the spec for the moment. `unready`: pods that are
    not ready on purpose, since they only deliver their queue. `drains`: number of the claim that a drain pod
    empties.
    """

    document: Document
    spec: PushDomainSpec
    config: DispatcherConfig
    config_map: str
    settings: Settings
    queue: QueueVolume | None = None
    claim: ClaimTemplate | None = None
    kept: Document | None = None
    replicas: int | None = None
    unready: int = 0
    drains: int | None = None

    @property
    def name(self) -> str:
        """Name of the PushDomain."""
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the PushDomain."""
        return str(self.document["metadata"]["namespace"])

    @property
    def pod_template(self) -> PodTemplateSpec:
        """The PushDomain's; where it says nothing, or what holds anyway, that of the operator's release."""
        return merged(self.settings.release.pod_template, self.spec.pod_template)

    @property
    def wanted_replicas(self) -> int:
        """Replicas of the workload."""
        return self.spec.replicas if self.replicas is None else self.replicas


def merged(defaults: PodTemplateSpec, own: PodTemplateSpec) -> PodTemplateSpec:
    """One pod template over another: maps key by key, lists as a whole but Secrets to pull images with."""
    secrets = dict.fromkeys((*defaults.image_pull_secrets, *own.image_pull_secrets))
    values = _over(_said(defaults), _said(own))
    return PodTemplateSpec.model_validate_json(
        json.dumps(values | {"imagePullSecrets": list(secrets)} if secrets else values)
    )


def _said(template: PodTemplateSpec) -> Document:
    said: Document = template.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return said


def _over(lower: Document, upper: Document) -> Document:
    result = dict(lower)
    for key, value in upper.items():
        below = lower.get(key)
        # An affinity is one thought: half of one and half of another would be neither.
        both = isinstance(value, dict) and isinstance(below, dict) and key != "affinity"
        result[key] = _over(below, value) if both and below is not None else value
    return result


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
        "annotations": {**(annotations or {}), Names.HOLDER_ANNOTATION: source.settings.holder},
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
