"""What a person can do about a refusal of the API server, from its words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_REMEDIES: Final[Mapping[str, str]] = {
    # RBAC: pkg/registry/rbac of Kubernetes; "... is forbidden: User "x" cannot patch resource ...".
    r'User "[^"]*" cannot ': (
        "give the operator's account this permission (`helm upgrade` restores its roles; the table of them "
        "is in docs/reference/conditions.md)"
    ),
    # ResourceQuota: plugin/pkg/admission/resourcequota.
    r"exceeded quota": (
        "raise the ResourceQuota that it names, or lower spec.replicas or spec.podTemplate.resources of the "
        "PushDomain"
    ),
    r"failed quota: .*must specify": (
        "set what it names in spec.podTemplate.resources of the PushDomain, or give the namespace a "
        "LimitRange with defaults"
    ),
    # LimitRange: plugin/pkg/admission/limitranger.
    r"(maximum|minimum) .* usage per |limit to request ratio per |maximum .* per Pod": (
        "set spec.podTemplate.resources of the PushDomain within the LimitRange of the namespace, or change "
        "that"
    ),
    r"no PriorityClass with name": (
        "create this PriorityClass, or correct spec.podTemplate.priorityClassName of the PushDomain"
    ),
    # Pod Security admission.
    r"violates PodSecurity": (
        "correct the field of spec.podTemplate that it names, or the label "
        "pod-security.kubernetes.io/enforce of the namespace"
    ),
    r"security context constraint": (
        "leave spec.podTemplate.security to the cluster's constraints, or give the pods' ServiceAccount "
        "another one"
    ),
    r"failed calling webhook": (
        "see to the webhook that it names: as long as it cannot be reached, nothing of this kind can be "
        "written"
    ),
    r"admission webhook .* denied|ValidatingAdmissionPolicy .* denied|denied request": (
        "change the field of the PushDomain that it names, or have an exception made in the policy"
    ),
    # A claim that is to grow: pkg/apis/core/validation, plugin/pkg/admission/storage/persistentvolume/resize.
    r"pvc can be resized|claim.* must support resize": (
        "allow expansion in the StorageClass (allowVolumeExpansion) if its volumes can grow, or put "
        "queue.disk.claim.size of the PushDomain back"
    ),
    r"field is immutable": (
        "put the field back, or delete the object that it names: it is created anew as the PushDomain says"
    ),
    r"(service account|serviceaccount) .*not found": "none: it is tried again when the account is there",
    r"is being terminated": "wait until the namespace is gone, or use another one",
}
"""Pattern of a message -> what to do; the first that matches counts."""

_ANYTHING: Final = "correct the field of the PushDomain that it names, or the cluster policy that forbids it"


_OF_PODS: Final[Mapping[str, str]] = {
    r"^ErrImageNeverPull": (
        "load the image onto the nodes, or let them pull it (dispatcher.image.pullPolicy of the chart)"
    ),
    r"^(ErrImagePull|ImagePullBackOff|InvalidImageName|ImageInspectError|RegistryUnavailable|ErrImage)": (
        "see that the image exists under this name and that nodes may pull it: dispatcher.image and "
        "imagePullSecrets of the chart, or image and imagePullSecrets in spec.podTemplate"
    ),
    r"^(Unschedulable|SchedulingGated|SchedulerError)": (
        "make room in the cluster, or change resources, nodeSelector, tolerations or affinity in "
        "spec.podTemplate"
    ),
    r"OOMKilled": "raise spec.podTemplate.resources.limits.memory",
    r"^Evicted": "give the node room, or set requests for what it lacks in spec.podTemplate.resources",
    r"exit code|CrashLoop": "read the log of the container that has ended: `kubectl logs --previous`",
    r"^(Create|Run|PreCreateHook|PreStart|PostStartHook)": (
        "correct what it names: in spec.podTemplate, or in the objects that the pod mounts"
    ),
}
"""The same for what keeps a pod from running (`PodDetails.trouble`)."""

_ANY_POD: Final = "see `kubectl describe pods`"


def pod_remedy(trouble: str) -> str:
    """What to do about what keeps a pod from running."""
    return next((text for pattern, text in _OF_PODS.items() if re.search(pattern, trouble)), _ANY_POD)


def remedy(message: str) -> str:
    """What to do about a refusal with these words."""
    return next(
        (text for pattern, text in _REMEDIES.items() if re.search(pattern, message, re.IGNORECASE)), _ANYTHING
    )
