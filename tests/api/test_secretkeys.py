from __future__ import annotations

from tubepost_api.config import SecretKeyRef
from tubepost_api.secretkeys import CaSpec, SecretKeySpec, key_of


def test_authorities_have_a_usual_name() -> None:
    assert key_of(CaSpec(secret_name="ca")) == SecretKeyRef(secret="ca", key="ca.crt")
    assert key_of(SecretKeySpec(secret_name="proxy", key="account")) == SecretKeyRef(
        secret="proxy", key="account"
    )
    assert key_of(None) is None
