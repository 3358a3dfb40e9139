"""A recorded cluster with a PushDomain, two pods that answer, and something held in their queues."""

from __future__ import annotations

from typing import Any

from tests.cli.kubectl.recorded import DATA, Recorded, answers, frame, recorded
from tubepost_cli.kubectl.targets import PUSH_DOMAINS, ROUTES

HOLD = "alice 2026-11-30T12:00:00Z: wrong text, see INC-7"
MESSAGE = "1a214b66f6e0000005bd18937"
APNS_ID = "4a0c1d2e-1111-4222-8333-444455556666"


def group(**fields: Any) -> dict[str, Any]:
    return {
        "domain": "apn_example.com",
        "route": "apns",
        "lastReason": "TooManyRequests",
        "hold": HOLD,
        "notifications": 3,
        "due": 0,
        "oldest": "2026-11-30T11:00:00.000Z",
        "bytes": 1200,
        **fields,
    }


def event(**fields: Any) -> dict[str, Any]:
    return {
        "at": "2026-11-30T12:00:01.000Z",
        "id": MESSAGE,
        "event": "ended",
        "outcome": "delivered",
        "apnsId": APNS_ID,
        "domain": "apn_example.com",
        "sender": "app@example.com",
        "recipient": "device@apn_example.com",
        "tokenPrefix": "abababab",
        "accepted": "2026-11-30T12:00:00.000Z",
        "attempt": 2,
        "route": "apns",
        "client": "127.0.0.1",
        **fields,
    }


DEFERRED = event(
    event="deferred",
    outcome="transient",
    attempt=1,
    reason="TooManyRequests",
    status=429,
    at="2026-11-30T12:00:00.500Z",
    due="2026-11-30T12:00:01.000Z",
)
JOURNAL = {"outlivesWorkers": True, "linesLost": 0}
HELD_METRICS = '# TYPE tubepost_queue_held gauge\ntubepost_queue_held{cause="operator"} 3\n'


def situation(*events: dict[str, Any]) -> Recorded:
    """The cluster; the events are in the journal of its first pod."""
    cluster = Recorded(
        {
            PUSH_DOMAINS: recorded("pushdomains"),
            ROUTES: recorded("apnroutes"),
            "pods": recorded("pods"),
            "events": recorded("events"),
        }
    )
    metrics = (DATA / "metrics.txt").read_text()
    digest = cluster.kinds[PUSH_DOMAINS][0]["status"]["config"]["hash"]
    summary = frame(groups=[group()], partitions=[], lookedAt=3, journal=JOURNAL)
    for number, pod in enumerate(cluster.kinds["pods"]):
        traced = frame(notifications=[], events=list(events) if not number else [], journal=JOURNAL)
        cluster.answers[pod["metadata"]["name"]] = answers(
            {
                "/metrics": metrics + HELD_METRICS,
                "/status": {"config": {"hash": digest}},
                "/queue/summary": summary,
                "/queue/trace": traced,
            }
        )
    return cluster
