from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from tests.peers.nats_credentials import USER, Decentral, NKey
from tubepost_api.references import SecretReference, SecretUse
from tubepost_credentials import Fault
from tubepost_credentials.secrets import Material, Reference, Use, check
from tubepost_credentials.throwaway import (
    make_apns_certificate,
    make_ca,
    make_server_certificate,
    make_token_key,
)

CA = make_ca()
START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
CLIENT = make_apns_certificate(CA, ("com.example.app",), ("Sandbox",), days=365, start=START)
SERVER = make_server_certificate(CA, ("mx.test",), days=365, start=START)
PAIR = {"tls.crt": CLIENT.certificate_pem, "tls.key": CLIENT.private_key_pem}
TOKEN = {"key.p8": make_token_key(), "keyId": b"ABCDE12345", "teamId": b"TEAM123456"}

KEYS: dict[Use, tuple[str, ...]] = {
    "StartTls": ("tls.crt", "tls.key"),
    "Users": ("username", "password"),
    "RelayAccount": ("username", "password"),
    "RelayAuthorities": ("ca.crt",),
    "BounceRelayAccount": ("username", "password"),
    "BounceRelayAuthorities": ("ca.crt",),
    "RestTls": ("tls.crt", "tls.key"),
    "RestTokens": (),
    "JetStreamCredentials": ("nats.creds",),
    "JetStreamNkey": ("seed",),
    "JetStreamAccount": ("username", "password"),
    "JetStreamAuthorities": ("ca.crt",),
    "JetStreamCertificate": ("tls.crt", "tls.key"),
    "WebhookAuthorization": ("authorization",),
    "WebhookSignature": ("hmac",),
    "WebhookAuthorities": ("ca.crt",),
    "Certificate": ("tls.crt", "tls.key"),
    "Token": ("key.p8", "keyId", "teamId"),
    "Authorities": ("ca.crt",),
    "ProxyAccount": ("account",),
}
GOOD: dict[Use, dict[str, bytes]] = {
    "StartTls": {"tls.crt": SERVER.certificate_pem, "tls.key": SERVER.private_key_pem},
    "Users": {"users": b"a:1"},
    "RelayAccount": {"username": b"u\n", "password": b" p \n"},
    "RelayAuthorities": {"ca.crt": CA.certificate_pem},
    "BounceRelayAccount": {"username": b"u\n", "password": b" p \n"},
    "BounceRelayAuthorities": {"ca.crt": CA.certificate_pem},
    "RestTls": {"tls.crt": SERVER.certificate_pem, "tls.key": SERVER.private_key_pem},
    "RestTokens": {"app": b"0123456789abcdef\n"},
    "JetStreamCredentials": {"nats.creds": Decentral().file().encode()},
    "JetStreamNkey": {"seed": NKey.make(USER).seed.encode() + b"\n"},
    "JetStreamAccount": {"username": b"u\n", "password": b" p \n"},
    "JetStreamAuthorities": {"ca.crt": CA.certificate_pem},
    "JetStreamCertificate": {"tls.crt": SERVER.certificate_pem, "tls.key": SERVER.private_key_pem},
    "WebhookAuthorization": {"authorization": b"Bearer 0123456789abcdef\n"},
    "WebhookSignature": {"hmac": b"0123456789abcdef\n"},
    "WebhookAuthorities": {"ca.crt": CA.certificate_pem},
    "Certificate": PAIR,
    "Token": TOKEN,
    "Authorities": {"ca.crt": CA.certificate_pem},
    "ProxyAccount": {"account": b"u:p\n"},
}


def reference(use: Use) -> SecretReference:
    return SecretReference(use, "name", "s", KEYS[use])


def read(use: Use, secret: dict[str, bytes] | None, now: datetime | float | None = None) -> Material:
    return check([reference(use)], {} if secret is None else {"s": secret}, now)


def faults(material: Material) -> list[Fault]:
    return [finding.fault for finding in material.findings]


def test_the_uses_are_those_of_the_schema() -> None:
    assert set(get_args(Use)) == set(get_args(SecretUse)) == set(KEYS)
    assert isinstance(reference("Users").use, str)


