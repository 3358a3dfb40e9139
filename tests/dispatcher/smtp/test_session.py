from __future__ import annotations

import itertools
import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dispatcher.smtp.support import (
    DELIVERED,
    ENVELOPE,
    ENVELOPE_OK,
    MESSAGE,
    Recorder,
    Wire,
    listener,
    split_names,
)
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp import session as module
from tubepost_dispatcher.transaction import Transaction


def test_a_message_from_envelope_to_reply() -> None:
    wire = Wire()
    assert wire.take() == b"220 mx.push.example ESMTP Tubepost\r\n"
    wire.hello()
    assert wire.send(ENVELOPE) == ENVELOPE_OK
    assert wire.send(MESSAGE + b"..dot\r\n.\r\n") == DELIVERED
    (transaction,) = wire.acceptance.accepted
    assert transaction.mail_from == "app@sender.example"
    (recipient,) = transaction.recipients
    assert recipient.address == "device@push.example"
    assert recipient.domain == recipient.serving == "push.example"
    assert transaction.content == MESSAGE + b".dot\r\n"
    assert transaction.dsn is None
    assert recipient.dsn is None
    assert transaction.session.helo == "client.example"
    assert transaction.session.remote_ip == "192.0.2.7"
    assert not transaction.abandoned
    assert re.fullmatch("[0-9a-f]{25}", transaction.message_id)
    assert wire.send(b"QUIT\r\n") == b"221 2.0.0 Bye\r\n"
    assert wire.transport.closed
    assert wire.metrics.registry.get_sample_value("tubepost_smtp_received_bytes_total") == len(
        transaction.content
    )


def test_replies_of_one_chunk_leave_in_one_write() -> None:
    wire = Wire().hello()
    wire.session.data_received(ENVELOPE)
    wire.session.data_received(MESSAGE + b".\r\n" + ENVELOPE)
    first, second = wire.transport.writes
    assert (first, split_names(second)[0]) == (ENVELOPE_OK, DELIVERED + ENVELOPE_OK)


def test_parameters_reach_the_transaction() -> None:
    wire = Wire().hello()
    wire.send(
        "MAIL FROM:<ü@b.example> SIZE=5 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e1\r\n"
        "RCPT TO:<ß@push.example> NOTIFY=FAILURE\r\nDATA\r\n".encode()
    )
    assert wire.send(b"x\r\n.\r\n") == DELIVERED
    assert wire.send(ENVELOPE + b"x\r\n.\r\n").endswith(DELIVERED)
    first, second = wire.acceptance.accepted
    assert (first.mail_from, first.recipients[0].address) == ("ü@b.example", "ß@push.example")
    assert (first.body_type, first.smtputf8) == ("8BITMIME", True)
    assert first.dsn == {"RET": "HDRS", "ENVID": "e1"}
    assert first.recipients[0].dsn == {"NOTIFY": "FAILURE"}
    assert (second.body_type, second.smtputf8, second.dsn) == ("", False, None)
    assert second.recipients[0].dsn is None


CONVERSATION = (
    b"EHLO client.example\r\nNOOP\r\nMAIL FROM:<a@b.example> SIZE=20\r\nRCPT TO:<x@unknown.example>\r\n"
    b"RCPT TO:<x@push.example>\r\nRCPT TO:<y@push.example>\r\nDATA\r\nSubject: 1\r\n\r\n..one\r\n.\r\n"
    b"FOO\r\nbare\nMAIL FROM:<>\r\nRSET\r\nDATA\r\nRCPT TO:<x@push.example>\r\nHELP\r\nVRFY x\r\nEXPN y\r\n"
    b"MAIL FROM:<a..b@c.example>\r\nDATA\r\nMAIL FROM:<b@c.example>\r\nRCPT TO:<\xff@x>\r\n"
    b"RCPT TO:<postmaster>\r\nDATA\r\n.\r\n" + b"X" * 3_000 + b"\r\nRCPT TO:<" + b"y" * 2_050 + b"@b>\r\n\r\n"
    b"mail from:<a@b.example>\r\nrcpt to:<z@PUSH.example>\r\ndata\r\n"
    + b"long line " * 300
    + b"\r\n\n.\r\n.\r\nQUIT\r\nNOOP\r\n"
)


def _converse(cuts: list[int]) -> tuple[bytes, list[bytes]]:
    wire = Wire(listener(max_message_size=2_000))
    edges = sorted({0, len(CONVERSATION), *cuts})
    out = wire.take()
    for start, end in itertools.pairwise(edges):
        out += wire.send(CONVERSATION[start:end])
    assert wire.transport.closed
    return out, wire.acceptance.contents


