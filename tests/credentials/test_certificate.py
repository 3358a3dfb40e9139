from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from tubepost_credentials import CredentialError, Fault
from tubepost_credentials.certificate import OID_PRODUCTION, OID_SANDBOX, is_topic, load_certificate
from tubepost_credentials.throwaway import KeyPair, make_apns_certificate, make_ca, make_server_certificate


@cache
def ca() -> KeyPair:
    return make_ca()


@cache
def pair() -> KeyPair:
    return make_apns_certificate(
        ca(), {"com.example.app": ["app"], "com.example.app.voip": ["voip"]}, ["Production"], days=30
    )


def secrets_of(pem: bytes) -> set[str]:
    return {line for line in pem.decode().splitlines() if not line.startswith("-----")}


def test_topics_environment_and_lifetime_are_read() -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    assert credential.topics == ("com.example.app", "com.example.app.voip")
    assert credential.default_topic == "com.example.app"
    assert credential.environments == {"Production"}
    assert credential.not_after - credential.not_before == timedelta(days=30)
    assert credential.not_before.tzinfo is UTC
    assert not credential.warnings
    assert len(credential.fingerprint) == 64


def test_a_universal_certificate_is_for_both_environments() -> None:
    made = make_apns_certificate(ca(), ["com.example.app"])
    credential = load_certificate(made.certificate_pem, made.private_key_pem)
    assert credential.environments == {"Production", "Sandbox"}


def test_a_certificate_without_apples_extensions_says_nothing_and_warns() -> None:
    made = make_apns_certificate(ca(), [], [])
    credential = load_certificate(made.certificate_pem, made.private_key_pem)
    assert credential.topics == ()
    assert credential.default_topic is None
    assert credential.environments == frozenset()
    assert "names no topic" in credential.warnings[0]


def test_rsa_keys_are_taken() -> None:
    made = make_apns_certificate(ca(), ["com.example.app"], rsa_key=True)
    assert load_certificate(made.certificate_pem, made.private_key_pem).topics == ("com.example.app",)


def test_the_leaf_is_found_in_any_order_and_comes_first() -> None:
    straight = load_certificate(pair().certificate_pem + ca().certificate_pem, pair().private_key_pem)
    reverse = load_certificate(ca().certificate_pem + pair().certificate_pem, pair().private_key_pem)
    assert straight == reverse
    assert straight.certificate_pem.startswith(pair().certificate_pem.strip()[:200])
    assert (
        straight.fingerprint != load_certificate(pair().certificate_pem, pair().private_key_pem).fingerprint
    )


def test_key_and_certificate_may_stand_in_one_file() -> None:
    both = pair().certificate_pem + pair().private_key_pem
    assert load_certificate(both, both).private_key_pem == pair().private_key_pem


def test_the_ssl_module_takes_what_comes_out(tmp_path: Path) -> None:
    credential = load_certificate(ca().certificate_pem + pair().certificate_pem, pair().private_key_pem)
    path = tmp_path / "pair.pem"
    path.write_bytes(credential.certificate_pem + credential.private_key_pem)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path)


@pytest.mark.parametrize(
    ("days", "word"), [(-1, "not-yet-valid"), (1, "valid"), (29, "valid"), (31, "expired")]
)
def test_validity(days: int, word: str) -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    moment = credential.not_before + timedelta(days=days)
    assert credential.validity(moment) == word
    assert credential.validity(moment.timestamp()) == word


def test_the_ends_of_the_lifetime_are_inside() -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    assert credential.validity(credential.not_before) == "valid"
    assert credential.validity(credential.not_after) == "valid"


def test_description_and_repr_hold_no_key() -> None:
    credential = load_certificate(pair().certificate_pem, pair().private_key_pem)
    text = json.dumps(credential.describe()) + repr(credential) + repr(pair())
    assert credential.describe()["notAfter"].endswith("Z")
    assert "PRIVATE" not in text
    assert not any(line in text for line in secrets_of(pair().private_key_pem))


