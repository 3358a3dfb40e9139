"""The permissions that sidecar mode needs beside those in `rbac`, as data.

The Helm chart's roles are compared with this table by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tubepost_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class NamedPermission:
    """One rule about one object. `scope`: in the operator's own namespace, or for objects that have none."""

    group: str
    resource: str
    setting: Literal["webhook_secret", "webhook_configuration"]
    verbs: tuple[str, ...]
    scope: Literal["own", "cluster"]
    reason: str

    def object_name(self, settings: Settings) -> str:
        """Name of the object."""
        return str(getattr(settings, self.setting))


PERMISSIONS: Final = (
    NamedPermission("", "secrets", "webhook_secret", ("get", "patch"), "own", "the webhook's certificate"),
    NamedPermission(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "webhook_configuration",
        ("get", "patch"),
        "cluster",
        "the authority that the API server trusts (caBundle)",
    ),
)