WHOLE = _converse([])


def test_the_whole_conversation_reads_as_expected() -> None:
    out, contents = WHOLE
    codes = [line[:3] for line in out.split(b"\r\n") if line[3:4] == b" "]
    assert b" ".join(codes) == (
        b"220 250 250 250 550 250 452 354 250 500 500 250 250 503 503 214 252 502 250 554 503 501 250 354 "
        b"250 500 500 500 250 250 354 552 221"
    )
    assert contents == [b"Subject: 1\r\n\r\n.one\r\n", b""]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, len(CONVERSATION) - 1), max_size=40))
def test_any_chunking_yields_the_same_replies(cuts: list[int]) -> None:
    assert _converse(cuts) == WHOLE


def test_single_octets_yield_the_same_replies() -> None:
    assert _converse(list(range(len(CONVERSATION)))) == WHOLE


SHORT = (
    b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@push.example>\r\nDATA\r\nSubject: 1\r\n\r\nhi\r\n.\r\n"
    b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@push.example>\r\nDATA\r\nSubject: 2\r\n\r\n..\r\n.\r\nQUIT\r\n"
)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("by_octet", [False, True])
def test_a_disconnect_at_every_octet(held: bool, by_octet: bool, caplog: pytest.LogCaptureFixture) -> None:
    for cut in range(len(SHORT) + 1):
        wire = Wire(acceptance=Recorder(None if held else (250, "2.0.0", "Delivered")))
        sent = SHORT[:cut]
        out = wire.take()
        for chunk in [sent[i : i + 1] for i in range(cut)] if by_octet else [sent]:
            out += wire.send(chunk)
        if not wire.transport.closed:
            assert wire.session.eof_received() in (True, False)
        wire.lose()
        assert out.count(b"250 2.0.0 Delivered") == (0 if held else sent.count(b"\r\n.\r\n"))
        # The second message begins only after the first one's reply.
        ends = sent.count(b"\r\n.\r\n")
        assert len(wire.acceptance.accepted) == (min(ends, 1) if held else ends)
        assert wire.acceptance.abandoned == (wire.acceptance.accepted if held else [])
        for transaction in wire.acceptance.accepted:
            assert transaction.abandoned is held
            transaction.reply(Reply(250, "2.0.0", "too late"))
        assert wire.take() == b""
        assert not wire.listener.sessions
        assert wire.listener.memory.used == 0
        assert wire.metrics.smtp_sessions._value.get() == 0
    assert not caplog.records


def test_the_reply_may_come_later_and_once() -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    assert wire.send(ENVELOPE + MESSAGE + b".\r\nNOOP\r\n") == ENVELOPE_OK
    assert wire.send(b"NOOP\r\n") == b""
    (transaction,) = wire.acceptance.accepted
    wire.session.transaction_done(transaction, Reply(550, "5.0.0", "No such device"))
    assert wire.take() == b"550 5.0.0 No such device\r\n250 2.0.0 OK\r\n250 2.0.0 OK\r\n"
    transaction.reply(Reply(250, "2.0.0", "twice"))
    assert wire.take() == b""


def test_a_reply_and_the_input_that_waited_for_it_leave_in_one_write() -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.take()
    wire.send(ENVELOPE + MESSAGE + b".\r\nNOOP\r\n")
    wire.acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
    (write,) = wire.transport.writes
    assert split_names(write)[0] == DELIVERED + b"250 2.0.0 OK\r\n"


def test_a_forged_reply_text_stays_on_its_line() -> None:
    wire = Wire(acceptance=Recorder((250, "2.0.0", "ok\r\n250 forged\0ü"))).hello()
    assert wire.send(ENVELOPE + MESSAGE + b".\r\n") == ENVELOPE_OK + b"250 2.0.0 ok??250 forged??\r\n"


def test_input_held_back_is_bounded() -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\n")
    for _ in range(10):
        wire.session.data_received(b"NOOP\r\n" * 2_000)
    assert wire.transport.paused
    wire.acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
    assert wire.take() == DELIVERED + b"250 2.0.0 OK\r\n" * 20_000
    assert not wire.transport.paused


def test_a_flood_of_commands_is_answered_in_turns() -> None:
    wire = Wire().hello()
    wire.take()
    wire.session.data_received(b"NOOP\r\n" * 5_000)
    assert len(wire.transport.writes) == 1
    assert wire.transport.writes[0].count(b"250") == module.COMMANDS_PER_TURN
    assert wire.transport.paused
    wire.session.data_received(b"QUIT\r\n")
    assert wire.take().count(b"250 2.0.0 OK") == 5_000
    assert wire.transport.closed


