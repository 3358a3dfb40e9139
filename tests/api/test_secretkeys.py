from __future__ import annotations

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.secretkeys import CaSpec, SecretKeySpec, key_of


def test_authorities_have_a_usual_name() -> None:
    assert key_of(CaSpec.model_validate({"secretName": "ca"})) == SecretKeyRef(secret="ca", key="ca.crt")
    account = SecretKeySpec.model_validate({"secretName": "proxy", "key": "account"})
    assert key_of(account) == SecretKeyRef(secret="proxy", key="account")
    assert key_of(None) is None
