from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.dispatcher.bundles import SECRETS, bundle, prepared, ref
from tubepost_api.config import AuthConfig, RestConfig, RestTlsConfig, RouteTls, StartTlsConfig, StartTlsMode
from tubepost_api.config_logger import LoggerConfig, WebhookConfig
from tubepost_api.config_relay import BouncesConfig, RelayConfig
from tubepost_api.problems import ProblemCode
from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_server_certificate
from tubepost_dispatcher.config.bundle import Prepared, prepare

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
    assert [p.field for p in problems] == ["spec.tls.ca"]
    broken, problems = prepare(bundle(routes=changes, secrets={**SECRETS, "ca": {"ca.crt": b"no"}}))
    assert broken.routes["apns"].credential is None
    assert [p.field for p in problems] == ["spec.tls.ca"]
    route = route.model_copy(update={"tls": RouteTls(ciphers="NONSENSE")})
    broken, problems = prepare(bundle(routes={**changes, "apns": route}))
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
    assert prepared(passthru=RelayConfig(host="relay"), secrets={}).obstacle == ""


@pytest.mark.parametrize(
    ("secret", "users", "faults"),
    [
        ({"username": b"a\n", "password": b" p \n"}, {"a": " p "}, 0),
        ({"users": b"# staff\na:1:2\n\nb:3\n"}, {"a": "1:2", "b": "3"}, 0),
        ({"users": b"a\nb:3"}, {"b": "3"}, 1),
        ({"users": b":1\nb:3"}, {"b": "3"}, 1),
        ({"users": b"b:3", "username": b"a"}, {"b": "3"}, 1),
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
    passthru = RelayConfig(host="relay", auth="relay")
    account = {"username": b"u\n", "password": b"p\n"}
    assert prepared(passthru=passthru, secrets={**SECRETS, "relay": account}).relay_auth == ("u", "p")
    found, problems = prepare(bundle(passthru=passthru))
    assert found.relay_auth is None
    assert [(p.field, p.message, p.code, p.secret) for p in problems] == [
        (
            "spec.passthru.authSecretName",
            "Secret 'relay' does not exist",
            ProblemCode.SECRET_NOT_FOUND,
            "relay",
        )
    ]


def test_without_the_account_that_the_proxy_asks_for_nothing_is_sent() -> None:
    routes = bundle().config.routes
    route = routes["apns"].model_copy(update={"proxy_auth": ref("proxy", "account")})
    changes = {**routes, "apns": route}
    found, problems = prepare(bundle(routes=changes))
    assert found.routes["apns"].credential is None
    assert [p.field for p in problems] == ["spec.proxy.auth"]
    found, problems = prepare(bundle(routes=changes, secrets={**SECRETS, "proxy": {"account": b"u:p\n"}}))
    assert problems == ()
    assert found.routes["apns"].proxy_auth == "u:p"


def test_a_relay_with_authorities_of_its_own_trusts_these_alone() -> None:
    ca = make_ca("relay")
    secrets = {**SECRETS, "relay-ca": {"ca.crt": ca.certificate_pem}}
    passthru = RelayConfig(host="relay", tls="Tls", ca=ref("relay-ca", "ca.crt"))
    found, problems = prepare(bundle(passthru=passthru, secrets=secrets))
    assert problems == ()
    assert found.relay_tls is not None
    assert (found.relay_tls.verify_mode, found.relay_tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert [names["subject"] for names in found.relay_tls.get_ca_certs()] == [((("commonName", "relay"),),)]
    plain = passthru.model_copy(update={"tls": "None"})
    system = passthru.model_copy(update={"ca": None})
    assert prepare(bundle(passthru=plain, secrets=secrets))[0].relay_tls is None
    assert prepare(bundle(passthru=system, secrets=secrets))[0].relay_tls is None
    blind = prepare(bundle(passthru=passthru.model_copy(update={"verify": False}), secrets=secrets))[0]
    assert blind.relay_tls is not None
    assert blind.relay_tls.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize("secret", [None, {}, {"ca.crt": b"no certificate"}])
def test_a_relay_whose_authorities_cannot_be_read_is_trusted_by_nobody(
    secret: dict[str, bytes] | None,
) -> None:
    passthru = RelayConfig(host="relay", tls="Tls", ca=ref("relay-ca", "ca.crt"))
    secrets = SECRETS if secret is None else {**SECRETS, "relay-ca": secret}
    found, problems = prepare(bundle(passthru=passthru, secrets=secrets))
    assert [(p.kind, p.field) for p in problems] == [("PushDomain", "spec.passthru.ca")]
    assert found.relay_tls is not None
    assert found.relay_tls.verify_mode == ssl.CERT_REQUIRED
    assert found.relay_tls.get_ca_certs() == []


def test_a_certificate_out_of_its_time_or_environment_serves_with_a_warning() -> None:
    routes = bundle().config.routes
    credential = prepared().routes["apns"].credential
    assert isinstance(credential, CertificateCredential)
    after = credential.not_after.timestamp() + 1
    found, problems = prepare(bundle(), after)
    assert problems == ()
    assert found.routes["apns"].credential is not None
    (warning,) = found.warnings
    assert (warning.severity, warning.name, warning.field) == ("warning", "apns", "spec.certificate")
    assert "expired" in warning.message
    assert prepare(bundle(), after - 2)[0].warnings == ()
    sandbox = make_apns_certificate(make_ca(), ("com.example.app",), ("Sandbox",))
    secrets = {
        **SECRETS,
        "cert": {"tls.crt": sandbox.certificate_pem, "tls.key": sandbox.private_key_pem},
    }
    production = routes["apns"].model_copy(update={"environment": "Production"})
    found, problems = prepare(bundle(routes={**routes, "apns": production}, secrets=secrets))
    assert problems == ()
    assert "the certificate is for Sandbox" in found.warnings[0].message


def test_a_good_certificate_that_ends_soon_makes_a_notice() -> None:
    credential = prepared().routes["apns"].credential
    assert isinstance(credential, CertificateCredential)
    found, problems = prepare(bundle(), credential.not_after.timestamp() - 86_400)
    assert (problems, found.warnings) == ((), ())
    (notice,) = found.notices
    assert (notice.severity, notice.name, notice.field) == ("warning", "apns", "spec.certificate")
    assert "expires" in notice.message
    assert prepare(bundle())[0].notices == ()


def test_the_last_user_is_not_lost() -> None:
    listener = _listener(auth=AuthConfig(secret="auth"))

    def users(text: bytes | None) -> Prepared:
        secrets = {**SECRETS, "auth": {"users": text}} if text is not None else SECRETS
        return prepared(listener=listener, secrets=secrets)

    some = users(b"a:1\n:2\n")
    assert some.users == {"a": "1"}
    assert not users(b"b:1\n:2\n").loses_users_of(some)
    assert users(None).loses_users_of(some)
    assert users(b"# nobody").loses_users_of(some)
    assert not prepared().loses_users_of(some)
    assert not users(None).loses_users_of(users(b":2"))


RELAY = RelayConfig(host="mx", tls="Tls", auth="account", ca=ref("relay-ca", "ca.crt"))
ACCOUNT = {"username": b"u\n", "password": b"p\n"}


def test_the_relay_for_reports_has_an_account_and_authorities_of_its_own() -> None:
    ca = make_ca("reports")
    secrets = {**SECRETS, "account": ACCOUNT, "relay-ca": {"ca.crt": ca.certificate_pem}}
    config = BouncesConfig(relay=RELAY)
    found, problems = prepare(bundle(bounces=config, passthru=RelayConfig(host="other"), secrets=secrets))
    assert problems == ()
    assert (found.relay_auth, found.relay_tls) == (None, None)
    assert found.bounce_relay is not None
    assert (found.bounce_relay.config, found.bounce_relay.auth) == (RELAY, ("u", "p"))
    assert found.bounce_relay.tls is not None
    names = [name["subject"] for name in found.bounce_relay.tls.get_ca_certs()]
    assert names == [((("commonName", "reports"),),)]
    assert "p'" not in repr(found.bounce_relay)
    assert prepared().bounce_relay is None


def test_a_relay_for_reports_that_lacks_its_secrets_is_told() -> None:
    found, problems = prepare(bundle(bounces=BouncesConfig(relay=RELAY)))
    assert [(p.kind, p.field) for p in problems] == [
        ("PushDomain", "spec.bounces.relay.authSecretName"),
        ("PushDomain", "spec.bounces.relay.ca"),
    ]
    assert found.bounce_relay is not None
    assert found.bounce_relay.auth is None
    assert found.bounce_relay.tls is not None
    assert found.bounce_relay.tls.get_ca_certs() == []


REST = RestConfig(
    tokens="clients",
    tls=RestTlsConfig(certificate=ref("rest", "tls.crt"), private_key=ref("rest", "tls.key")),
)
CLIENTS = {"app": b"0123456789abcdef\n"}
PAIR = {"tls.crt": _SERVER.certificate_pem, "tls.key": _SERVER.private_key_pem}


def test_the_listener_for_requests_has_its_certificate_and_its_clients() -> None:
    found, problems = prepare(bundle(rest=REST, secrets={**SECRETS, "clients": CLIENTS, "rest": PAIR}))
    assert problems == ()
    assert found.starttls is None
    assert found.rest is not None
    assert found.rest.tls is not None
    assert found.rest.tokens == {"app": "0123456789abcdef"}
    assert "0123456789abcdef" not in repr(found)
    assert len(found.certificates) == 2
    plain = prepared(rest=REST.model_copy(update={"tls": None}), secrets={**SECRETS, "clients": CLIENTS})
    assert plain.rest is not None
    assert plain.rest.tls is None
    assert prepared().rest is None


def test_a_listener_for_requests_never_goes_without_the_certificate_that_is_asked_for() -> None:
    found, problems = prepare(bundle(rest=REST, secrets={**SECRETS, "clients": CLIENTS}))
    assert found.rest is None
    assert [(p.field, p.code) for p in problems] == [("spec.rest.tls", ProblemCode.SECRET_NOT_FOUND)]
    found, problems = prepare(bundle(rest=REST, secrets={**SECRETS, "rest": PAIR}))
    assert found.rest is not None
    assert found.rest.tokens == {}
    assert [p.field for p in problems] == ["spec.rest.tokens"]


def test_clients_are_not_lost_to_a_further_fault_of_their_secret() -> None:
    plain = REST.model_copy(update={"tls": None})
    good = prepared(rest=plain, secrets={**SECRETS, "clients": {**CLIENTS, "bad": b""}})
    assert good.rest is not None
    assert good.rest.tokens
    worse = prepared(rest=plain, secrets={**SECRETS, "clients": {"app": b"", "bad": b""}})
    assert worse.loses_users_of(good)
    assert not good.loses_users_of(worse)
    assert not prepared().loses_users_of(good), "requests are not wanted any more"


WEBHOOK = WebhookConfig(
    url="https://events.example",
    authorization=ref("events", "authorization"),
    signature=ref("events", "hmac"),
    ca=ref("events-ca", "ca.crt"),
)
EVENTS = {"authorization": b"Bearer x\n", "hmac": b"0123456789abcdef"}


def test_a_webhook_has_what_its_requests_need() -> None:
    ca = make_ca("events")
    secrets = {**SECRETS, "events": EVENTS, "events-ca": {"ca.crt": ca.certificate_pem}}
    loggers = (LoggerConfig(name="log"), LoggerConfig(name="hook", webhook=WEBHOOK))
    found, problems = prepare(bundle(loggers=loggers, secrets=secrets))
    assert problems == ()
    assert list(found.webhooks) == ["hook"]
    webhook = found.webhooks["hook"]
    assert webhook is not None
    assert (webhook.config, webhook.authorization) == (WEBHOOK, "Bearer x")
    assert webhook.signing_key == b"0123456789abcdef"
    assert webhook.tls is not None
    assert [name["subject"] for name in webhook.tls.get_ca_certs()] == [((("commonName", "events"),),)]
    assert "Bearer" not in repr(webhook)
    assert "0123456789abcdef" not in repr(webhook)


def test_a_webhook_trusts_the_system_where_nothing_else_is_asked_for() -> None:
    for webhook, mode in (
        (WebhookConfig(url="https://events.example"), None),
        (WebhookConfig(url="http://events.example"), None),
        (WebhookConfig(url="https://events.example", verify=False), ssl.CERT_NONE),
    ):
        made = prepared(loggers=(LoggerConfig(name="hook", webhook=webhook),)).webhooks["hook"]
        assert made is not None
        assert (made.tls and made.tls.verify_mode) == mode


@pytest.mark.parametrize(
    ("events", "field"),
    [
        (None, "spec.sink.webhook.authorization"),
        ({**EVENTS, "hmac": b"short"}, "spec.sink.webhook.signature"),
        ({**EVENTS, "authorization": b""}, "spec.sink.webhook.authorization"),
    ],
)
def test_a_webhook_whose_secrets_cannot_be_used_sends_nothing(
    events: dict[str, bytes] | None, field: str
) -> None:
    config = WEBHOOK.model_copy(update={"ca": None})
    secrets = SECRETS if events is None else {**SECRETS, "events": events}
    found, problems = prepare(bundle(loggers=(LoggerConfig(name="hook", webhook=config),), secrets=secrets))
    assert found.webhooks == {"hook": None}
    assert {(p.kind, p.name) for p in problems} == {("ApnLogger", "hook")}
    assert problems[0].field == field