def test_a_client_that_takes_no_replies_is_read_no_more() -> None:
    wire = Wire().hello()
    wire.session.pause_writing()
    assert wire.transport.paused
    wire.session.resume_writing()
    assert not wire.transport.paused


def test_half_close_after_quit_still_gets_the_reply() -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\nQUIT\r\n")
    assert wire.session.eof_received() is True
    assert not wire.acceptance.abandoned
    wire.acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
    assert wire.take() == DELIVERED + b"221 2.0.0 Bye\r\n"
    assert wire.transport.closed


def test_a_client_that_vanishes_while_waiting_is_abandoned() -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\n")
    assert wire.session.eof_received() is False
    wire.lose()
    assert wire.acceptance.abandoned == wire.acceptance.accepted
    wire.lose()
    assert len(wire.acceptance.abandoned) == 1


def test_a_fault_in_accept_is_451_and_the_session_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail(transaction: Transaction) -> None:
        raise OSError(28, "No space left on device", "/var/spool/secret")

    wire = Wire().hello()
    wire.acceptance.on_accept = fail
    assert wire.send(ENVELOPE + MESSAGE + b".\r\n") == (
        ENVELOPE_OK + b"451 4.3.0 Internal error, try again later\r\n"
    )
    (transaction,) = wire.acceptance.accepted
    assert transaction.abandoned
    transaction.reply(Reply(250, "2.0.0", "after all"))
    assert wire.take() == b""
    wire.acceptance.on_accept = None
    assert wire.send(ENVELOPE + MESSAGE + b".\r\n") == ENVELOPE_OK + DELIVERED
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("tubepost.smtp", logging.ERROR)
    assert record.exc_info


def test_a_fault_after_the_reply_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail(transaction: Transaction) -> None:
        transaction.reply(Reply(250, "2.0.0", "Delivered"))
        raise RuntimeError

    wire = Wire().hello()
    wire.acceptance.on_accept = fail
    assert wire.send(ENVELOPE + MESSAGE + b".\r\n") == ENVELOPE_OK + DELIVERED
    assert len(caplog.records) == 1


def test_a_fault_in_a_command_is_451_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire().hello()
    out = wire.send(b"MAIL FROM:<>\r\nRCPT TO:<x@broken.example>\r\nRCPT TO:<x@push.example>\r\n")
    assert out == (
        b"250 2.1.0 Sender OK\r\n451 4.3.0 Internal error, try again later\r\n250 2.1.5 Recipient OK\r\n"
    )
    assert caplog.records[0].exc_info


