from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.dispatcher.acceptance.support import TOKEN, Bench
from tests.dispatcher.delivery.support import DELIVERED
from tubepost_dispatcher.acceptance import message_line
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Recipient, SessionFacts, Transaction


class Nobody:
    def transaction_done(self, transaction: object, reply: Reply) -> None:
        pass


def transaction(*domains: str, sender: str = "app@example.com") -> Transaction[None]:
    recipients = [Recipient(f"device@{domain}", domain, None) for domain in domains]
    session = SessionFacts("192.0.2.7", 4711, tls="TLSv1.3", user="shop", session="2079dd-1")
    return Transaction(Nobody(), session, "1a214b66f6e0000005bd18937", sender, recipients, b"x\r\n")


def told(caplog: pytest.LogCaptureFixture, made: Transaction[None], reply: Reply) -> dict[str, Any]:
    caplog.set_level(logging.INFO, "tubepost")
    message_line.tell(made, reply, "push", 2, size=300, seconds=0.0125)
    (record,) = caplog.records
    assert record.name == "tubepost.message"
    return vars(record)


def test_a_message_has_one_line_with_what_is_known_of_it(caplog: pytest.LogCaptureFixture) -> None:
    made = transaction("push.example", "push.example", "other.example")
    fields = told(caplog, made, refusal("Suspended"))
    expected = {
        "event": "message",
        "messageId": made.message_id,
        "result": "deferred",
        "code": 451,
        "reason": "Suspended",
        "kind": "push",
        "sender": "app@example.com",
        "domains": "push.example,other.example",
        "recipients": 3,
        "notifications": 2,
        "bytes": 300,
        "session": "2079dd-1",
        "client": "192.0.2.7",
        "user": "shop",
        "tls": "TLSv1.3",
        "durationMs": 12.5,
    }
    assert {name: fields.get(name) for name in expected} == expected
    assert "apnsId" not in fields, "what is not known is left out"


def test_many_domains_are_cut_and_device_tokens_are_short(caplog: pytest.LogCaptureFixture) -> None:
    made = transaction(*(f"d{number}.example" for number in range(9)), sender=f"{TOKEN}@example.com")
    made.abandoned = True
    fields = told(caplog, made, refusal("ClientGone"))
    assert fields["domains"] == "d0.example,d1.example,d2.example,d3.example,d4.example,..."
    assert fields["sender"] == "abababab...@example.com"
    assert fields["result"] == "abandoned"


def test_acceptance_tells_where_the_push_domain_wants_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tubepost.message")
    for wish in ("Disabled", "Enabled"):
        bench = Bench(message_log=wish)  # type: ignore[arg-type]
        bench.inject()
        assert caplog.records == [], "not before the reply"
        bench.pools[0].answer(DELIVERED)
    (record,) = caplog.records
    fields = vars(record)
    assert (fields["result"], fields["code"], fields["notifications"]) == ("accepted", 250, 1)
    assert fields["bytes"] > 100
    assert fields["apnsId"]


def test_above_info_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tubepost")
    message_line.tell(transaction("a.example"), refusal("Suspended"), "push", 1, size=1, seconds=0.0)
    assert caplog.records == []
