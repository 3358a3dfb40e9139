from __future__ import annotations

import pytest

from tests.cli.kubectl.recorded import DATA, Recorded
from tests.cli.kubectl.situation import HOLD, situation
from tubepost_cli.kubectl.cluster import NotAllowed
from tubepost_cli.kubectl.facts import gather, read_counts
from tubepost_cli.kubectl.targets import PUSH_DOMAINS, ROUTES


def test_counts_are_read_from_a_pods_metrics() -> None:
    counts = read_counts((DATA / "metrics.txt").read_text())
    assert counts.sum("delivered") == counts.sum("delivered", "apns") > 0
    assert counts.sum("delivered", "other") == 0
    assert counts.held_routes == frozenset()


def test_what_is_held_and_how_old_it_is() -> None:
    text = """# TYPE tubepost_queue_held gauge
tubepost_queue_held{cause="operator"} 3
tubepost_queue_held{cause="routes"} 2
# TYPE tubepost_queue_oldest_age_seconds gauge
tubepost_queue_oldest_age_seconds{domain="a",route="x"} 10
tubepost_queue_oldest_age_seconds{domain="b",route="x"} 70
# TYPE tubepost_route_held gauge
tubepost_route_held{route="apns"} 1
tubepost_route_held{route="other"} 0
"""
    counts = read_counts(text)
    assert (counts.held, counts.oldest, counts.held_routes) == (5, 70.0, {"apns"})


def test_everything_is_gathered() -> None:
    facts = gather(situation(), None)
    assert facts.problems == []
    assert [one["metadata"]["name"] for one in facts.push_domains] == ["alerts"]
    assert len(facts.live) == 2
    assert {hold for one in facts.live.values() for hold in one.holds} == {HOLD}
    assert {event["type"] for event in facts.events} == {"Warning"}


def test_what_one_may_not_see_is_missing_and_the_rest_is_there() -> None:
    cluster = situation()
    cluster.forbidden |= {"events", ROUTES, "pods/portforward"}
    facts = gather(cluster, "alerts")
    assert len(facts.pods) == 2
    assert facts.live == {}
    assert len(facts.problems) == 3
    cluster.forbidden.add("pods")
    facts = gather(cluster, "alerts")
    assert facts.problems.count("not allowed: pods") == 1


def test_a_pod_that_does_not_answer_is_missing() -> None:
    cluster = situation()
    name = cluster.kinds["pods"][0]["metadata"]["name"]
    cluster.answers[name] = lambda *_: (500, "")
    facts = gather(cluster, None)
    assert len(facts.live) == 1
    assert f"pod {name} does not answer" in facts.problems[0]


def test_without_the_push_domains_there_is_nothing_to_show() -> None:
    cluster = Recorded({})
    cluster.forbidden.add(PUSH_DOMAINS)
    with pytest.raises(NotAllowed):
        gather(cluster, None)
