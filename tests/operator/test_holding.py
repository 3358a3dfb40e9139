from __future__ import annotations

from dataclasses import replace

from tubepost_operator.holding import ANSWER, SERVE, YIELDED, Holdings, yielded_text
from tubepost_operator.names import Names
from tubepost_operator.observed import Key, Meta

DOMAIN = Key("PushDomain", "default", "alerts")
ACCOUNT = Key("ServiceAccount", "default", "alerts")
META = Meta(
    key=Key("Deployment", "default", "alerts"),
    uid="u",
    version="1",
    generation=1,
    labels={},
    annotations={},
    owner="o",
    owner_name="PushDomain/alerts",
    created="",
    deleting=False,
)


def children(deployment: str, account: str) -> list[Meta]:
    return [
        replace(META, annotations={Names.HOLDER_ANNOTATION: deployment} if deployment else {}),
        replace(META, key=ACCOUNT, annotations={Names.HOLDER_ANNOTATION: account} if account else {}),
    ]


def test_what_is_ours_or_of_an_older_release_is_served() -> None:
    ours = Holdings("a/op")
    assert ours.look(DOMAIN, [], 0.0) == SERVE
    assert ours.look(DOMAIN, children("a/op", "a/op"), 0.0) == SERVE
    assert ours.look(DOMAIN, children("", ""), 0.0) == SERVE


def test_the_objects_of_one_that_is_gone_are_taken_over() -> None:
    ours = Holdings("a/op")
    hold = ours.look(DOMAIN, children("b/op", "b/op"), 0.0)
    assert (hold.action, hold.child, hold.other) == ("claim", ACCOUNT, "b/op")
    waiting = ours.look(DOMAIN, children("b/op", "a/op"), ANSWER - 1)
    assert (waiting.action, waiting.again) == ("wait", 1.1)
    assert ours.look(DOMAIN, children("b/op", "a/op"), ANSWER) == SERVE
    assert ours.look(DOMAIN, children("b/op", "a/op"), ANSWER + 60) == SERVE, "until all is written"
    assert ours.look(DOMAIN, children("a/op", "a/op"), ANSWER + 61) == SERVE


def test_one_that_lives_keeps_what_it_has() -> None:
    first, second = Holdings("a/op"), Holdings("b/op")
    assert second.look(DOMAIN, children("a/op", "a/op"), 0.0).action == "claim"
    # The first sees its account claimed, and claims it back: it loses nothing by that.
    back = first.look(DOMAIN, children("a/op", "b/op"), 1.0)
    assert (back.action, back.child) == ("claim", ACCOUNT)
    assert first.look(DOMAIN, children("a/op", "a/op"), 1.1) == SERVE
    hold = second.look(DOMAIN, children("a/op", "a/op"), 1.2)
    assert (hold.action, hold.other, hold.news, hold.again) == ("yield", "a/op", True, YIELDED)
    assert second.yielded == 1
    again = second.look(DOMAIN, children("a/op", "a/op"), 2.2)
    assert (again.action, again.news, again.again) == ("yield", False, YIELDED - 1.0)
    assert second.look(DOMAIN, children("a/op", "a/op"), YIELDED + 2).action == "claim", (
        "it may be gone by now"
    )
    second.forget(DOMAIN)
    assert second.yielded == 0


def test_two_that_begin_at_once_do_not_both_yield_nor_both_serve() -> None:
    first, second = Holdings("a/op"), Holdings("b/op")
    # Each has written some children before it knew of the other.
    assert first.look(DOMAIN, children("b/op", "a/op"), 0.0).child == META.key
    assert second.look(DOMAIN, children("b/op", "a/op"), 0.0).child == ACCOUNT
    # The first has claimed the Deployment, the second the account: either sees what the other wrote last.
    assert second.look(DOMAIN, children("a/op", "b/op"), 0.1).action == "wait"
    assert first.look(DOMAIN, children("a/op", "b/op"), 0.1).action == "wait"
    assert first.look(DOMAIN, children("a/op", "b/op"), ANSWER + 1) == SERVE
    # It writes everything, and the second finds its claim taken.
    assert second.look(DOMAIN, children("a/op", "a/op"), ANSWER + 2).action == "yield"


def test_the_message_names_both_and_the_remedy() -> None:
    text = yielded_text("a/op", "b/op")
    assert "b/op" in text
    assert "Remedy: let only one" in text