@pytest.mark.parametrize("use", list(KEYS))
def test_what_is_good_is_read_and_nothing_is_found(use: Use) -> None:
    material = read(use, GOOD[use], NOW)
    assert material.findings == ()
    assert material.complete
    values = {
        "StartTls": material.certificate,
        "Users": material.users,
        "RelayAccount": material.relay_account,
        "RelayAuthorities": material.authorities,
        "Certificate": material.certificate,
        "Token": material.token,
        "Authorities": material.authorities,
        "ProxyAccount": material.proxy_account,
        "BounceRelayAccount": material.bounce_account,
        "BounceRelayAuthorities": material.bounce_authorities,
        "RestTls": material.rest_certificate,
        "RestTokens": material.rest_tokens,
        "JetStreamCredentials": material.jet_stream_key,
        "JetStreamNkey": material.jet_stream_key,
        "JetStreamAccount": material.jet_stream_account,
        "JetStreamAuthorities": material.jet_stream_authorities,
        "JetStreamCertificate": material.jet_stream_certificate,
        "WebhookAuthorization": material.authorization,
        "WebhookSignature": material.signing_key,
        "WebhookAuthorities": material.authorities,
    }
    assert values[use] is not None
    assert material.relay_account in {None, ("u", " p ")}
    assert material.bounce_account in {None, ("u", " p ")}
    assert material.jet_stream_account in {None, ("u", " p ")}
    assert material.proxy_account in {None, "u:p"}
    assert material.rest_tokens in (None, {"app": "0123456789abcdef"})
    assert material.authorization in {None, "Bearer 0123456789abcdef"}
    assert material.signing_key in {None, b"0123456789abcdef"}


@pytest.mark.parametrize("use", list(KEYS))
def test_a_secret_that_is_missing_is_told_once_with_its_field(use: Use) -> None:
    material = read(use, None)
    (finding,) = material.findings
    where = reference(use)
    assert finding.fault is Fault.SECRET_NOT_FOUND
    assert (finding.kind, finding.name, finding.field) == (where.kind, "name", where.field)
    assert finding.message == "Secret 's' does not exist"
    assert finding.full_message == f"{where.kind} name: Secret 's' ({where.field}) does not exist"
    assert not material.complete


@pytest.mark.parametrize("use", [use for use in KEYS if KEYS[use]])
def test_every_key_that_is_missing_is_told(use: Use) -> None:
    last = KEYS[use][-1]
    secret = dict.fromkeys((*KEYS[use][:-1], "other"), b"x")
    material = read(use, secret)
    assert [(f.fault, f.keys) for f in material.findings if f.fault is Fault.KEY_MISSING] == [
        (Fault.KEY_MISSING, () if use == "Users" and not secret.keys() & {"username"} else (last,))
    ]
    assert f"Secret 's' has no key {last!r}; it has " in material.findings[0].message


@pytest.mark.parametrize(
    "use",
    [
        "StartTls",
        "RestTls",
        "Certificate",
        "Token",
        "Authorities",
        "RelayAuthorities",
        "BounceRelayAuthorities",
        "WebhookAuthorities",
    ],
)
def test_what_cannot_be_read_is_told_without_a_byte_of_it(use: Use) -> None:
    text = "c2VjcmV0LWNvbnRlbnQ-dmVyeS1zZWNyZXQ"
    material = read(use, dict.fromkeys(KEYS[use], text.encode()))
    assert faults(material) == [Fault.MALFORMED]
    (finding,) = material.findings
    assert text not in repr(material) + finding.full_message + finding.remedy
    assert finding.message.startswith("Secret 's'")


@pytest.mark.parametrize(
    ("use", "side"), [("StartTls", "server"), ("RestTls", "server"), ("Certificate", "client")]
)
def test_a_pair_that_does_not_belong_together_is_of_its_own_kind(use: Use, side: str) -> None:
    material = read(use, {**PAIR, "tls.key": SERVER.private_key_pem})
    assert faults(material) == [Fault.KEY_MISMATCH]
    assert material.findings[0].message == (
        f"Secret 's', keys 'tls.crt' and 'tls.key': the private key does not belong to the {side} certificate"
    )


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (None, []),
        (NOW, []),
        (NOW.timestamp(), []),
        (datetime(2025, 12, 31, tzinfo=UTC), [Fault.NOT_YET_VALID]),
        (datetime(2027, 1, 2, tzinfo=UTC), [Fault.EXPIRED]),
    ],
)
@pytest.mark.parametrize("use", ["StartTls", "RestTls", "Certificate"])
def test_a_certificate_out_of_its_time_serves_all_the_same(
    use: Use, now: datetime | float | None, found: list[Fault]
) -> None:
    material = read(use, GOOD[use], now)
    assert faults(material) == found
    assert (material.certificate or material.rest_certificate) is not None
    assert material.complete


def test_a_certificate_for_the_other_environment_serves_all_the_same() -> None:
    wanted = SecretReference("Certificate", "name", "s", KEYS["Certificate"], "Production")
    material = check([wanted], {"s": PAIR}, NOW)
    assert faults(material) == [Fault.WRONG_ENVIRONMENT]
    assert material.certificate is not None
    assert check(
        [SecretReference("Certificate", "name", "s", KEYS["Certificate"], "Sandbox")], {"s": PAIR}
    ) == (check([reference("Certificate")], {"s": PAIR}))


