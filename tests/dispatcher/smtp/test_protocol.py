from __future__ import annotations

from tests.dispatcher.smtp.support import DELIVERED, ENVELOPE, ENVELOPE_OK, MESSAGE, Recorder, Wire, listener
from tubepost_api.config import AuthConfig
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.config import EffectiveConfig


def test_too_many_errors_end_the_session() -> None:
    wire = Wire(listener(max_errors=3)).hello()
    assert wire.send(b"X\r\n" * 5) == (
        b"500 5.5.1 Command not recognised\r\n" * 3 + b"421 4.7.0 Too many errors, closing the connection\r\n"
    )
    assert wire.transport.closed
    assert wire.metrics.smtp_rejections.labels("command", "500")._value.get() == 3


def test_an_accepted_message_forgives_errors_and_refused_messages_are_none() -> None:
    wire = Wire(listener(max_errors=3)).hello()
    for _ in range(4):
        wire.send(b"X\r\nX\r\n")
        assert wire.send(ENVELOPE + MESSAGE + b".\r\n") == ENVELOPE_OK + DELIVERED
    wire.acceptance.reply = Reply(550, "5.1.1", "BadDeviceToken")
    for _ in range(10):
        assert wire.send(ENVELOPE + MESSAGE + b".\r\n").endswith(b"550 5.1.1 BadDeviceToken\r\n")
    assert wire.metrics.smtp_rejections.labels("data", "550")._value.get() == 10


def test_a_new_configuration_applies_between_two_transactions() -> None:
    wire = Wire(listener(max_message_size=1_000)).hello()
    other = Recorder()
    wire.send(b"MAIL FROM:<a@b.example>\r\n")
    wire.listener.config = EffectiveConfig(listener(max_message_size=10), other)
    assert wire.send(b"RCPT TO:<x@push.example>\r\nDATA\r\n" + MESSAGE + b".\r\n").endswith(DELIVERED)
    assert len(wire.acceptance.accepted) == 1
    assert wire.send(b"MAIL FROM:<a@b.example> SIZE=11\r\n").startswith(b"552 ")
    assert wire.send(ENVELOPE + b"x\r\n.\r\n").endswith(DELIVERED)
    assert len(other.accepted) == 1


def test_a_client_that_is_no_longer_allowed_is_sent_away() -> None:
    wire = Wire().hello()
    wire.listener.config = EffectiveConfig(listener(networks=("10.0.0.0/8",)), wire.acceptance)
    assert wire.send(b"MAIL FROM:<>\r\n") == b"554 5.7.1 Client address not allowed\r\n"
    assert wire.transport.closed


def test_auth_and_tls_can_become_required() -> None:
    wire = Wire().hello()
    config = listener(auth=AuthConfig(secret="s", require_tls=False))
    wire.listener.config = EffectiveConfig(config, wire.acceptance, users={"a": "b"})
    assert wire.send(b"MAIL FROM:<>\r\n") == b"530 5.7.0 Authentication required\r\n"


def test_a_session_takes_so_many_messages() -> None:
    wire = Wire(listener(max_messages_per_session=2)).hello()
    for _ in range(2):
        assert wire.send(ENVELOPE + MESSAGE + b".\r\n") == ENVELOPE_OK + DELIVERED
    assert wire.send(b"NOOP\r\n" + ENVELOPE) == (
        b"250 2.0.0 OK\r\n421 4.3.2 Session has served its time, connect again\r\n"
    )
    assert len(wire.acceptance.accepted) == 2
