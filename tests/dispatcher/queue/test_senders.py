"""A lane for each sender and domain, up to a bounded number of lanes."""

from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import notification
from tubepost_dispatcher.queue import senders as module
from tubepost_dispatcher.queue.lanes import Group
from tubepost_dispatcher.queue.senders import Senders, lane_ident, sender_key
from tubepost_dispatcher.queue.slot import Slot
from tubepost_dispatcher.queue.window import Window


@pytest.fixture
def senders() -> Senders:
    group = Group(Window())
    return Senders(Slot(0, None), lambda _: group)  # type: ignore[arg-type] - no store is asked here


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"sender": "bounce-17-x=y.example@a.example"}, {"sender": "bounce-99-p=q.example@A.example"}, True),
        ({"sender": "news+1@a.example"}, {"sender": "news+2@a.example"}, True),
        ({"sender": "123@a.example"}, {"sender": "124@a.example"}, False),
        ({"sender": "news@a.example"}, {"sender": "alerts@a.example"}, False),
        ({"sender": "news@a.example", "user": "x"}, {"sender": "news@a.example", "user": "y"}, False),
        (
            {"sender": "a@b.example", "client_address": "1"},
            {"sender": "a@b.example", "client_address": "2"},
            True,
        ),
        ({"sender": "", "client_address": "1"}, {"sender": "", "client_address": "2"}, False),
        (
            {"sender": "", "client_address": "2001:db8::1"},
            {"sender": "", "client_address": "2001:db8::2"},
            True,
        ),
        (
            {"sender": "", "client_address": "2001:db8::1"},
            {"sender": "", "client_address": "2001:db9::1"},
            False,
        ),
        ({"sender": "", "user": "x", "client_address": "1"}, {"sender": "", "user": "x"}, True),
    ],
)
def test_who_sent_it(one: dict[str, str], other: dict[str, str], same: bool) -> None:
    assert (sender_key(notification(1, **one)) == sender_key(notification(2, **other))) is same


def test_a_sender_has_a_lane_for_each_domain(senders: Senders) -> None:
    first = senders.lane(notification(1))
    assert senders.lane(notification(2)) is first
    assert senders.lane(notification(3, sender="other@b.example")) is not first
    other = senders.lane(notification(4, domain="other.example"))
    assert other is not first
    assert (first.domain, other.domain) == (notification(1).domain, "other.example")


def test_a_lane_is_the_same_in_every_process(senders: Senders) -> None:
    lane = senders.lane(notification(1))
    assert lane.ident == lane_ident("apn_example.com  a@b.example") == 7225328051455737929
    assert senders.known(lane.ident, lane.domain) is lane


def test_many_senders_of_a_domain_share_lanes_and_others_have_their_own(senders: Senders) -> None:
    lanes = {
        senders.lane(
            notification(n, sender=f"s{chr(97 + n // 26 % 26)}{chr(97 + n % 26)}{'x' * (n // 676)}@b.example")
        )
        for n in range(3_000)
    }
    assert len(lanes) == len(senders) <= 2 * module.OF_A_DOMAIN
    assert senders.lane(notification(1, domain="other.example")) not in lanes


def test_many_domains_do_not_take_all_memory(senders: Senders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 300)
    for number in range(2_000):
        lane = senders.lane(notification(number, domain=f"d{number}.example"))
        lane.active = 1
    assert len(senders) <= 300 + module.OF_A_DOMAIN


def test_lanes_that_are_not_needed_are_forgotten(senders: Senders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 400)
    busy = senders.lane(notification(1))
    busy.active = 1
    for number in range(2_000):
        senders.lane(notification(number, domain=f"d{number}.example"))
    assert len(senders) <= 400
    assert senders.lane(notification(1)) is busy
