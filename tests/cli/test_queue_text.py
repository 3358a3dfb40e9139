from __future__ import annotations

from typing import Any

import pytest

from tubepost_cli import queue_text as text

NOW = 1_800_000_000.0
NOON = "2027-01-15T08:00:00.000Z"
"""`NOW` as the admin API has it."""


def group(**values: Any) -> dict[str, Any]:
    return {
        "domain": "a.example",
        "route": "blue",
        "lastReason": "ServiceUnavailable",
        "hold": "",
        "notifications": 1_234,
        "due": 4,
        "oldest": "2027-01-15T05:00:00.000Z",
        "bytes": 3_000_000,
        **values,
    }


def queued(**values: Any) -> dict[str, Any]:
    return {
        "id": "m1",
        "apnsId": "id1",
        "state": "waiting",
        "domain": "a.example",
        "sender": "s@b.example",
        "recipient": "r@a.example",
        "tokenPrefix": "abababab",
        "accepted": "2027-01-15T07:00:00.000Z",
        "nextTry": "2027-01-15T08:20:00.000Z",
        "expires": "2027-01-22T07:00:00.000Z",
        "attempts": 3,
        "route": "blue",
        "lastReason": "TooManyRequests",
        "hold": "",
        "topic": "",
        "pushType": "alert",
        "priority": 10,
        "collapseId": "",
        "apnsExpiration": None,
        "user": "",
        "client": "10.0.0.1",
        "bytes": 700,
        "partition": 0,
        **values,
    }


def event(**values: Any) -> dict[str, Any]:
    return {
        "at": NOON,
        "id": "m1",
        "event": "ended",
        "outcome": "delivered",
        "apnsId": "id1",
        "domain": "a.example",
        "sender": "s@b.example",
        "recipient": "r@a.example",
        "accepted": "2027-01-15T07:59:00.250Z",
        "attempt": 1,
        "route": "blue",
        "client": "10.0.0.1",
        **values,
    }


def test_a_summary_by_domain_by_reason_and_by_hold() -> None:
    partition = {
        "number": 3,
        "state": "adopted",
        "notifications": 1_236,
        "active": 12,
        "bytes": 5_242_880,
        "filesSetAside": 1,
        "entriesSetAside": 0,
        "problem": "full",
    }
    groups = [
        group(),
        group(domain="b.example", lastReason="", route="", notifications=2, hold="2027 alice: why"),
    ]
    assert text.summary([partition], groups, NOW) == [
        "Partition 03 (adopted, full): 1,236 notifications, 12 with delivery, 5.0 MiB on disk, set aside: 1 file, 0 entries",
        "1,236 notifications: 8 due, 2 held; the oldest was accepted 3h ago.",
        "",
        "DOMAIN     NOTIFICATIONS  DUE  HELD  OLDEST  BYTES",
        "a.example          1,234    4     0  3h      2.9 MiB",
        "b.example              2    4     2  3h      2.9 MiB",
        "",
        "LAST REASON         ROUTE  NOTIFICATIONS  DUE  HELD  OLDEST  BYTES",
        "ServiceUnavailable  blue           1,234    4     0  3h      2.9 MiB",
        "(not tried yet)     -                  2    4     2  3h      2.9 MiB",
        "",
        "HELD SINCE, BY, WHY  NOTIFICATIONS  DUE  HELD  OLDEST  BYTES",
        "2027 alice: why                  2    4     2  3h      2.9 MiB",
    ]


def test_an_empty_queue_and_none() -> None:
    assert text.summary([], [], NOW) == [
        "No queue: the dispatcher was started without --queue-dir, or no worker is ready.",
        "0 notifications.",
    ]


def test_counts_before_an_action() -> None:
    assert text.counts([], NOW) == ["0 notifications match."]
    assert text.counts([group(notifications=1)], NOW) == [
        "LAST REASON         ROUTE  DOMAIN     NOTIFICATIONS  OLDEST",
        "ServiceUnavailable  blue   a.example              1  3h",
        "1 notification: 4 due, 0 held; the oldest was accepted 3h ago.",
    ]


def test_a_list_is_a_table() -> None:
    mail = queued(id="m2", kind="delay", state="held", nextTry=None)
    heading, first, second = text.listed([queued(), mail], NOW)
    assert heading.split() == [
        "ID",
        "KIND",
        "STATE",
        "AGE",
        "TRIES",
        "NEXT",
        "TRY",
        "LAST",
        "REASON",
        "ROUTE",
        "SENDER",
        "RECIPIENT",
    ]
    assert first.split() == [
        "m1",
        "notification",
        "waiting",
        "1h",
        "3",
        "in",
        "20m",
        "TooManyRequests",
        "blue",
        "s@b.example",
        "r@a.example",
    ]
    assert second.split() == [
        "m2",
        "delay",
        "notice",
        "held",
        "1h",
        "3",
        "-",
        "TooManyRequests",
        "blue",
        "s@b.example",
        "r@a.example",
    ]


