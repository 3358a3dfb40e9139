from __future__ import annotations

from tests.dispatcher.apns.support import Outcomes, request
from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, FakePool, Told, domain, notification
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.feeds.delivery_log import DeliveryLog
from tubepost_dispatcher.feeds.events import EventKind, LogEvent
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, identified
from tubepost_dispatcher.reasons.catalogue import local_outcome, permanent_outcome, refusal


class Sink:
    def __init__(self, *wanted: EventKind) -> None:
        self.wanted = wanted or ("delivery", "permfail", "tempfail")
        self.events: list[LogEvent] = []

    def wants(self, kind: EventKind) -> bool:
        return kind in self.wanted

    def log(self, event: LogEvent) -> None:
        self.events.append(event)


def delivery() -> Delivery:
    only = domain(FakePool())
    push = PushPart(b"ab" * 32, b"{}", return_path="bounces@b.example")
    what = notification(push=push, context={"DLV_Dest_Addr": "given"}, size=7, attempt=2)
    made = Delivery(what, only, Told(), RetryPolicy(1.0, 1.0), 100.0, 10.0)
    made.route = only.routes[0]
    return made


def logged(sink: Sink) -> tuple[DeliveryLog, Sink]:
    return DeliveryLog(sink, lambda: 1_800_000_000.0), sink


def test_an_attempt_is_logged_with_what_is_known_of_it() -> None:
    log, sink = logged(Sink())
    log.attempted(delivery(), DEAD, 10.5)
    (event,) = sink.events
    assert (event.kind, event.reason, event.status, event.http_status) == ("permfail", "Unregistered", 8, 410)
    assert (event.attempt, event.duration_ms, event.route) == (2, 500.0, "route0")
    assert (event.source_address, event.destination_address) == ("bounces@b.example", "given")
    assert event.dead_token_timestamp == DEAD.timestamp


def test_an_end_is_logged_only_where_it_was_no_attempt() -> None:
    log, sink = logged(Sink())
    made = delivery()
    made.outcome = BUSY
    log.ended(made, BUSY, 11.0)
    log.ended(made, local_outcome("ClientGone"), 11.0)
    assert sink.events == []
    log.ended(made, permanent_outcome("MissingTopic", "no topic at all"), 11.0)
    log.ended(made, local_outcome("Suspended"), 11.0)
    assert [(e.kind, e.reason, e.status, e.error, e.attempt) for e in sink.events] == [
        ("permfail", "MissingTopic", 3, "no topic at all", 0),
        ("tempfail", "Suspended", 1, "Delivery is suspended for this domain", 0),
    ]


def test_nothing_is_made_that_no_logger_wants() -> None:
    log, sink = logged(Sink("delivery"))
    made = delivery()
    log.attempted(made, BUSY, 11.0)
    log.ended(made, permanent_outcome("MissingTopic", "x"), 11.0)
    log.notification_refused(made.notification, refusal("Suspended"), 1.0)
    assert sink.events == []


def test_an_outcome_that_nobody_knows_keeps_its_word() -> None:
    log, sink = logged(Sink())
    log.attempted(delivery(), Outcome(DEAD.kind, "Brandnew", 499, detail="Not in the table."), 11.0)
    assert (sink.events[0].status, sink.events[0].error) == (4, "Brandnew: Not in the table.")


def test_what_was_sent_and_to_whom_is_told() -> None:
    log, sink = logged(Sink())
    made = delivery()
    log.attempted(made, BUSY, 11.0)
    pool = FakePool()
    made.request = request(Outcomes(), payload=b"{}")
    pool.submit(made.request)
    made.request.header_size, made.request.peer = 300, "192.0.2.7"
    log.attempted(made, identified(DELIVERED, "5a6b"), 12.0)
    made.request.unsend()
    log.attempted(made, BUSY, 13.0)
    assert [(e.sent_bytes, e.peer, e.unique_id) for e in sink.events] == [
        (0, "", ""),
        (302, "192.0.2.7", "5a6b"),
        (0, "", ""),
    ]
    assert {e.origin for e in sink.events} == {"a@b.example"}


def test_the_origin_is_the_senders_own_address_or_mail_from() -> None:
    log, sink = logged(Sink())
    made = delivery()
    log.attempted(made, BUSY, 11.0)
    made.notification.context = {"DLV_Source_Addr": "given@b.example"}
    log.attempted(made, BUSY, 11.0)
    assert [(e.source_address, e.origin) for e in sink.events] == [
        ("bounces@b.example", "a@b.example"),
        ("bounces@b.example", "given@b.example"),
    ]
