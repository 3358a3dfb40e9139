from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.support import CREDENTIAL, KEY_ID, P8, TEAM_ID, credential
from tubepost_credentials.throwaway import make_ca, make_token_key
from tubepost_simulator import TokenKey, provider_tokens
from tubepost_simulator.provider_tokens import TokenVerifier, VerifiedToken

KEY = TokenKey(TEAM_ID, P8)
VERIFIER = TokenVerifier({KEY_ID: KEY})


def part(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def token(header: Any = None, claims: Any = None, signature: bytes = b"AA") -> bytes:
    header = {"alg": "ES256", "kid": KEY_ID} if header is None else header
    claims = {"iss": TEAM_ID, "iat": 1} if claims is None else claims
    return part(header) + b"." + part(claims) + b"." + signature


def test_genuine_token_with_private_or_public_key() -> None:
    text = CREDENTIAL.sign(1_700_000_000).encode()
    for pem in (P8, CREDENTIAL.public_key_pem()):
        key = TokenKey(TEAM_ID, pem)
        found = TokenVerifier({KEY_ID: key}).read(text)
        assert found == VerifiedToken(text, KEY_ID, TEAM_ID, 1_700_000_000, key)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "three parts"),
        (b"a.b", "three parts"),
        (b"a" * 5_000 + b".b.c", "three parts"),
        (b"!.e30.AA", "base64url"),
        (b"AA.e30.AA", "cannot be read"),
        (token(header=[]), "JSON object"),
        (token(header={"alg": "HS256", "kid": KEY_ID}), "ES256"),
        (token(header={"alg": "none"}), "ES256"),
        (token(header={"alg": "ES256"}), "kid"),
        (token(claims={"iat": 1}), "iss"),
        (token(claims={"iss": TEAM_ID}), "iat"),
        (token(claims={"iss": TEAM_ID, "iat": True}), "iat"),
        (token(header={"alg": "ES256", "kid": "x"}), "unknown"),
        (token(claims={"iss": "x", "iat": 1}), "team"),
        (token(), "signature"),
        (token(signature=base64.urlsafe_b64encode(bytes(64)).rstrip(b"=")), "signature"),
        (credential(p8=make_token_key()).sign(1).encode(), "signature"),
    ],
)
def test_what_is_wrong_is_said(text: bytes, why: str) -> None:
    found = VERIFIER.read(text)
    assert isinstance(found, str)
    assert why in found


def test_unknown_keys_pass_without_verification() -> None:
    found = TokenVerifier({}, verify=False).read(token())
    assert isinstance(found, VerifiedToken)
    assert found.key is None
    assert isinstance(TokenVerifier({KEY_ID: KEY}, verify=False).read(token()), str)


@pytest.mark.parametrize("pem", [b"", b"nonsense", make_ca().certificate_pem])
def test_keys_that_are_none_are_refused(pem: bytes) -> None:
    with pytest.raises(ValueError, match=KEY_ID):
        TokenVerifier({KEY_ID: TokenKey(TEAM_ID, pem)})


def test_keys_of_another_kind_are_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = ed25519.Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ValueError, match="P-256"):
        TokenVerifier({KEY_ID: TokenKey(TEAM_ID, pem)})


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_tokens, "_CACHE_SIZE", 5)
    verifier = TokenVerifier({})
    for number in range(20):
        verifier.read(b"%d" % number)
    assert len(verifier._cache) <= 5


@given(
    st.one_of(
        st.binary(max_size=60), st.builds(token, st.dictionaries(st.sampled_from(["alg", "kid"]), st.text()))
    )
)
def test_reading_never_raises(text: bytes) -> None:
    assert isinstance(VERIFIER.read(text), str)