def test_one_notification() -> None:
    lines = text.one_notification(queued(), NOW)
    assert "state:         waiting, next try in 20m" in lines
    assert "device token:  abababab..." in lines
    assert "accepted:      2027-01-15 07:00:00Z, 1h ago" in lines
    assert "expires:       2027-01-22 07:00:00Z, in 6d23h" in lines
    assert not any(line.startswith(("topic", "user")) for line in lines)
    held = text.one_notification(queued(state="held", hold="alice: why", nextTry=None), NOW)
    assert "state:         held: alice: why" in held
    for state in ("due", "active", "damaged"):
        assert text.one_notification(queued(state=state), NOW)


def test_what_became_of_the_mails_that_follow() -> None:
    events = [
        event(event="bounce", outcome="transient", reason="RelayDeferred", due="2027-01-15T08:20:00.000Z"),
        event(event="reroute", outcome="permanent", reason="RelayRejected", detail="550 no"),
        event(event="success", outcome="delivered"),
    ]
    lines = text.life(events, [queued(kind="bounce")], NOW)
    assert [line[25:] for line in lines[2:]] == [
        "bounce to r@a.example: not taken for now: RelayDeferred; next try 2027-01-15 08:20:00Z",
        "rerouted mail to r@a.example: given up: RelayRejected: 550 no",
        "success notice to r@a.example: the relay took it",
        "in the queue (bounce): next try in 20m, expires in 6d23h",
    ]


def test_a_life() -> None:
    events = [
        event(event="attempt", outcome="transient", reason="ConnectionLost", status=0, possibleDouble=True),
        event(
            event="deferred",
            outcome="transient",
            reason="Shutdown",
            status=503,
            due="2027-01-15T08:20:00.000Z",
        ),
        event(event="held", outcome="queued", detail="alice: why"),
        event(attempt=2, user="u", apnsUniqueId="5a6b"),
        event(apnsId="id2", outcome="permanent", reason="Unregistered", status=410, route="green"),
        event(apnsId="id2", outcome="transient", reason="Throttled", detail="too fast"),
        event(apnsId="id2", outcome="discarded", reason="Blackhole"),
        event(apnsId="", event="refused", outcome="permanent", reason="MalformedMime", detail="554 5.6.0 No"),
    ]
    assert text.life(events, [queued(apnsId="id3", state="due")], NOW) == [
        "apns-id id1",
        "2027-01-15 07:59:00.250  received from s@b.example for r@a.example (client 10.0.0.1)",
        "2027-01-15 08:00:00.000  failed for now: ConnectionLost, attempt 1 by blue; it may have been delivered; tried again at once",
        "2027-01-15 08:00:00.000  failed for now: Shutdown (503), attempt 1 by blue; next try 2027-01-15 08:20:00Z",
        "2027-01-15 08:00:00.000  held by an operator: alice: why",
        "2027-01-15 08:00:00.000  delivered, attempt 2 by blue, apns-unique-id 5a6b",
        "",
        "apns-id id2",
        "2027-01-15 07:59:00.250  received from s@b.example for r@a.example (client 10.0.0.1)",
        "2027-01-15 08:00:00.000  failed for good: Unregistered (410), attempt 1 by green",
        "2027-01-15 08:00:00.000  given up: Throttled, attempt 1 by blue: too fast",
        "2027-01-15 08:00:00.000  discarded: the delivery mode of its domain is Blackhole",
        "",
        "2027-01-15 07:59:00.250  received from s@b.example for r@a.example (client 10.0.0.1)",
        "2027-01-15 08:00:00.000  refused: MalformedMime: 554 5.6.0 No",
        "",
        "apns-id id3",
        "2027-01-15 07:00:00.000  received from s@b.example for r@a.example (client 10.0.0.1)",
        "now                      in the queue: due, waits for its turn, expires in 6d23h",
    ]
    for state, words in (
        ("held", "held (alice)"),
        ("waiting", "next try in 20m"),
        ("active", "with delivery"),
    ):
        assert words in text.life([], [queued(state=state, hold="alice")], NOW)[-1]


def test_what_came_from_outside_cannot_move_the_cursor() -> None:
    (_, line) = text.listed([queued(sender="a\x1b[31m\r\nb@c.example")], NOW)
    assert line.isprintable()
    assert len(text.shown("x" * 500)) == 60


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0s"),
        (0, "0s"),
        (59, "59s"),
        (60, "1m"),
        (61, "1m1s"),
        (3_600, "1h"),
        (3_605, "1h"),
        (90_061, "1d1h"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert text.span(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (150 * 1_024, "150 KiB"), (5 * 2**40, "5120 GiB")],
)
def test_sizes(count: int, words: str) -> None:
    assert text.size(count) == words


def test_times() -> None:
    assert text.stamp_of(NOW + 0.25) == "2027-01-15T08:00:00.250Z"
    assert text.seconds_of(text.stamp_of(NOW + 0.25)) == NOW + 0.25
    assert text.seconds_of("broken") == 0.0
    assert text.until(NOON, NOW) == "now"
    assert text.until(None, NOW) == "when it is released"
    assert text.moment("") == "at a time that is not known"
