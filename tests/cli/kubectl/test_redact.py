from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_cli.kubectl import redact
from tubepost_credentials.throwaway import make_apns_certificate, make_ca

DEVICE = "0f" * 32
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJERUYxMjM0NTY3In0.c2lnbmF0dXJl"
BASE64 = "aGVsbG8gd29ybGQgMTIzNDU2Nzg5MCBBQkNERUZHSElKS0xNTk9Q"


@pytest.mark.parametrize(
    "text",
    [
        f"message 018bcfe568000000a1b2c3d4e to {DEVICE} by apns",
        f"authorization: bearer {JWT}",
        f"token {JWT} refused",
        "password=hunter-two-and-more",
        '{"password": "hunter-two-and-more"}',
        "relay at smtp://bob:hunter-two-and-more@relay.example.com:587",
        f"key {BASE64}",
        "device 0123456789abcdef0123456789abcdef012",
    ],
)
def test_texts_lose_what_is_secret_and_keep_the_rest(text: str) -> None:
    cut = redact.text(text)
    for secret in (DEVICE, JWT, "hunter", BASE64, "0123456789abcdef0123456789abcdef012"):
        assert secret not in cut
    assert redact.HIDDEN in cut
    if "message" in text:
        assert cut == f"message 018bcfe568000000a1b2c3d4e to {redact.HIDDEN} by apns"


@pytest.mark.parametrize(
    "text",
    [
        (
            "message 018bcfe568000000a1b2c3d4e from app@example.com: BadDeviceToken (400), apns-id"
            " 4a0c1d2e-1111-2222-3333-444455556666"
        ),
        f"image sha256:{'ab' * 32} is there",
        f'tubepost_config_info{{hash="{"ab" * 32}"}} 1.0',
        "the configuration names a Secret that is missing: apns",
        "tubepost.io/v1alpha1 PushDomain alerts-5d9c7f6b4d-x2x7l",
    ],
)
def test_what_support_needs_stays(text: str) -> None:
    assert redact.text(text) == text


def test_pem_goes_also_where_it_is_cut_short() -> None:
    pair = make_apns_certificate(make_ca(), ["com.example.app"])
    whole = pair.private_key_pem.decode()
    assert redact.text(f"before\n{whole}\nafter") == f"before\n{redact.HIDDEN}\n\nafter"
    assert redact.text(f"before\n{whole[:90]}") == f"before\n{redact.HIDDEN}"


def test_objects_lose_values_by_the_names_of_their_keys() -> None:
    document = {
        "metadata": {
            "managedFields": [1],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {
            "certificate": {"secretName": "apns"},
            "webhook": {"url": "https://example.com/hook?key=abcdef"},
            "password": "hunter",
            "env": [{"name": "API_TOKEN", "value": "hunter"}, {"name": "LEVEL", "value": "Info"}],
            "args": ["--password=hunter", "--level=Info"],
            "replicas": 2,
            "on": True,
        },
    }
    cut = redact.value(document)
    assert "hunter" not in json.dumps(cut)
    assert cut == {
        "metadata": {"annotations": {}},
        "spec": {
            "certificate": {"secretName": "apns"},
            "webhook": {"url": f"https://example.com/hook?{redact.HIDDEN}"},
            "password": redact.HIDDEN,
            "env": [{"name": "API_TOKEN", "value": redact.HIDDEN}, {"name": "LEVEL", "value": "Info"}],
            "args": [redact.HIDDEN, "--level=Info"],
            "replicas": 2,
            "on": True,
        },
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(
    around=json_values,
    device=st.binary(min_size=32, max_size=50).map(bytes.hex),
    key=st.text(st.characters(codec="ascii", categories=["L"]), max_size=8),
)
def test_a_device_token_is_in_no_redacted_object(around: Any, device: str, key: str) -> None:
    document = {"around": around, key: [f"to {device}.", {"deep": device}]}
    assert device not in json.dumps(redact.value(document))


@given(st.text())
def test_any_text_can_be_redacted_and_twice_is_once(text: str) -> None:
    once = redact.text(text)
    assert redact.text(once) == once
