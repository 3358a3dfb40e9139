"""Names of everything that the operator writes: children, labels, annotations, field manager."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from tubepost_api.resource import API_VERSION, GROUP

_DIGITS: Final = 8


def short_hash(text: str, digits: int = _DIGITS) -> str:
    """The first hex digits of a SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


class Names:
    """All names in one place. Children are named like their PushDomain unless a method says otherwise."""

    FIELD_MANAGER: Final = "tubepost-operator"
    """Owner of the fields that server-side apply writes."""
    APP: Final = "tubepost-dispatcher"
    """Value of `app.kubernetes.io/name` of children and dispatcher pods."""

    NAME_LABEL: Final = "app.kubernetes.io/name"
    INSTANCE_LABEL: Final = "app.kubernetes.io/instance"
    MANAGED_LABEL: Final = "app.kubernetes.io/managed-by"
    PUSH_DOMAIN_LABEL: Final = f"{GROUP}/push-domain"
    """Name of the PushDomain, on all its children and pods."""
    INJECT_LABEL: Final = f"{GROUP}/inject"
    """On pods of others: they have a dispatcher of this PushDomain as a sidecar."""

    WORKLOAD_LABEL: Final = f"{GROUP}/workload"
    """On a StatefulSet's pods: tells them from those of a Deployment of the same PushDomain."""
    STATEFUL_SET: Final = "statefulset"
    """Value of the label."""

    DRAIN_LABEL: Final = f"{GROUP}/drain"
    """On the pod that empties a claim which no pod of the StatefulSet has: number of the claim."""
    DRAINED_ANNOTATION: Final = f"{GROUP}/drained"
    """On claims: the queue there is known to be empty, and no pod has had the claim since."""

    ABANDON_ANNOTATION: Final = f"{GROUP}/abandon-queue"
    """On a PushDomain, by users: the generation whose change no longer waits for queues to be empty."""
    QUEUE_ANNOTATION: Final = f"{GROUP}/queue"
    """On workloads and their pods: where their queue is (`QueueVolume`); absent without one."""

    ROLL_ANNOTATION: Final = f"{GROUP}/roll"
    """On the Deployment and its pod template: hash of what users decide and a running pod cannot change about
    itself."""
    TEMPLATE_ANNOTATION: Final = f"{GROUP}/template"
    """On the Deployment: hash of the whole pod template, the parts of the operator's release included."""
    CONFIG_ANNOTATION: Final = f"{GROUP}/config"
    """On the Deployment and on pods, those with a sidecar too: name of the ConfigMap that they mount."""
    REFRESH_ANNOTATION: Final = f"{GROUP}/refresh"
    """On pods: hash of the mounted contents; its change has the kubelet refresh volumes at once."""
    WITHOUT_ANNOTATION: Final = f"{GROUP}/without"
    """On pods for a while: immutable Secrets that they do not mount, so that kubelets forget the old ones."""
    APPLIED_ANNOTATION: Final = f"{GROUP}/applied"
    """On children: hash of what was applied last."""
    CONTENT_ANNOTATION: Final = f"{GROUP}/content"
    """On ConfigMaps: digest of the compiled configuration in them."""

    HOLDER_ANNOTATION: Final = f"{GROUP}/operator"
    """On children: namespace and name of the Lease of the operator that wrote them."""
    PAUSED_ANNOTATION: Final = f"{GROUP}/paused"
    """On a PushDomain: its objects are not written while this is there, unless it says `false`."""

    QUEUE_VOLUME: Final = "queue"
    """Name of the volume with the queue, and of the claims' template."""

    CONFIG_KEY: Final = "config.json"
    """Key of the ConfigMap that holds the compiled configuration."""

    CHILD_SELECTOR: Final = f"{MANAGED_LABEL}={FIELD_MANAGER},{NAME_LABEL}={APP}"
    """Label selector of all children and dispatcher pods."""
    FOREIGN_SELECTOR: Final = f"{MANAGED_LABEL}!={FIELD_MANAGER}"
    """Label selector of everything that the operator did not make."""

    @classmethod
    def labels(cls, push_domain: str) -> dict[str, str]:
        """Labels of all children of a PushDomain, and of its pods."""
        return {
            cls.NAME_LABEL: cls.APP,
            cls.INSTANCE_LABEL: push_domain,
            cls.MANAGED_LABEL: cls.FIELD_MANAGER,
            cls.PUSH_DOMAIN_LABEL: push_domain,
        }

    @classmethod
    def pod_selector(cls, push_domain: str) -> dict[str, str]:
        """Labels that select the pods of a PushDomain; never changed, since Deployments keep theirs."""
        return {cls.NAME_LABEL: cls.APP, cls.INSTANCE_LABEL: push_domain}

    @classmethod
    def selector_text(cls, push_domain: str) -> str:
        """The same as a text, for the scale subresource."""
        return ",".join(f"{key}={value}" for key, value in sorted(cls.pod_selector(push_domain).items()))

    @classmethod
    def config_map(
        cls,
        push_domain: str,
        secrets: Iterable[str],
        *,
        queue: bool = False,
        drain: bool = False,
        stream: bool = False,
    ) -> str:
        """Name of the ConfigMap: it carries the hash of the set of mounted objects.

        A pod mounts the Secrets of its own template. With a set in the name, an old pod never reads a
        configuration that names a Secret which it has no file of, or a queue where it has no volume (`queue`:
        it has one). Drain pods (`drain`) have one of their own, which says that they do not serve; so have
        pods whose queue is a stream (`stream`), so that those with it on a disk deliver that first.
        """
        mounted = [*sorted(secrets), *(["/queue"] if queue else []), *(["/drain"] if drain else [])]
        mounted += ["/stream"] if stream else []
        return f"{push_domain}-{short_hash(chr(10).join(mounted))}"

    @classmethod
    def claim(cls, push_domain: str, ordinal: int) -> str:
        """Name of the claim of a StatefulSet's pod, as Kubernetes makes it of the template's name."""
        return f"{cls.QUEUE_VOLUME}-{push_domain}-{ordinal}"

    @classmethod
    def drain(cls, push_domain: str, ordinal: int) -> str:
        """Name of the Deployment of the pod that empties a claim."""
        return f"{push_domain}-drain-{ordinal}"

    @classmethod
    def secret_volume(cls, secret: str) -> str:
        """Name of the volume of a Secret: Secrets' names are longer than those of volumes may be."""
        return f"secret-{short_hash(secret)}"

    @classmethod
    def address(cls, push_domain: str, namespace: str, port: int) -> str:
        """HOST:PORT at which the cluster reaches the listener."""
        return f"{push_domain}.{namespace}.svc:{port}"

    @classmethod
    def owner_reference(cls, document: dict[str, Any]) -> dict[str, Any]:
        """The reference by which a child goes when its PushDomain goes.

        `blockOwnerDeletion` would need a permission on finalizers in some clusters, and nothing here waits
        for children to be gone.
        """
        return {
            "apiVersion": API_VERSION,
            "kind": "PushDomain",
            "name": document["metadata"]["name"],
            "uid": document["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
