"""The reader of Secrets: certificates, keys, accounts and users, with a canary among the bytes.

What is wrong is a finding of printable text with a remedy, never an exception; no text and no `repr` holds
the canary, or a line of the Secret's own base64.
"""

from __future__ import annotations

from typing import get_args

from tests.fuzz.target import Target
from tubepost_api.references import SecretReference, SecretUse
from tubepost_credentials.secrets import check
from tubepost_credentials.throwaway import (
    make_apns_certificate,
    make_ca,
    make_server_certificate,
    make_token_key,
)

_CANARY = b"canary3f9a51c07e"
_KEYS: dict[SecretUse, tuple[str, ...]] = {
    "StartTls": ("tls.crt", "tls.key"),
    "Users": ("username", "password"),
    "RelayAccount": ("username", "password"),
    "Certificate": ("tls.crt", "tls.key"),
    "Token": ("key.p8", "keyId", "teamId"),
    "Authorities": ("ca.crt",),
    "ProxyAccount": ("account",),
    "RelayAuthorities": ("ca.crt",),
    "BounceRelayAccount": ("username", "password"),
    "BounceRelayAuthorities": ("ca.crt",),
    "RestTls": ("tls.crt", "tls.key"),
    "RestTokens": (),
    "WebhookAuthorization": ("authorization",),
    "WebhookSignature": ("hmac",),
    "WebhookAuthorities": ("ca.crt",),
    "JetStreamCredentials": ("nats.creds",),
    "JetStreamNkey": ("seed",),
    "JetStreamAccount": ("username", "password"),
    "JetStreamAuthorities": ("ca.crt",),
    "JetStreamCertificate": ("tls.crt", "tls.key"),
}
_USES = tuple(_KEYS)  # new ones at the end: kept inputs have numbers
assert set(_USES) == set(get_args(SecretUse))
_LINE = 24
"""Characters of base64 that do not stand in a text by chance."""


def run(data: bytes) -> None:
    """Byte 0: what the Secret is for; byte 1: the environment; byte 2: where the canary goes. Then the values."""
    which, environment, place = (*data[:3], 0, 0, 0)[:3]
    use = _USES[which % len(_USES)]
    keys = _KEYS[use]
    values = data[3:].split(b"\xff", len(keys))
    if place:
        at = place % len(values)
        middle = len(values[at]) * place >> 8
        values[at] = values[at][:middle] + _CANARY + values[at][middle:]
    secret = dict(zip((*keys, "users"), values, strict=False))
    reference = SecretReference(
        use, "object", "secret", keys, (None, "Production", "Sandbox")[environment % 3]
    )
    material = check([reference], {"secret": secret}, 1_780_000_000.0)
    secrets = b"\n".join(values)
    for finding in material.findings:
        assert finding.text
        assert finding.remedy
        text = f"{finding.message} {finding.full_message} {finding.remedy}"
        assert text.isprintable(), text
        assert len(text) <= 4_000
        assert _CANARY.decode() not in text, text
        for word in text.split():
            assert len(word) < _LINE or word.encode() not in secrets or word.isalpha(), text
    if use == "Token" and _CANARY in b"".join(values[1:]):
        return  # key and team id are no secrets: they are shown
    assert _CANARY.decode() not in repr(material)
    assert material.token is None or _CANARY.decode() not in repr(material.token.describe())


def _seed(use: SecretUse, *values: bytes) -> bytes:
    return bytes((_USES.index(use), 0, 0)) + b"\xff".join(values)


def _seeds() -> tuple[bytes, ...]:
    """Throw-away credentials of every kind."""
    ca = make_ca()
    client = make_apns_certificate(ca, ("com.example.app",), ("Sandbox",))
    server = make_server_certificate(ca, ("mx.test",))
    both = client.certificate_pem + server.certificate_pem
    return (
        _seed("Users", b"app", b"secret", b"a:1\nb:2\n# c\nd"),
        _seed("RelayAccount", b"u\n", b" p \n"),
        _seed("ProxyAccount", b"user:password"),
        _seed("Token", make_token_key(), b"ABCDE12345", b"TEAM123456"),
        _seed("Token", make_token_key().replace(b"\n", b"\\n"), b"ABCDE12345\n", b"TEAM123456"),
        _seed("Certificate", client.certificate_pem, client.private_key_pem),
        _seed("Certificate", both, client.private_key_pem),
        _seed("StartTls", server.certificate_pem, server.private_key_pem),
        _seed("Authorities", ca.certificate_pem),
    )


TARGET = Target(
    run,
    8_192,
    _seeds(),
    (
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----END CERTIFICATE-----\n",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"-----END PRIVATE KEY-----\n",
        b"-----BEGIN EC PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        b"-----BEGIN EC PARAMETERS-----\n",
        b"Proc-Type: 4,ENCRYPTED\n",
        b"Bag Attributes\n",
        b"\xff",
        b"\\n",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"MII",
        b"MIGH",
        b"=\n",
        b":",
        b"\n",
        b"# ",
        _CANARY,
    ),
)
