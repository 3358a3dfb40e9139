from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tubepost_operator.webhook.certificates import (
    AUTHORITIES,
    AUTHORITY_KEY,
    AUTHORITY_LIFE,
    CERTIFICATE,
    CERTIFICATE_LIFE,
    PRIVATE_KEY,
    CertificatePlan,
    plan_certificates,
    same_certificates,
    secret_data,
)

HOSTS = ("tubepost-webhook.push.svc", "tubepost-webhook.push.svc.cluster.local")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class World:
    """A Secret and a webhook configuration that do as the plan says, one step at a time."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now
        self.secret: Mapping[str, bytes] = {}
        self.published = b""

    def step(self, hosts: tuple[str, ...] = HOSTS) -> CertificatePlan:
        plan = plan_certificates(self.secret, self.published, hosts=hosts, now=self.now)
        if plan.data is not None:
            self.secret = plan.data
        self.published = plan.bundle
        return plan

    def settle(self) -> None:
        for _ in range(5):
            plan = self.step()
            assert self.trusted
            if plan.settled and plan.data is None:
                return
        raise AssertionError("the plan never comes to rest")

    @property
    def trusted(self) -> bool:
        """Whether the API server trusts what a replica shows that has just read the Secret."""
        certificate = x509.load_pem_x509_certificate(self.secret[CERTIFICATE])
        if not certificate.not_valid_before_utc <= self.now < certificate.not_valid_after_utc:
            return False
        for authority in x509.load_pem_x509_certificates(self.published):
            if authority.not_valid_after_utc <= self.now:
                continue
            try:
                certificate.verify_directly_issued_by(authority)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False


def settled(now: datetime = NOW) -> World:
    world = World(now)
    world.settle()
    return world


def test_the_first_certificate() -> None:
    world = World()
    plan = world.step()
    assert plan.reason == "there was no certificate"
    assert set(world.secret) == {AUTHORITIES, AUTHORITY_KEY, CERTIFICATE, PRIVATE_KEY}
    assert world.trusted
    assert plan.settled
    assert plan.not_after - NOW <= CERTIFICATE_LIFE
    assert "PRIVATE" not in repr(plan)
    certificate = x509.load_pem_x509_certificate(world.secret[CERTIFICATE])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == list(HOSTS)


def test_what_is_well_is_left_alone() -> None:
    world = settled()
    for days in (0, 1, 30, 55):
        world.now = NOW + timedelta(days=days)
        plan = world.step()
        assert plan.data is None
        assert plan.reason == ""
        assert plan.settled


def test_an_emptied_configuration_gets_its_bundle_back() -> None:
    world = settled()
    bundle = world.published
    plan = plan_certificates(world.secret, b"", hosts=HOSTS, now=NOW)
    assert plan.data is None
    assert same_certificates(plan.bundle, bundle)


def test_the_certificate_is_renewed_when_a_third_of_its_life_is_left() -> None:
    world = settled()
    before = world.secret
    world.now = NOW + CERTIFICATE_LIFE * 2 / 3
    plan = world.step()
    assert plan.reason == "the certificate comes to its end"
    assert world.secret[CERTIFICATE] != before[CERTIFICATE]
    assert world.secret[AUTHORITIES] == before[AUTHORITIES]
    assert world.trusted
    # Who has not read the Secret anew is trusted as well.
    assert same_certificates(plan.bundle, before[AUTHORITIES])


def test_another_name_of_the_service() -> None:
    world = settled()
    plan = world.step(("other.push.svc",))
    assert plan.reason == "the Service's names have changed"
    assert world.step(("other.push.svc",)).data is None


def test_a_new_authority_is_published_before_it_signs() -> None:
    world = settled()
    first = world.secret
    world.now = NOW + AUTHORITY_LIFE * 2 / 3
    # The operator was away; the certificate is long over, so there is nothing to go on with.
    assert world.step().reason == "the certificate could not be used any more"
    world = settled()
    while world.now < NOW + AUTHORITY_LIFE * 2 / 3 - CERTIFICATE_LIFE / 2:
        world.now += timedelta(days=20)
        world.settle()
    certificate = world.secret[CERTIFICATE]
    world.now = NOW + AUTHORITY_LIFE * 2 / 3
    plan = plan_certificates(world.secret, world.published, hosts=HOSTS, now=world.now)
    assert plan.reason == "the authority comes to its end"
    assert plan.data is not None
    assert plan.data[CERTIFICATE] == certificate
    assert not plan.settled
    assert len(x509.load_pem_x509_certificates(plan.bundle)) == 2
    # The Secret is written, the configuration is not yet: nothing may be signed by the new authority.
    world.secret = plan.data
    waiting = plan_certificates(world.secret, world.published, hosts=HOSTS, now=world.now)
    assert waiting.data is None
    assert not waiting.settled
    assert waiting.bundle == plan.bundle
    world.published = plan.bundle
    assert world.step().reason == "there is a new authority"
    assert world.trusted
    assert first[AUTHORITY_KEY] != world.secret[AUTHORITY_KEY]


def test_ten_years_pass() -> None:
    world = settled()
    authorities = set()
    while world.now < NOW + timedelta(days=3650):
        world.now += timedelta(days=10)
        world.settle()
        present = x509.load_pem_x509_certificates(world.published)
        assert 1 <= len(present) <= 2
        authorities |= {certificate.serial_number for certificate in present}
    assert len(authorities) == 6


@pytest.mark.parametrize("key", [AUTHORITIES, AUTHORITY_KEY, CERTIFICATE, PRIVATE_KEY])
@pytest.mark.parametrize("damage", ["gone", "empty", "garbage", "another"])
def test_a_damaged_secret_is_made_anew(key: str, damage: str) -> None:
    world = settled()
    data = dict(world.secret)
    if damage == "gone":
        del data[key]
    else:
        data[key] = {"empty": b"", "garbage": b"\xff nonsense", "another": settled().secret[key]}[damage]
    world.secret = data
    assert world.step().reason == "the certificate could not be used any more"
    assert world.trusted
    world.settle()


@pytest.mark.parametrize("key", [AUTHORITIES, CERTIFICATE])
def test_one_of_a_version_that_there_is_not_is_made_anew(key: str) -> None:
    world = settled()
    der = ssl.PEM_cert_to_DER_cert(world.secret[key].decode())
    version = b"\xa0\x03\x02\x01"
    broken = ssl.DER_cert_to_PEM_cert(der.replace(version + b"\x02", version + b"\x12"))
    world.secret = {**world.secret, key: broken.encode()}
    assert world.step().reason == "the certificate could not be used any more"
    world.settle()


def test_a_certificate_without_names_is_replaced() -> None:
    world = settled()
    plan = plan_certificates(world.secret, world.published, hosts=(), now=NOW)
    assert plan.reason == "the Service's names have changed"


def test_a_tls_client_accepts_it() -> None:
    data = settled(datetime.now(UTC)).secret
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tls.pem"
        path.write_bytes(data[CERTIFICATE] + data[PRIVATE_KEY])
        server.load_cert_chain(path)
    client = ssl.create_default_context(cadata=data[AUTHORITIES].decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=HOSTS[0]),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done: set[int] = set()
    for turn in range(10):
        try:
            sides[turn % 2].do_handshake()
            done.add(turn % 2)
        except ssl.SSLWantReadError:
            continue
    assert done == {0, 1}


def test_the_contents_of_a_secret() -> None:
    good = base64.b64encode(b"value").decode()
    assert secret_data(None) == {}
    assert secret_data({"metadata": {}}) == {}
    assert secret_data({"data": None}) == {}
    assert secret_data({"data": {"a": good, "b": "!!", "c": None}}) == {"a": b"value"}


def test_bundles_are_compared_by_their_certificates() -> None:
    one, other = settled().published, settled().published
    assert same_certificates(one + other, b"\n" + other + b"\n" + one)
    assert not same_certificates(one, other)
    assert not same_certificates(one, b"")
    assert not same_certificates(b"nonsense", one)