def encrypted(kind: PrivateFormat) -> bytes:
    key = load_pem_private_key(pair().private_key_pem, None)
    return key.private_bytes(Encoding.PEM, kind, BestAvailableEncryption(b"secret"))


def p12() -> bytes:
    key = load_pem_private_key(pair().private_key_pem, None)
    certificate = load_pem_x509_certificate(pair().certificate_pem)
    return pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, NoEncryption())  # type: ignore[arg-type]


def der_certificate() -> bytes:
    return load_pem_x509_certificate(pair().certificate_pem).public_bytes(Encoding.DER)


def damaged(pem: bytes) -> bytes:
    lines = pem.splitlines()
    return b"\n".join([lines[0], b"AAAA", *lines[2:]])


BAD: dict[str, tuple[Callable[[], tuple[bytes, bytes]], str]] = {
    "empty": (lambda: (b"", pair().private_key_pem), "is empty"),
    "blank key": (lambda: (pair().certificate_pem, b" \n"), "private key is empty"),
    "words": (lambda: (b"not a certificate", pair().private_key_pem), "not PEM"),
    "a .p12": (lambda: (p12(), pair().private_key_pem), "p12"),
    "a .p12 as the key": (lambda: (pair().certificate_pem, p12()), "p12"),
    "DER": (lambda: (der_certificate(), pair().private_key_pem), "DER"),
    "twice base64": (lambda: (b"LS0tLS1CRUdJTi" * 20, pair().private_key_pem), "twice"),
    "too large": (lambda: (b"x" * 2_000_000, pair().private_key_pem), "larger"),
    "another's key": (
        lambda: (pair().certificate_pem, make_server_certificate(ca(), ["x"]).private_key_pem),
        "does not belong",
    ),
    "swapped": (lambda: (pair().private_key_pem, pair().certificate_pem), "no private key"),
    "the key twice": (
        lambda: (pair().private_key_pem, pair().private_key_pem),
        "where a certificate was expected",
    ),
    "two keys": (lambda: (pair().certificate_pem, pair().private_key_pem * 2), "2 private keys"),
    "damaged certificate": (lambda: (damaged(pair().certificate_pem), pair().private_key_pem), "damaged"),
    "damaged key": (lambda: (pair().certificate_pem, damaged(pair().private_key_pem)), "damaged"),
    "encrypted PKCS #8": (lambda: (pair().certificate_pem, encrypted(PrivateFormat.PKCS8)), "encrypted"),
    "encrypted traditional": (
        lambda: (pair().certificate_pem, encrypted(PrivateFormat.TraditionalOpenSSL)),
        "encrypted",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_with_a_remedy_and_without_content(name: str) -> None:
    make, words = BAD[name]
    certificate, key = make()
    with pytest.raises(CredentialError) as caught:
        load_certificate(certificate, key)
    text = str(caught.value)
    assert words in text
    assert caught.value.remedy
    assert "Remedy: " in text
    assert not any(line in text for line in secrets_of(pair().private_key_pem) if len(line) > 8)


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: b"-----BEGIN " + text.encode()))
def test_any_bytes_give_a_credential_error(data: bytes) -> None:
    with pytest.raises(CredentialError):
        load_certificate(data, pair().private_key_pem)
    with pytest.raises(CredentialError):
        load_certificate(pair().certificate_pem, data)


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nb", "é", "x" * 256])
def test_what_cannot_stand_in_a_header_is_no_topic(bad: str) -> None:
    assert not is_topic(bad)


NOW = datetime(2026, 6, 1, tzinfo=UTC)


def again(
    pair: KeyPair, begin: datetime, end: datetime, mark: x509.ObjectIdentifier | None = None
) -> tuple[bytes, datetime]:
    """Another certificate for the key of `pair`: itself, and its end."""
    old = load_pem_x509_certificate(pair.certificate_pem)
    signer = load_pem_private_key(ca().private_key_pem, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if mark is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(mark, b"\x05\x00"), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM), end


def days(count: int) -> datetime:
    return NOW + timedelta(days=count)


