"""Subjects: made of our own numbers only, and read back."""

from __future__ import annotations

import pytest

from tubepost_dispatcher.store.jetstream.subjects import AGAIN, PUT, Place, Subjects

OURS = Subjects("tubepost.shop.orders", "0a1b")


def test_what_is_made_is_read_back() -> None:
    assert OURS.read(OURS.lease("a1")) == Place("lease", None, "0a1b", "a1")
    assert OURS.read(OURS.later(7, PUT + "2")) == Place("later", 7, "0a1b", "p2")
    assert OURS.read(OURS.held(2**62, AGAIN + "3")) == Place("held", 2**62, "0a1b", "a3")
    assert OURS.read(OURS.ready(7)) == Place("ready", 7)
    assert OURS.read(OURS.ready(None)) == Place("ready")


def test_everything_is_under_the_prefix() -> None:
    assert OURS.everything == "tubepost.shop.orders.>"
    for subject in (OURS.lease("a"), OURS.later(1, "a"), OURS.held(1, "a"), OURS.ready(1), OURS.ready(None)):
        assert subject.startswith("tubepost.shop.orders.")
    assert OURS.ready(1).rpartition(".")[0] == OURS.all_ready.rpartition(".")[0]


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "tubepost.shop",
        "tubepost.shop.orders.ready",
        "tubepost.shop.orders.ready.x",
        "tubepost.shop.orders.ready.\u0661",
        "tubepost.shop.orders.later.1.owner",
        "tubepost.shop.ordersx.ready.1",
        "tubepost.shop.orders.lease.owner.a.b",
        "other.ready.1",
    ],
)
def test_what_is_none_of_ours_is_said_to_be_none(subject: str) -> None:
    assert OURS.read(subject) is None
