from __future__ import annotations

import ssl

import pytest

from tests.dispatcher.smtp.support import Recorder, listener
from tubepost_api.config import AuthConfig, StartTlsMode
from tubepost_dispatcher.smtp.config import EffectiveConfig, printable_address


def test_extensions_follow_the_configuration() -> None:
    plain = EffectiveConfig(listener(max_message_size=0), Recorder())
    assert plain.ehlo_plain == (
        b"250-mx.push.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
        b"250-ENHANCEDSTATUSCODES\r\n250-DSN\r\n250 HELP\r\n"
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    config = listener(starttls=StartTlsMode.OPTIONAL, auth=AuthConfig(secret="s"))
    full = EffectiveConfig(config, Recorder(), tls=context)
    assert b"250-SIZE 10240000\r\n" in full.ehlo_plain
    assert b"STARTTLS" in full.ehlo_plain
    assert b"AUTH" not in full.ehlo_plain
    assert b"STARTTLS" not in full.ehlo_tls
    assert b"250-AUTH PLAIN LOGIN\r\n" in full.ehlo_tls
    assert b"CHUNKING" not in full.ehlo_plain + full.ehlo_tls


def test_networks() -> None:
    config = EffectiveConfig(listener(networks=("10.0.0.0/8", "2001:db8::/32")), Recorder())
    assert config.allows("10.1.2.3")
    assert config.allows("2001:db8::1")
    assert not config.allows("192.0.2.1")
    assert not config.allows("")
    assert EffectiveConfig(listener(), Recorder()).allows("192.0.2.1")
    with pytest.raises(ValueError, match="ten"):
        EffectiveConfig(listener(networks=("ten",)), Recorder())


def test_passwords() -> None:
    config = EffectiveConfig(listener(), Recorder(), users={"app": "secret", "ü": "ß"})
    assert config.password_matches(b"app", b"secret")
    assert config.password_matches("ü".encode(), "ß".encode())
    assert not config.password_matches(b"app", b"Secret")
    assert not config.password_matches(b"nobody", b"secret")
    assert b"secret" not in repr(config.users).encode()


def test_idle_clients_get_less_time_while_places_are_scarce() -> None:
    config = EffectiveConfig(listener(), Recorder())
    assert config.timeout(scarce=False) == 300
    assert config.timeout(scarce=True) == 10
    assert EffectiveConfig(listener(command_timeout=0), Recorder()).timeout(scarce=True) == 10
    assert EffectiveConfig(listener(command_timeout=0), Recorder()).timeout(scarce=False) == 0
    assert EffectiveConfig(listener(command_timeout=5), Recorder()).timeout(scarce=True) == 5


def test_peer_addresses() -> None:
    assert printable_address(("::ffff:192.0.2.1", 25, 0, 0)) == ("192.0.2.1", 25)
    assert printable_address(("fe80::1%eth0", 25, 0, 2)) == ("fe80::1", 25)
    assert printable_address(None) == ("", 0)
    assert printable_address(("nonsense\r\n", 1)) == ("", 1)