@pytest.mark.parametrize(
    ("secret", "users", "found"),
    [
        ({"username": b"a\n", "password": b" p \n"}, {"a": " p "}, []),
        ({"users": b"# staff\na:1:2\n\n b:3 \n"}, {"a": "1:2", "b": "3"}, []),
        ({"users": b"a:1", "username": b"b", "password": b"2"}, {"a": "1", "b": "2"}, []),
        ({"users": b"a\nb:3\nc:\n:4"}, {"b": "3"}, [Fault.MALFORMED]),
        ({"users": b":4"}, {}, [Fault.MALFORMED]),
        ({"users": b"a:1", "username": b"b"}, {"a": "1"}, [Fault.KEY_MISSING]),
        ({"password": b"1"}, {}, [Fault.KEY_MISSING]),
        ({"users": b"# nobody"}, {}, [Fault.KEY_MISSING]),
        ({"other": b""}, {}, [Fault.KEY_MISSING]),
        (None, {}, [Fault.SECRET_NOT_FOUND]),
    ],
)
def test_good_users_are_read_whatever_else_is_wrong(
    secret: dict[str, bytes] | None, users: dict[str, str], found: list[Fault]
) -> None:
    material = read("Users", secret)
    assert material.users == users
    assert faults(material) == found


@pytest.mark.parametrize(
    ("use", "secret"),
    [
        ("RestTokens", {"app": b"hush-hush"}),
        ("RestTokens", {"app": b"hush-hush hush-hush"}),
        ("RestTokens", {"a": b"hush-hush-hush-hush", "b": b"hush-hush-hush-hush"}),
        ("WebhookAuthorization", {"authorization": b"hush-hush\nX-Other: 1"}),
        ("WebhookSignature", {"hmac": b"hush-hush"}),
        ("JetStreamNkey", {"seed": b"hush-hush"}),
        ("JetStreamCredentials", {"nats.creds": b"hush-hush"}),
    ],
)
def test_words_that_cannot_be_used_are_told_without_a_byte_of_them(
    use: Use, secret: dict[str, bytes]
) -> None:
    material = read(use, secret)
    assert faults(material) == [Fault.MALFORMED]
    (finding,) = material.findings
    assert "hush" not in repr(material) + finding.full_message + finding.remedy
    assert material.jet_stream_key is None
    assert (material.rest_tokens or None, material.authorization, material.signing_key) == (None, None, None)


def test_good_tokens_are_read_whatever_else_is_wrong() -> None:
    material = read("RestTokens", {"good": b"0123456789abcdef", "bad": b""})
    assert material.rest_tokens == {"good": "0123456789abcdef"}
    assert [(f.fault, f.keys) for f in material.findings] == [(Fault.MALFORMED, ("bad",))]


def test_a_secret_without_clients_is_told() -> None:
    material = read("RestTokens", {})
    assert material.rest_tokens == {}
    assert [(f.fault, f.message) for f in material.findings] == [
        (Fault.KEY_MISSING, "Secret 's' names no client")
    ]


def test_what_two_listeners_and_two_relays_have_is_kept_apart() -> None:
    other = make_ca("other")
    references = [
        SecretReference("StartTls", "a", "smtp", KEYS["StartTls"]),
        SecretReference("RestTls", "a", "rest", KEYS["RestTls"]),
        SecretReference("RelayAuthorities", "a", "ca", KEYS["RelayAuthorities"]),
        SecretReference("BounceRelayAuthorities", "a", "other", KEYS["BounceRelayAuthorities"]),
    ]
    second = make_server_certificate(CA, ("rest.test",))
    pair = {"tls.crt": second.certificate_pem, "tls.key": second.private_key_pem}
    secrets = {
        "smtp": GOOD["StartTls"],
        "rest": pair,
        "ca": GOOD["Authorities"],
        "other": {"ca.crt": other.certificate_pem},
    }
    material = check(references, secrets)
    assert material.certificate is not None
    assert material.rest_certificate is not None
    assert material.certificate.fingerprint != material.rest_certificate.fingerprint
    assert material.authorities != material.bounce_authorities


def test_without_a_reference_there_is_nothing_and_nothing_wrong() -> None:
    assert check([], {}) == Material()
    assert Material().users is None


