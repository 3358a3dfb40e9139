"""Fields of several kinds that name a Secret and a key of it."""

from __future__ import annotations

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.fields import SecretKey, SecretName
from tubepost_api.rules import SpecModel


class SecretKeySpec(SpecModel):
    """A key of a Secret that has no usual name."""

    secret_name: SecretName
    """Name of the Secret."""
    key: SecretKey
    """Key of the Secret."""


class CaSpec(SpecModel):
    """Certificate authorities to trust."""

    secret_name: SecretName
    """Secret that holds the certificates of the authorities."""
    key: SecretKey = "ca.crt"
    """Key of the Secret that holds them, PEM."""


def key_of(spec: CaSpec | SecretKeySpec | None) -> SecretKeyRef | None:
    """The key as the dispatcher reads it."""
    return SecretKeyRef(secret=spec.secret_name, key=spec.key) if spec is not None else None
