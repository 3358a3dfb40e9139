"""The permissions that sidecar mode needs beside those in `rbac`, as data.

The Helm chart's roles are compared with this table by a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tubepost_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class NamedPermission:
    """One rule about one object, whose name is a setting.

    `scope`: in the operator's own namespace, or for objects that have none. `own_certificate`: only where the
    operator makes the webhook's certificate itself.
    """

    group: str
    resource: str
    object_name: Callable[[Settings], str]
    verbs: tuple[str, ...]
    scope: Literal["own", "cluster"]
    reason: str
    own_certificate: bool = False

    def needed(self, settings: Settings) -> bool:
        """Whether these settings need it."""
        return settings.webhook and not (self.own_certificate and settings.webhook_certificate == "Given")


PERMISSIONS: Final = (
    NamedPermission(
        "",
        "secrets",
        lambda settings: settings.webhook_secret,
        ("get",),
        "own",
        "the webhook's certificate",
    ),
    NamedPermission(
        "",
        "secrets",
        lambda settings: settings.webhook_secret,
        ("patch",),
        "own",
        "the same, unless cert-manager makes it",
        own_certificate=True,
    ),
    NamedPermission(
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        lambda settings: settings.webhook_configuration,
        ("get", "patch"),
        "cluster",
        "the authority that the API server trusts (caBundle), unless cert-manager writes it",
        own_certificate=True,
    ),
)