def test_all_that_one_object_refers_to_is_read_together() -> None:
    references = [
        SecretReference("Certificate", "apns", "cert", KEYS["Certificate"]),
        SecretReference("Authorities", "apns", "ca", KEYS["Authorities"]),
    ]
    material = check(references, {"cert": PAIR})
    assert material.certificate is not None
    assert [(f.fault, f.field) for f in material.findings] == [(Fault.SECRET_NOT_FOUND, "spec.tls.ca")]
    assert not material.complete


@dataclass(frozen=True)
class Plain:
    """A reference of somebody else's."""

    use: Use = "ProxyAccount"
    kind: str = "Thing"
    name: str = "a"
    field: str = "spec.x"
    secret: str = "s"
    keys: tuple[str, ...] = ("k",)
    environment: None = None

    def missing(self, present: object) -> tuple[str, ...]:
        assert present is not None
        return ()


def test_references_may_be_of_any_type() -> None:
    one: Reference = Plain()
    assert check([one], {"s": {"k": b"u:p"}}).proxy_account == "u:p"


def test_many_keys_are_not_all_listed() -> None:
    secret = {f"k{number}": b"" for number in range(12)}
    assert (
        read("ProxyAccount", secret).findings[0].text.endswith("it has k0, k1, k10, k11, k2, k3, k4, k5, ...")
    )
    assert read("ProxyAccount", {}).findings[0].text.endswith("it has none")


@pytest.mark.parametrize("use", ["StartTls", "Certificate"])
@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=28), ""),
        (timedelta(days=27, hours=23), "in 27 days"),
        (timedelta(days=1, hours=1), "in 1 day"),
        (timedelta(hours=5), "in less than a day"),
    ],
)
def test_a_certificate_that_ends_soon_is_told_and_good(use: Use, left: timedelta, said: str) -> None:
    end = START + timedelta(days=365)
    for now in (end - left, (end - left).timestamp()):
        material = read(use, GOOD[use], now)
        assert material.findings == ()
        assert material.complete
        assert [notice.subject for notice in material.notices] == ["ExpiresSoon"] * bool(said)
        assert all(finding.message.endswith(said) for finding in material.notices)
        assert all(
            "key 'tls.crt': the certificate expires on 2027-01-01" in f.message for f in material.notices
        )


def test_an_expired_certificate_is_not_told_twice() -> None:
    material = read("Certificate", PAIR, START + timedelta(days=400))
    assert faults(material) == [Fault.EXPIRED]
    assert material.notices == ()


@pytest.mark.parametrize(
    ("use", "keys"),
    [
        ("StartTls", [("tls.crt",), ("tls.key",)]),
        ("Certificate", [("tls.crt",), ("tls.key",)]),
        ("Token", [("key.p8",)]),
        ("Authorities", [("ca.crt",)]),
    ],
)
def test_untidy_values_are_read_and_told_with_their_key(use: Use, keys: list[tuple[str, ...]]) -> None:
    secret = {key: value.replace(b"\n", b"\\n") for key, value in GOOD[use].items()}
    material = read(use, secret, NOW)
    assert material.findings == ()
    assert material.complete
    assert [(notice.subject, notice.keys) for notice in material.notices] == [("Untidy", key) for key in keys]
    assert all("has the two characters \\n" in finding.message for finding in material.notices)
    good = read(use, GOOD[use], NOW)
    assert (material.certificate, material.token) == (good.certificate, good.token)
    assert (material.authorities is None) == (good.authorities is None)


def test_which_of_several_certificates_is_used_is_told() -> None:
    old = make_apns_certificate(CA, ("com.example.app",), days=30, start=START)
    secret = {
        "tls.crt": old.certificate_pem + CLIENT.certificate_pem,
        "tls.key": CLIENT.private_key_pem + old.private_key_pem,
    }
    material = read("Certificate", secret, NOW)
    assert material.certificate is not None
    assert material.certificate.certificate_pem == CLIENT.certificate_pem
    assert [(notice.subject, notice.keys) for notice in material.notices] == [
        ("Chosen", ("tls.crt",)),
        ("Chosen", ("tls.key",)),
    ]


@pytest.mark.parametrize(("days", "found", "noticed"), [(-1, [Fault.EXPIRED], 0), (1, [], 1), (60, [], 0)])
def test_the_end_of_a_user_of_nats_is_told(days: int, found: list[Fault], noticed: int) -> None:
    end = int((NOW + timedelta(days=days)).timestamp())
    secret = {"nats.creds": Decentral().file(end=end).encode()}
    for now in (NOW, NOW.timestamp()):
        material = read("JetStreamCredentials", secret, now)
        assert faults(material) == found
        assert [notice.subject for notice in material.notices] == ["ExpiresSoon"] * noticed
        assert material.jet_stream_key is not None
    assert faults(read("JetStreamCredentials", secret)) == []
