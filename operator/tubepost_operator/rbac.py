"""The permissions that the operator needs, as data.

Tests compare the Helm chart's roles with this table, and `docs/reference/conditions.md` shows it (written by
`make generate`). Reasons stand beside what is not obvious.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule. `scope`: in the watched namespaces, or in the operator's own namespace only."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    reason: str
    scope: Literal["watched", "own"] = "watched"
    feature: Literal["always", "leaderElection", "webhook"] = "always"


_CHILD: Final = ("create", "delete", "get", "list", "patch", "watch")
# Server-side apply of an object that does not exist needs `create` beside `patch`.

PERMISSIONS: Final[tuple[Permission, ...]] = (
    Permission(
        "tubepost.io",
        ("apnloggers", "apnroutes", "pushdomains"),
        ("get", "list", "watch"),
        "the objects to put into practice",
    ),
    Permission(
        "tubepost.io",
        ("apnloggers/status", "apnroutes/status", "pushdomains/status"),
        ("patch",),
        "conditions and live status",
    ),
    Permission("apps", ("deployments",), _CHILD, "the dispatchers"),
    Permission("apps", ("statefulsets",), _CHILD, "dispatchers with their queue on persistent claims"),
    Permission(
        "",
        ("persistentvolumeclaims",),
        ("delete", "get", "list", "patch", "watch"),
        "what keeps a queue's volume from being there is told; a claim whose size has grown is enlarged, "
        "one that was left behind is marked when it is empty, and deleted where the PushDomain says so",
    ),
    Permission("", ("configmaps",), _CHILD, "compiled configurations; hooks that are named are read"),
    Permission("", ("serviceaccounts",), _CHILD, "an account without permissions for each PushDomain"),
    Permission("", ("services",), _CHILD, "the address of each PushDomain"),
    Permission("policy", ("poddisruptionbudgets",), _CHILD, "drains take one dispatcher at a time"),
    Permission(
        "networking.k8s.io",
        ("networkpolicies",),
        _CHILD,
        "one for each PushDomain, where the operator is told so; removed where it is not any more",
    ),
    Permission(
        "",
        ("secrets",),
        ("get", "list", "watch"),
        "credentials that are named are checked; list and watch ask for metadata only",
    ),
    Permission(
        "",
        ("pods",),
        ("get", "list", "patch", "watch"),
        "where dispatchers can be asked for metrics; an annotation has the kubelet refresh volumes at once",
    ),
    Permission(
        "",
        ("events",),
        ("create", "list"),
        "changes of conditions; what is told of a claim without a volume",
    ),
    Permission(
        "",
        ("limitranges",),
        ("list",),
        "a sidecar that a LimitRange would refuse is refused in words",
        feature="webhook",
    ),
    Permission("", ("namespaces",), ("get",), "annotations for sidecars", feature="webhook"),
    Permission(
        "coordination.k8s.io",
        ("leases",),
        ("create", "get", "update"),
        "leader election",
        scope="own",
        feature="leaderElection",
    ),
)
"""All of them; the dispatchers themselves need none and have no token."""