LIVES: dict[str, tuple[list[tuple[int, int]], int, str]] = {
    "an expired one and the renewed one": ([(-400, -30), (-60, 300)], 1, "valid"),
    "both in date": ([(-340, 20), (-1, 360)], 1, "valid"),
    "the renewed one not yet": ([(-340, 20), (5, 370)], 0, "valid"),
    "expired, and the renewed one not yet": ([(-400, -30), (5, 370)], 1, "not-yet-valid"),
    "both to come": ([(50, 400), (5, 370)], 1, "not-yet-valid"),
    "both over": ([(-800, -400), (-400, -30)], 1, "expired"),
    "three": ([(-800, -400), (-300, 65), (10, 375)], 1, "valid"),
}


@pytest.mark.parametrize("name", LIVES)
def test_of_several_certificates_for_one_key_the_best_in_date_is_used(name: str) -> None:
    lives, best, word = LIVES[name]
    made = [again(pair(), days(begin), days(end)) for begin, end in lives]
    key = pair().private_key_pem
    seen = set()
    for order in (made, made[::-1]):
        # A chain certificate among them changes nothing.
        pem = order[0][0] + ca().certificate_pem + b"".join(item for item, _ in order[1:])
        credential = load_certificate(pem, key, now=NOW)
        assert credential.not_after == made[best][1]
        assert credential.validity(NOW) == word
        assert credential.certificate_pem == made[best][0] + ca().certificate_pem
        (remark,) = credential.remarks
        assert remark.subject == "Chosen"
        assert f"to {made[best][1]:%Y-%m-%d} is used" in remark.message
        assert f"of the {len(lives)} certificates" in remark.message
        assert str(remark) in credential.describe()["warnings"]
        seen.add(credential.fingerprint)
    assert len(seen) == 1


def test_a_renewed_certificate_that_is_not_valid_yet_is_announced_and_due() -> None:
    old, renewed = (again(pair(), days(-340), days(20))[0], again(pair(), days(5), days(370))[0])
    both, key = old + renewed, pair().private_key_pem
    credential = load_certificate(both, key, now=NOW)
    (remark,) = credential.remarks
    assert "another is not valid before 2026-06-06" in remark.message
    assert "take the old one out" in remark.remedy
    assert credential.chosen_until == days(5)
    assert load_certificate(both, key, now=days(5)).not_after == days(370)


def test_the_choice_stands_until_the_next_begin_or_end() -> None:
    old, renewed = (again(pair(), days(-340), days(20))[0], again(pair(), days(-1), days(370))[0])
    both, key = old + renewed, pair().private_key_pem
    assert load_certificate(both, key, now=NOW).chosen_until == days(20) + timedelta(seconds=1)
    assert load_certificate(both, key, now=days(21)).chosen_until == days(370) + timedelta(seconds=1)
    assert load_certificate(both, key, now=days(371)).chosen_until is None
    assert load_certificate(both, key).chosen_until is None
    assert load_certificate(old, key, now=NOW).chosen_until is None


def test_without_a_clock_the_one_that_ends_last_is_used() -> None:
    old, renewed = again(pair(), days(-340), days(20)), again(pair(), days(5), days(370))
    assert load_certificate(old[0] + renewed[0], pair().private_key_pem).not_after == renewed[1]


def test_the_environment_goes_before_the_date() -> None:
    sandbox = again(pair(), days(-340), days(20), OID_SANDBOX)
    production = again(pair(), days(-10), days(300), OID_PRODUCTION)
    both, key = sandbox[0] + production[0], pair().private_key_pem
    assert load_certificate(both, key, now=NOW, environment="Sandbox").environments == {"Sandbox"}
    assert load_certificate(both, key, now=NOW, environment="Production").environments == {"Production"}
    assert load_certificate(both, key, now=NOW).environments == {"Production"}


def test_the_same_certificate_twice_is_one() -> None:
    credential = load_certificate(pair().certificate_pem * 2, pair().private_key_pem, now=NOW)
    assert credential.certificate_pem == pair().certificate_pem
    assert credential.remarks == ()


