"""What a PushDomain may say about its pods: an allow-list.

Everything that Pod Security `restricted` forbids, the service account, volumes and further containers are
left out on purpose: whoever may write a PushDomain must not gain more by it than a dispatcher.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from tubepost_api.fields import UNIQUE, Checked, SecretKey, SecretName, failure, no_repeats
from tubepost_api.rules import Rule, SpecModel

OWN_PREFIX = "tubepost.io/"
"""Prefix of labels and annotations that are the operator's alone."""
OWN_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by")
"""Further labels that the operator sets, since selectors rely on them."""

GRACE = 70
"""Seconds that a pod has to end, unless the spec says otherwise: enough for a transaction at its deadline."""

_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
"""A quantity, as a regular expression: no exponents, and nothing smaller than a thousandth."""
NO_LIMIT = "none"
"""The limit that is no limit."""


def _check_keys(values: dict[str, str]) -> None:
    for key in values:
        if not _KEY.fullmatch(key) or len(key) > 317:
            raise failure(f"{key!r} is not a key of a label or annotation", "write NAME or PREFIX/NAME")


def _check_labels(values: dict[str, str]) -> dict[str, str]:
    _check_keys(values)
    for key, value in values.items():
        if not _LABEL_VALUE.fullmatch(value):
            raise failure(
                f"the value of {key} is not that of a label",
                "use at most 63 letters, digits, hyphens, dots and _",
            )
    return values


def _check_annotations(values: dict[str, str]) -> dict[str, str]:
    _check_keys(values)
    return values


def _strings(max_length: int) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "object",
            "maxProperties": 32,
            "additionalProperties": {"type": "string", "maxLength": max_length},
        }
    )


Labels = Annotated[dict[str, str], Field(max_length=32), AfterValidator(_check_labels), _strings(63)]
"""Labels: keys with an optional prefix, values of at most 63 characters."""
Annotations = Annotated[
    dict[str, str], Field(max_length=32), AfterValidator(_check_annotations), _strings(4096)
]
"""Annotations: keys as those of labels, values of at most 4096 characters."""
Open = Annotated[
    dict[str, Any], WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True})
]
"""An object of Kubernetes' own schema, checked by the API server when the pod template is written."""
Quantity = Annotated[
    str,
    Checked("a quantity", "write a quantity such as 100m, 0.5, 1, 256Mi or 1Gi", f"^{QUANTITY}$", 32),
]
"""A quantity of CPU or memory, in quotes where it is a bare number."""
Limit = Annotated[
    str,
    Checked(
        "a limit",
        f"write a quantity such as 100m, 0.5, 1, 256Mi or 1Gi, or {NO_LIMIT}",
        f"^({QUANTITY}|{NO_LIMIT})$",
        32,
    ),
]
"""A quantity as above, or none."""
UserId = Annotated[int, Field(ge=1, le=2_147_483_647)]
"""A user or group id; not root."""
ImageName = Annotated[
    str,
    Checked(
        "an image",
        "write REPOSITORY:TAG or REPOSITORY@sha256:DIGEST",
        r"^[a-z0-9][A-Za-z0-9._/:@-]*$",
        512,
    ),
]
"""The reference of a container image."""


class RequestsSpec(SpecModel):
    """What the pod is sure to get."""

    cpu: Quantity | None = None
    """CPUs, such as 500m or "2"."""
    memory: Quantity | None = None
    """Memory, such as 256Mi."""
    ephemeral_storage: Annotated[Quantity | None, Field(alias="ephemeral-storage")] = None
    """Disk of the node, for logs and a queue on an emptyDir, such as 1Gi; without it none is set aside."""


class LimitsSpec(SpecModel):
    """What the pod never exceeds."""

    cpu: Limit | None = None
    """CPUs, such as 500m or "2"; none: no limit, and as many worker processes as CPUs are requested."""
    memory: Limit | None = None
    """Memory, such as 512Mi; none: no limit."""
    ephemeral_storage: Annotated[Quantity | None, Field(alias="ephemeral-storage")] = None
    """Disk of the node, above which the pod is evicted; without it no limit."""


class CaBundleSpec(SpecModel):
    """Certificate authorities in a ConfigMap."""

    config_map_name: Annotated[
        str,
        Checked(
            "the name of a ConfigMap",
            "use lower-case letters, digits, hyphens and dots, with a letter or digit at both ends",
            r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            253,
        ),
    ]
    """ConfigMap in the same namespace, such as the target of a trust-manager Bundle."""
    key: SecretKey = "ca.crt"
    """Key with the authorities, PEM."""


