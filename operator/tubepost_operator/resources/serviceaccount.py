"""The ServiceAccount of the dispatchers."""

from __future__ import annotations

from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child


def service_account(source: Source) -> Document:
    """Build the account: an identity for the cluster's own policies, without a token, without permissions."""
    return child(source, "ServiceAccount", {"automountServiceAccountToken": False})