def test_of_two_keys_the_one_that_fits_is_used() -> None:
    stranger = make_server_certificate(ca(), ["x"])
    for keys in (
        stranger.private_key_pem + pair().private_key_pem,
        pair().private_key_pem + stranger.private_key_pem,
    ):
        credential = load_certificate(pair().certificate_pem, keys)
        assert credential.private_key_pem == pair().private_key_pem
        (remark,) = credential.remarks
        assert (remark.subject, remark.part) == ("Chosen", 1)
        assert "of the 2 private keys" in remark.message


def test_of_two_keys_neither_fits() -> None:
    strangers = [make_server_certificate(ca(), ["x"]).private_key_pem for _ in range(2)]
    with pytest.raises(CredentialError) as caught:
        load_certificate(pair().certificate_pem, b"".join(strangers))
    assert caught.value.fault is Fault.KEY_MISMATCH


def test_of_two_whole_pairs_the_one_in_date_is_used() -> None:
    old = make_apns_certificate(ca(), ["com.example.app"], days=30, start=days(-60))
    new = make_apns_certificate(ca(), ["com.example.app"], days=365, start=days(-40))
    for first, second in ((old, new), (new, old)):
        credential = load_certificate(
            first.certificate_pem + second.certificate_pem,
            second.private_key_pem + first.private_key_pem,
            now=NOW,
        )
        assert credential.certificate_pem == new.certificate_pem
        assert credential.private_key_pem == new.private_key_pem


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem.replace(b"\n", b"\\n"),
        lambda pem: b'"' + pem + b'"',
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b" " + pem.replace(b"\n", b"\n "),
    ],
    ids=["escaped", "quoted", "mark", "indented"],
)
def test_an_untidy_pair_is_read_and_told_of(spoil: Callable[[bytes], bytes]) -> None:
    tidy = load_certificate(pair().certificate_pem, pair().private_key_pem)
    credential = load_certificate(spoil(pair().certificate_pem), spoil(pair().private_key_pem))
    assert credential == tidy
    assert [(remark.subject, remark.part) for remark in credential.remarks] == [
        ("Untidy", 0),
        ("Untidy", 1),
    ]
    assert not any(line in str(credential.remarks) for line in secrets_of(pair().private_key_pem))


def altered(pem: bytes, old: bytes, new: bytes) -> bytes:
    """A certificate with other bytes in it; nobody looks at its signature."""
    der = load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    assert old in der
    body = base64.encodebytes(der.replace(old, new)).decode()
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n".encode()


def test_a_certificate_whose_fields_cannot_be_read_is_refused() -> None:
    topic = b"com.example.app"
    end = f"{load_pem_x509_certificate(pair().certificate_pem).not_valid_after_utc:%y%m%d%H%M%S}Z".encode()
    for old, new in (
        (b"\x0c\x0f" + topic, b"\x0c\x0f\xff" + topic[1:]),  # a name that is not UTF-8
        (end, end[:2] + b"99" + end[4:]),  # a month that there is not
    ):
        broken = altered(pair().certificate_pem, old, new)
        with pytest.raises(CredentialError, match="is damaged") as caught:
            load_certificate(broken, pair().private_key_pem)
        assert caught.value.fault is Fault.MALFORMED


def test_a_certificate_of_a_version_that_there_is_not_is_refused() -> None:
    version = b"\xa0\x03\x02\x01"
    broken = altered(pair().certificate_pem, version + b"\x02", version + b"\x12")
    with pytest.raises(CredentialError, match="is damaged"):
        load_certificate(broken, pair().private_key_pem)


def test_one_that_can_be_read_is_taken_before_one_that_cannot() -> None:
    topic = b"com.example.app"
    broken = altered(pair().certificate_pem, b"\x0c\x0f" + topic, b"\x0c\x0f\xff" + topic[1:])
    credential = load_certificate(broken + pair().certificate_pem, pair().private_key_pem)
    assert credential.default_topic == "com.example.app"