class ResourcesSpec(SpecModel):
    """Compute resources of the dispatcher."""

    requests: RequestsSpec | None = None
    """What the pod is sure to get; without them 100m of a CPU, and 128Mi and 32Mi more for each CPU of the
    limit after the first; or the limit where it is given."""
    limits: LimitsSpec | None = None
    """What the pod never exceeds. Without them the limits are 1 CPU, and 512Mi and 128Mi more for each CPU
    after the first; or twice the request where that is more. The CPU limit decides on the number of worker
    processes, which need that memory."""


class TolerationSpec(SpecModel):
    """A taint that the pods tolerate, as in a pod."""

    key: Annotated[str, Field(min_length=1, max_length=317)] | None = None
    """Key of the taint; without it all keys, with operator Exists."""
    operator: Literal["Exists", "Equal"] | None = None
    """Equal compares the value, Exists does not; without it Equal."""
    value: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """Value of the taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint; without it all effects."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Seconds for which a NoExecute taint is tolerated."""


class PodSecuritySpec(SpecModel):
    """Identities of the pods, within Pod Security `restricted`; absent, the image's or the namespace's."""

    run_as_user: UserId | None = None
    """User id of the processes; without it that of the image."""
    run_as_group: UserId | None = None
    """Group id of the processes; without it that of the image."""
    fs_group: UserId | None = None
    """Group id of volumes; without it they keep their own. Mounted files can be read by any user."""


def _own_keys(values: dict[str, str] | None) -> str | None:
    return next(
        (key for key in values or {} if key.startswith(OWN_PREFIX) or key in OWN_LABELS),
        None,
    )


_NOT_OWN = "!has(self.{field}) || self.{field}.all(k, !k.startsWith('" + OWN_PREFIX + "')"
_NOT_OWN_LABELS = _NOT_OWN + " && !(k in [" + ", ".join(f"'{key}'" for key in OWN_LABELS) + "]))"
NOT_OWN_ANNOTATIONS = _NOT_OWN + ")"
"""CEL: no annotation of `field` is the operator's own."""


class PodTemplateSpec(SpecModel):
    """What may be said about the dispatcher's pods. A change of it replaces them one after the other."""

    image: ImageName | None = None
    """Image of the dispatcher; without it that of the operator's release."""
    labels: Labels | None = None
    """Further labels of the pods."""
    annotations: Annotations | None = None
    """Further annotations of the pods."""
    resources: ResourcesSpec = ResourcesSpec()
    """Compute resources; what is absent is as the operator's defaults say."""
    node_selector: Labels | None = None
    """Labels that a node must have."""
    tolerations: Annotated[tuple[TolerationSpec, ...], Field(max_length=16)] = ()
    """Taints that are tolerated."""
    affinity: Open | None = None
    """Affinity and anti-affinity, as in a pod."""
    topology_spread_constraints: Annotated[tuple[Open, ...], Field(max_length=8)] = ()
    """Spread of the pods, as in a pod; empty: over nodes and zones where that is possible."""
    priority_class_name: SecretName | None = None
    """PriorityClass of the pods."""
    image_pull_secrets: Annotated[
        tuple[SecretName, ...],
        Field(max_length=8, json_schema_extra=UNIQUE),
        AfterValidator(no_repeats),
    ] = ()
    """Secrets to pull the image with, beside those of the operator's settings."""
    ca_bundle: CaBundleSpec | None = None
    """Certificate authorities that are trusted in place of the image's, wherever no other is named (such as
    tls.ca of a route). A change takes effect in new pods."""
    security: PodSecuritySpec = PodSecuritySpec()
    """Identities of the pods."""
    termination_grace_period_seconds: Annotated[int, Field(ge=15, le=3600)] = GRACE
    """Longest time between a pod's notice and its end; it ends as soon as its last transaction is over."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            _NOT_OWN_LABELS.format(field="labels"),
            f"a label is the operator's own ({OWN_PREFIX}..., {', '.join(OWN_LABELS)})",
            "choose another key",
            lambda template: _own_keys(template.labels) is None,
            "labels",
        ),
        Rule(
            NOT_OWN_ANNOTATIONS.format(field="annotations"),
            f"an annotation is the operator's own ({OWN_PREFIX}...)",
            "choose another key",
            lambda template: not any(key.startswith(OWN_PREFIX) for key in template.annotations or {}),
            "annotations",
        ),
    )