@pytest.mark.pure
def test_a_fault_amid_a_message_ends_the_session(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    wire = Wire().hello()
    wire.send(ENVELOPE)
    monkeypatch.setattr(module, "take_whole", fail)
    assert wire.send(MESSAGE) == b"451 4.3.0 Internal error, try again later\r\n"
    assert wire.transport.closed
    assert not wire.acceptance.accepted


@pytest.mark.pure
def test_a_fault_before_a_line_is_read_ends_the_session(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    wire = Wire().hello()
    monkeypatch.setattr(module.commands, "drop_overlong", fail)
    assert wire.send(b"X" * 5_000) == b"451 4.3.0 Internal error, try again later\r\n"
    assert wire.transport.closed
    assert len(caplog.records) == 1


def test_a_fault_in_abandon_is_contained(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = Wire(acceptance=Recorder(None)).hello()
    wire.send(ENVELOPE + MESSAGE + b".\r\n")
    monkeypatch.delattr(wire.acceptance, "abandoned")
    wire.lose()
    assert not wire.listener.sessions
    assert caplog.records


def test_a_421_from_the_acceptance_ends_the_session() -> None:
    wire = Wire(acceptance=Recorder((421, "4.3.2", "Shutting down"))).hello()
    assert wire.send(ENVELOPE + MESSAGE + b".\r\nNOOP\r\n").endswith(b"421 4.3.2 Shutting down\r\n")
    assert wire.transport.closed


def test_refused_sizes_keep_the_session_in_step() -> None:
    wire = Wire(listener(max_message_size=1_000)).hello()
    wire.send(ENVELOPE)
    assert wire.send(b"x" * 600 + b"\r\n") == b""
    assert wire.send(b"x" * 600 + b"\r\n") == b""
    assert wire.send(b".\r\nNOOP\r\n") == (b"552 5.3.4 Message size exceeds the limit\r\n250 2.0.0 OK\r\n")
    wire.send(ENVELOPE)
    out = b""
    while not wire.transport.closed:
        out += wire.send(b"y" * 60_000)
    assert out == b"552 5.3.4 Message size exceeds the limit\r\n"
    assert not wire.acceptance.accepted


@pytest.mark.parametrize(
    ("limit", "message", "reply"),
    [
        (
            "max_header_size",
            b"A: " + b"x" * 500 + b"\r\n\r\n",
            b"552 5.3.4 Message header exceeds the limit\r\n",
        ),
        ("max_line_length", b"\r\n" + b"x" * 500 + b"\r\n", b"554 5.6.0 Message has a line that is longer"),
    ],
)
def test_limits_inside_a_message(limit: str, message: bytes, reply: bytes) -> None:
    wire = Wire(listener(**{limit: 100})).hello()
    wire.send(ENVELOPE)
    assert wire.send(message + b".\r\n").startswith(reply)
    assert wire.send(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"


class TestTimes:
    def tick(self, wire: Wire, seconds: float, timeout: float = 300.0) -> bytes:
        wire.listener.now += seconds
        if not wire.session._gone:
            wire.session.tick(wire.listener.now, timeout, 1.0)
        return wire.take()

    def test_an_idle_client_is_told_and_closed(self) -> None:
        wire = Wire().hello()
        assert self.tick(wire, 299) == b""
        assert self.tick(wire, 2) == b"421 4.4.2 Timeout, closing the connection\r\n"
        assert wire.transport.closed
        assert not wire.transport.aborted
        self.tick(wire, 11)
        assert wire.transport.aborted

    def test_octets_of_an_unfinished_command_buy_no_time(self) -> None:
        wire = Wire().hello()
        for _ in range(3):
            assert self.tick(wire, 99) == b""
            wire.send(b"N")
        assert self.tick(wire, 5).startswith(b"421 4.4.2 ")

    def test_messages_and_their_parts_do(self) -> None:
        wire = Wire().hello()
        for _ in range(3):
            assert self.tick(wire, 200) == b""
            wire.send(ENVELOPE + MESSAGE + b".\r\n")
        wire.send(ENVELOPE)
        for _ in range(3):
            assert self.tick(wire, 200) == b""
            wire.send(b"x" * 500_000 + b"\r\n")
        assert self.tick(wire, 301).startswith(b"421 4.4.2 ")
        wire.lose()
        assert wire.listener.memory.used == 0

    def test_a_message_that_trickles_is_given_up(self) -> None:
        wire = Wire().hello()
        wire.send(ENVELOPE)
        out = b""
        for _ in range(10):
            wire.send(b"x\r\n")
            out += self.tick(wire, 100)
            if out:
                break
        assert out == b"421 4.4.2 Too slow, closing the connection\r\n"

    def test_no_time_limit_applies_while_the_reply_is_due(self) -> None:
        wire = Wire(listener(max_session_age=50), acceptance=Recorder(None)).hello()
        wire.send(ENVELOPE + MESSAGE + b".\r\n")
        assert self.tick(wire, 10_000) == b""
        wire.acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
        assert wire.take() == DELIVERED
        assert wire.send(b"MAIL FROM:<>\r\n") == b"421 4.3.2 Session has served its time, connect again\r\n"

    def test_an_old_session_ends_between_transactions_only(self) -> None:
        wire = Wire(listener(max_session_age=50)).hello()
        wire.send(b"MAIL FROM:<a@b.example>\r\n")
        assert self.tick(wire, 60) == b""
        assert self.tick(wire, 60) == b""
        wire.send(b"RCPT TO:<x@push.example>\r\nDATA\r\n")
        assert wire.send(MESSAGE + b".\r\n") == DELIVERED
        assert self.tick(wire, 2) == b"421 4.3.2 Session has served its time, connect again\r\n"


def test_shutting_down_ends_sessions_between_transactions() -> None:
    idle, busy, waiting = Wire().hello(), Wire().hello(), Wire(acceptance=Recorder(None)).hello()
    busy.send(b"MAIL FROM:<a@b.example>\r\n")
    waiting.send(ENVELOPE + MESSAGE + b".\r\n" + ENVELOPE)
    for wire in (idle, busy, waiting):
        wire.take()
        wire.listener.draining = True
        wire.session.shut_down(at_once=False)
    assert idle.take() == b"421 4.3.2 Shutting down, try again\r\n"
    assert busy.take() == waiting.take() == b""
    assert busy.send(b"RSET\r\n") == b"250 2.0.0 OK\r\n421 4.3.2 Shutting down, try again\r\n"
    waiting.acceptance.accepted[0].reply(Reply(250, "2.0.0", "Delivered"))
    assert waiting.take() == DELIVERED + b"421 4.3.2 Shutting down, try again\r\n"
    assert all(wire.transport.closed for wire in (idle, busy, waiting))
