"""The kinds of object that the operator deals with: where the API server has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tubepost_api.crd import KINDS
from tubepost_api.resource import API_VERSION


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind."""

    name: str
    api_version: str
    plural: str

    @property
    def group(self) -> str:
        """API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of the collection or of an object; `namespace` None: of all namespaces."""
        path = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        if namespace is not None:
            path += f"/namespaces/{namespace}"
        path += f"/{self.plural}"
        return "/".join(part for part in (path, name, subresource) if part)


PUSH_DOMAIN: Final = Kind("PushDomain", API_VERSION, KINDS["PushDomain"].names.plural)
APN_ROUTE: Final = Kind("ApnRoute", API_VERSION, KINDS["ApnRoute"].names.plural)
APN_LOGGER: Final = Kind("ApnLogger", API_VERSION, KINDS["ApnLogger"].names.plural)
DEPLOYMENT: Final = Kind("Deployment", "apps/v1", "deployments")
STATEFUL_SET: Final = Kind("StatefulSet", "apps/v1", "statefulsets")
SERVICE: Final = Kind("Service", "v1", "services")
CONFIG_MAP: Final = Kind("ConfigMap", "v1", "configmaps")
SERVICE_ACCOUNT: Final = Kind("ServiceAccount", "v1", "serviceaccounts")
PDB: Final = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
NETWORK_POLICY: Final = Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies")
SECRET: Final = Kind("Secret", "v1", "secrets")
CLAIM: Final = Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims")
POD: Final = Kind("Pod", "v1", "pods")
LEASE: Final = Kind("Lease", "coordination.k8s.io/v1", "leases")
EVENT: Final = Kind("Event", "v1", "events")
LIMIT_RANGE: Final = Kind("LimitRange", "v1", "limitranges")
NAMESPACE: Final = Kind("Namespace", "v1", "namespaces")
"""The one kind here that is in no namespace."""

OWN: Final = {kind.name: kind for kind in (PUSH_DOMAIN, APN_ROUTE, APN_LOGGER)}
"""Our three kinds by name."""
CHILDREN: Final = {
    kind.name: kind
    for kind in (CONFIG_MAP, SERVICE_ACCOUNT, SERVICE, DEPLOYMENT, STATEFUL_SET, PDB, NETWORK_POLICY)
}
"""Kinds of children by name, in the order in which they are applied."""
WORKLOADS: Final = frozenset({DEPLOYMENT.name, STATEFUL_SET.name})
"""Kinds of children that run pods; a PushDomain has one of them, and both during a move."""
RELATED: Final = {**CHILDREN, CLAIM.name: CLAIM}
"""Kinds that bear our labels: children, and the claims that a StatefulSet makes."""
READ_IN_FULL: Final = frozenset({CONFIG_MAP.name, CLAIM.name, *WORKLOADS})
"""Those whose contents plans are made from; of others it matters only whether they are in sync."""
