from __future__ import annotations

import pytest

from tests.policy.facts import DEAD, message
from tubepost_policy import PolicyError
from tubepost_policy.message import action_of


def test_what_a_message_tells() -> None:
    what = message(DEAD, user="shop", client="192.0.2.1", route="production")
    assert what.is_mcmt()
    assert (what.id, what.sender, what.return_path) == ("m1", "a@b.example", "bounce@b.example")
    assert (what.recipient, what.domain, what.user) == ("r@apn_d.example", "apn_d.example", "shop")
    assert (what.client_address, what.route, what.attempt) == ("192.0.2.1", "production", 1)
    assert what.json["aps"]["alert"] == "Hi"
    assert what.outcome is not None
    assert (what.outcome.kind, what.outcome.status, what.outcome.legacy_status) == ("permanent", 410, 8)
    assert what.outcome.timestamp == 5
    assert action_of(what) is None
    assert "m1" in repr(what)


def test_one_action_is_all() -> None:
    what = message(DEAD)
    what.drop("  no \n longer ")
    assert action_of(what) == {"type": "drop", "reason": "no longer"}
    with pytest.raises(PolicyError, match="one is all"):
        what.send_to("other.example")


def test_a_delivered_message_is_left_alone() -> None:
    what = message({"kind": "delivered", "status": 200})
    with pytest.raises(PolicyError, match="is delivered"):
        what.drop("no")


def test_another_domain_is_for_once() -> None:
    assert message(DEAD).send_to("Other.Example")
    again = message(DEAD, rerouted=True)
    assert again.rerouted
    assert not again.send_to("other.example")
    assert action_of(again) is None


def test_a_mail_is_from_its_sender_or_from_its_domain() -> None:
    for sender, author in (("a@b.example", "a@b.example"), ("", "postmaster@apn_d.example")):
        what = message(DEAD, sender=sender)
        what.send_mail("u@x.example", "S", "B")
        action = action_of(what)
        assert action is not None
        assert f"From: {author}\r\n" in action["content"]
