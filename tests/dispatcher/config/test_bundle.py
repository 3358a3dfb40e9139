from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.bundles import SECRETS, bundle, prepared, ref
from tubepost_api.config import AuthConfig, PassthruConfig, RouteTls, StartTlsConfig, StartTlsMode
from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_credentials.authoring import make_ca, make_server_certificate
from tubepost_dispatcher.config.bundle import prepare

_SERVER = make_server_certificate(make_ca(), ("mx.test",))


def _listener(**changes: Any) -> Any:
    return bundle().config.listener.model_copy(update=changes)


def test_a_sound_bundle_has_its_credentials_and_no_problems() -> None:
    found, problems = prepare(bundle())
    assert problems == ()
    assert isinstance(found.routes["apns"].credential, CertificateCredential)
    assert isinstance(found.routes["token"].credential, TokenCredential)


def test_the_digest_follows_document_and_secrets_but_not_the_generation() -> None:
    digest = bundle().digest()
    assert len(digest) == 16
    assert bundle(generation=9).digest() == digest
    assert bundle(log_level="Debug").digest() != digest
    token = {**SECRETS["token"], "teamId": b"TEAM654321"}
    assert bundle(secrets={**SECRETS, "token": token}).digest() != digest
    assert bundle(secrets={**SECRETS, "other": {"a": b"b"}}).digest() == digest


def test_a_missing_secret_leaves_the_other_route_usable() -> None:
    found, problems = prepare(bundle(secrets={"token": SECRETS["token"]}))
    assert found.routes["apns"].credential is None
    assert found.routes["token"].credential is not None
    assert {(p.kind, p.name) for p in problems} == {("ApnRoute", "apns")}
    assert all("'cert'" in p.message for p in problems)


@pytest.mark.parametrize(
    ("secrets", "words"),
    [
        ({**SECRETS, "cert": {"tls.crt": SECRETS["cert"]["tls.crt"]}}, "has no key 'tls.key'"),
        (
            {**SECRETS, "cert": {**SECRETS["cert"], "tls.key": _SERVER.private_key_pem}},
            "does not belong",
        ),
        ({**SECRETS, "token": {**SECRETS["token"], "key.p8": b"no key"}}, "ApnRoute"),
    ],
)
def test_what_is_wrong_is_said_without_saying_a_secret(
    secrets: dict[str, dict[str, bytes]], words: str
) -> None:
    found, problems = prepare(bundle(secrets=secrets))
    text = "\n".join(map(str, problems)) + repr(found) + repr(found.bundle)
    assert words in text
    for keys in secrets.values():
        for name, value in keys.items():
            if name.endswith(("key", "p8")):
                assert value.decode() not in text


def test_without_the_ca_that_was_asked_for_no_server_is_trusted() -> None:
    route = bundle().config.routes["apns"].model_copy(update={"tls": RouteTls(ca=ref("ca", "ca.crt"))})
    changes = {"apns": route, "token": bundle().config.routes["token"]}
    found, problems = prepare(bundle(routes=changes))
    assert found.routes["apns"].credential is None
    assert [p.field for p in problems] == ["spec.tls.caSecretName"]
    broken, problems = prepare(bundle(routes=changes, secrets={**SECRETS, "ca": {"ca.crt": b"no"}}))
    assert broken.routes["apns"].credential is None
    assert [p.field for p in problems] == ["spec.tls"]


def test_starttls_needs_a_pair_that_belongs_together() -> None:
    starttls = StartTlsConfig(
        mode=StartTlsMode.OPTIONAL, certificate=ref("tls", "tls.crt"), private_key=ref("tls", "tls.key")
    )
    pair = {"tls.crt": _SERVER.certificate_pem, "tls.key": _SERVER.private_key_pem}
    listener = _listener(starttls=starttls)
    found, problems = prepare(bundle(listener=listener, secrets={**SECRETS, "tls": pair}))
    assert problems == ()
    assert found.starttls is not None
    pair = {**pair, "tls.key": SECRETS["cert"]["tls.key"]}
    found, problems = prepare(bundle(listener=listener, secrets={**SECRETS, "tls": pair}))
    assert found.starttls is None
    assert [p.field for p in problems] == ["spec.listener.startTls"]


_STARTTLS = StartTlsConfig(
    mode=StartTlsMode.REQUIRED, certificate=ref("tls", "tls.crt"), private_key=ref("tls", "tls.key")
)


@pytest.mark.parametrize(
    ("listener", "secrets", "words"),
    [
        ({}, SECRETS, ""),
        ({}, {"token": SECRETS["token"]}, ""),
        ({}, {}, "no ApnRoute has a credential"),
        ({"starttls": _STARTTLS}, SECRETS, "STARTTLS is required"),
        ({"starttls": _STARTTLS.model_copy(update={"mode": StartTlsMode.OPTIONAL})}, SECRETS, ""),
        ({"auth": AuthConfig(secret="auth", required=True)}, SECRETS, "AUTH is required"),
        ({"auth": AuthConfig(secret="auth", required=False)}, SECRETS, ""),
    ],
)
def test_an_obstacle_is_what_keeps_every_message_out(
    listener: dict[str, Any], secrets: dict[str, dict[str, bytes]], words: str
) -> None:
    found = prepared(listener=_listener(**listener), secrets=secrets)
    assert bool(found.obstacle) == bool(words)
    assert words in found.obstacle


def test_mail_for_the_relay_needs_no_credential() -> None:
    assert prepared(passthru=PassthruConfig(host="relay"), secrets={}).obstacle == ""


@pytest.mark.parametrize(
    ("secret", "users", "faults"),
    [
        ({"username": b"a\n", "password": b" p \n"}, {"a": " p "}, 0),
        ({"users": b"# staff\na:1:2\n\nb:3\n"}, {"a": "1:2", "b": "3"}, 0),
        ({"users": b"a\nb:3"}, {"b": "3"}, 1),
        ({"other": b""}, {}, 1),
        (None, {}, 1),
    ],
)
def test_users(secret: dict[str, bytes] | None, users: dict[str, str], faults: int) -> None:
    secrets = {**SECRETS, **({"auth": secret} if secret is not None else {})}
    found, problems = prepare(bundle(listener=_listener(auth=AuthConfig(secret="auth")), secrets=secrets))
    assert found.users == users
    assert len(problems) == faults


def test_the_relays_account() -> None:
    passthru = PassthruConfig(host="relay", auth="relay")
    account = {"username": b"u\n", "password": b"p\n"}
    assert prepared(passthru=passthru, secrets={**SECRETS, "relay": account}).relay_auth == ("u", "p")
    found, problems = prepare(bundle(passthru=passthru))
    assert found.relay_auth is None
    assert len(problems) == 2
