from __future__ import annotations

import ssl

import pytest

from tubepost_simulator.settings import SimulatorSettings
from tubepost_simulator.tls import make_identity, server_context


def test_without_a_certificate_it_makes_its_own() -> None:
    identity = make_identity(SimulatorSettings(hosts=("simulator.example",)))
    context = server_context(identity)
    assert context.verify_mode is ssl.CERT_OPTIONAL
    assert identity.client_ca_pem == identity.authority.certificate_pem
    assert identity.issue(["com.example.app"], ["Sandbox"]).certificate_pem.startswith(b"-----BEGIN")


def test_a_given_certificate_is_what_clients_have_to_trust() -> None:
    given = make_identity(SimulatorSettings()).server
    settings = SimulatorSettings(server_certificate=given.certificate_pem, server_key=given.private_key_pem)
    assert make_identity(settings).ca_pem == given.certificate_pem


def test_certificate_and_key_go_together() -> None:
    with pytest.raises(ValueError, match="go together"):
        make_identity(SimulatorSettings(server_certificate=b"x"))


def test_no_key_is_shown() -> None:
    assert "PRIVATE KEY" not in repr(make_identity(SimulatorSettings()))
    assert "PRIVATE KEY" not in repr(SimulatorSettings(server_key=b"-----BEGIN PRIVATE KEY-----"))
