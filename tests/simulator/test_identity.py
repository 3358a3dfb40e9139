from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from tubepost_credentials.throwaway import KeyPair, make_apns_certificate, make_ca
from tubepost_simulator.identity import ClientCertificate, read_certificate

CA = make_ca()


def der(pair: KeyPair) -> bytes:
    return load_pem_x509_certificate(pair.certificate_pem).public_bytes(Encoding.DER)


def test_topics_and_environments() -> None:
    found = read_certificate(der(make_apns_certificate(CA, ["com.a", "com.a.voip"], ["Sandbox"])))
    assert found.topics == ("com.a", "com.a.voip")
    assert found.environments == {"Sandbox"}
    assert "com.a" in found.subject


def test_certificate_without_topics() -> None:
    found = read_certificate(der(make_apns_certificate(CA, [], [])))
    assert (found.topics, found.environments) == ((), frozenset())


def test_nonsense_names_nothing() -> None:
    assert read_certificate(b"nonsense") == ClientCertificate((), frozenset(), "")
