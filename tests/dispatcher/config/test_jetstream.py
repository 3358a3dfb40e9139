from __future__ import annotations

from typing import Any

import pytest

from tests.dispatcher.bundles import SECRETS, bundle, ref
from tests.peers.nats_credentials import USER, Decentral, NKey
from tubepost_api.config import QueueConfig
from tubepost_api.config_jetstream import JetStreamConfig, JetStreamPlacement, JetStreamTlsConfig
from tubepost_credentials.throwaway import make_ca, make_server_certificate
from tubepost_dispatcher.config.bundle import Prepared, prepare
from tubepost_dispatcher.store.jetstream.settings import Identity, JetStreamSettings

CA = make_ca()
PAIR = make_server_certificate(CA, ("client.test",))
KEY = NKey.make(USER)
THERE: dict[str, dict[str, bytes]] = {
    "nats": {
        "nats.creds": Decentral().file().encode(),
        "seed": KEY.seed.encode(),
        "username": b"tubepost",
        "password": b"not-a-secret-2",
    },
    "pair": {
        "ca.crt": CA.certificate_pem,
        "tls.crt": PAIR.certificate_pem,
        "tls.key": PAIR.private_key_pem,
    },
}
CERTIFICATE = JetStreamTlsConfig(
    ca=ref("pair", "ca.crt"), certificate=ref("pair", "tls.crt"), private_key=ref("pair", "tls.key")
)


def stream(scheme: str = "nats", **changes: Any) -> JetStreamConfig:
    servers = (f"{scheme}://a:4222", f"{scheme}://b:4222")
    return JetStreamConfig(servers=servers, stream="S", subject_prefix="p", **changes)


def look(config: JetStreamConfig, secrets: dict[str, dict[str, bytes]] = THERE) -> tuple[Prepared, list[str]]:
    queue = QueueConfig(persistent=True, jet_stream=config)
    found, problems = prepare(bundle(queue=queue, secrets={**SECRETS, **secrets}))
    return found, [problem.field for problem in problems]


def settings(config: JetStreamConfig) -> JetStreamSettings:
    found, problems = look(config)
    assert problems == []
    assert found.obstacle == ""
    assert found.jet_stream is not None
    return found.jet_stream


def test_a_queue_on_disk_has_no_stream() -> None:
    assert prepare(bundle(queue=QueueConfig(persistent=True)))[0].jet_stream is None


def test_the_stream_is_that_of_the_document() -> None:
    plain = ("nats://a:4222", "nats://b:4222")
    assert settings(stream()) == JetStreamSettings(plain, "S", "p")
    placement = JetStreamPlacement(cluster="east", tags=("ssd",))
    assert settings(stream(replicas=5, max_age=7.0, max_bytes=70, placement=placement)) == JetStreamSettings(
        plain, "S", "p", 5, 7.0, 70, "east", ("ssd",)
    )


def test_the_users_of_all_kinds() -> None:
    assert settings(stream(account="nats")).identity == Identity(None, "tubepost", "not-a-secret-2")
    of_seed = settings(stream(nkey=ref("nats", "seed"))).identity.key
    assert of_seed is not None
    assert (of_seed.public, of_seed.token) == (KEY.public, None)
    of_file = settings(stream(credentials=ref("nats", "nats.creds"))).identity.key
    assert of_file is not None
    assert of_file.token


def test_servers_with_tls_have_a_context() -> None:
    assert settings(stream()).tls is None
    system, own = settings(stream("tls")).tls, settings(stream("tls", tls=CERTIFICATE)).tls
    assert system is not None
    assert own is not None
    assert own.check_hostname
    assert len(own.get_ca_certs()) == 1


def test_the_same_secrets_need_no_other_connection() -> None:
    before, same = settings(stream("tls", tls=CERTIFICATE)), settings(stream("tls", tls=CERTIFICATE))
    assert same.tls is not before.tls
    assert same.reached_as(before)
    other = make_server_certificate(CA, ("client.test",))
    pair = {**THERE["pair"], "tls.crt": other.certificate_pem, "tls.key": other.private_key_pem}
    renewed = look(stream("tls", tls=CERTIFICATE), {**THERE, "pair": pair})[0].jet_stream
    assert renewed is not None
    assert not renewed.reached_as(before)
    assert not settings(stream("tls")).reached_as(before)
    assert settings(stream(max_bytes=70)).reached_as(settings(stream()))
    assert not settings(stream(account="nats")).reached_as(settings(stream()))


@pytest.mark.parametrize(
    ("config", "key", "field"),
    [
        (stream(account="nats"), "password", "authSecretName"),
        (stream(nkey=ref("nats", "seed")), "seed", "nkey"),
        (stream(credentials=ref("nats", "nats.creds")), "nats.creds", "credentials"),
        (stream("tls", tls=CERTIFICATE), "ca.crt", "tls.ca"),
        (stream("tls", tls=CERTIFICATE), "tls.key", "tls.certificate"),
    ],
)
def test_nothing_is_tried_without_a_secret_that_was_asked_for(
    config: JetStreamConfig, key: str, field: str
) -> None:
    rest = {name: {k: value for k, value in secret.items() if k != key} for name, secret in THERE.items()}
    found, problems = look(config, rest)
    assert problems == [f"spec.queue.jetStream.{field}"]
    assert found.jet_stream is None
    assert found.obstacle == "a Secret for the queue on JetStream cannot be used"


def test_nothing_secret_is_shown() -> None:
    found, _ = look(stream(account="nats"))
    assert "not-a-secret-2" not in repr(found) + repr(found.jet_stream)
