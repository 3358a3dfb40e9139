from __future__ import annotations

from tests.dispatcher.store.support import NAME, NOW, notification
from tubepost_dispatcher.notification import decode
from tubepost_dispatcher.store.port import Filter, entry, matches


def test_an_entry_is_the_notification_as_it_is_now() -> None:
    what = notification(7, attempt=3)
    made = entry(what, due=NOW + 60, expires=NOW + 600, reason="Shutdown")
    what.attempt = 9
    assert decode(made.body).attempt == made.attempt == 3
    assert (made.message_id, made.domain, made.sender) == ("m7", NAME, "a@b.example")
    assert (made.accepted, made.due, made.expires, made.reason) == (NOW + 7, NOW + 60, NOW + 600, "Shutdown")


def test_an_empty_filter_matches_everything_and_every_field_narrows_it() -> None:
    made = entry(notification(1), due=NOW, expires=NOW, reason="Shutdown", route="blue")
    assert matches(Filter(), made)
    assert matches(
        Filter(NAME, "a@b.example", ("m0", "m1"), "Shutdown", NOW + 2, NOW + 1, "blue", held=False), made
    )
    for other in (
        Filter(domain="x"),
        Filter(sender="x"),
        Filter(message_ids=("x",)),
        Filter(reason="x"),
        Filter(accepted_before=NOW + 1),
        Filter(accepted_after=NOW + 2),
        Filter(route="x"),
        Filter(held=True),
    ):
        assert not matches(other, made)
