from __future__ import annotations

import copy
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.kubectl.recorded import recorded
from tests.cli.kubectl.situation import HOLD
from tests.cli.kubectl.terminal import draw
from tubepost_api.suspension import ANNOTATION, Suspension
from tubepost_cli.kubectl.facts import Counts, Facts, PodFacts
from tubepost_cli.kubectl.status_text import WIDTH, screen
from tubepost_cli.kubectl.targets import pods_of
from tubepost_cli.queue_text import seconds_of, stamp_of

PICTURE = Path(__file__).resolve().parents[3] / "docs" / "images" / "kubectl-status.svg"
PODS = pods_of(recorded("pods"))


@pytest.fixture
def document() -> dict[str, Any]:
    return copy.deepcopy(recorded("pushdomains")[0])


def facts(document: dict[str, Any], **fields: Any) -> Facts:
    digest = document["status"]["config"]["hash"]
    attempts = {
        ("apns", "delivered", ""): 1200,
        ("apns", "transient", "TooManyRequests"): 7,
        ("apns", "permanent", "Unregistered"): 3,
    }
    counts = Counts(2, 1, 40, 5, 3, 3700.0, attempts, frozenset({"apns"}))
    live = {pod.name: PodFacts(counts, {"hash": digest}, {HOLD: 3}) for pod in PODS}
    restarted = copy.deepcopy(next(one for one in recorded("events") if one["reason"] == "Unhealthy"))
    restarted |= {"reason": "BackOff", "message": "Back-off restarting failed container"}
    restarted["involvedObject"]["name"] = PODS[0].name
    events = [*recorded("events"), restarted]
    whole = {"routes": recorded("apnroutes"), "events": events, "pods": PODS, "live": live}
    return Facts([document], **{**whole, **fields})


def now_of(document: dict[str, Any]) -> float:
    return seconds_of(document["metadata"]["creationTimestamp"]) + 3600


def test_one_screen_says_it_all_in_100_columns(document: dict[str, Any]) -> None:
    lines = screen(facts(document), now_of(document))
    text = "\n".join(lines)
    assert max(map(len, lines)) <= WIDTH
    for words in (
        "alerts  namespace",
        "2 of 2 pods ready",
        "in all pods",
        "apn_example.com",
        "Certificate",
        "com.example.app",
        "held",
        "Queue:      80 notifications, the oldest was accepted 1h1m ago",
        "Hold:       6 alice",
        "Errors:     14 TooManyRequests (for now) by apns",
        "Errors:     6 Unregistered (for good) by apns",
        "Back-off restarting failed container",
    ):
        assert words in text, words
    assert "Unhealthy" not in text, "probes of pods that are ready by now"
    row = next(line for line in lines if line.startswith(PODS[0].name[:30]))
    assert row.split()[-7:] == ["2", "40", "5", "3", "1,200", "3", "7"]


def test_a_suspension_is_said_until_it_ends(document: dict[str, Any]) -> None:
    now = now_of(document)
    document["metadata"]["annotations"] = {
        ANNOTATION: Suspension("alice", "INC-8", "2026-11-30T12:00:00.000Z", stamp_of(now + 60)).text()
    }
    text = " ".join("\n".join(screen(facts(document), now)).split())
    assert "Suspended: by alice since" in text
    assert "INC-8" in text
    assert "delivery Suspend" in text
    later = " ".join("\n".join(screen(facts(document), now + 61)).split())
    assert "INC-8" not in later
    assert "delivery Deliver" in later


def test_a_certificate_that_ends_soon_is_coloured(document: dict[str, Any]) -> None:
    (route,) = document["status"]["routes"]
    end = seconds_of(route["notAfter"])

    def colour(now: float) -> str:
        painted = screen(facts(document), now, lambda text, colour: f"<{colour}>{text}")
        return next(line for line in painted if route["credential"] in line).partition(">")[0]

    assert colour(end + 1) == "<red"
    assert colour(end - 86_400) == "<yellow"
    assert facts(document).live
    assert colour(end - 20 * 86_400) == "<yellow"  # the route is held


def test_what_is_wrong_is_said_first(document: dict[str, Any]) -> None:
    condition = next(one for one in document["status"]["conditions"] if one["type"] == "Ready")
    condition |= {"status": "False", "reason": "CredentialsInvalid", "message": "the certificate " * 40}
    lines = screen(facts(document), now_of(document))
    assert "Ready False" in lines[0]
    at = next(index for index, line in enumerate(lines) if line.startswith("Condition:"))
    assert "Ready is False, CredentialsInvalid" in lines[at]
    assert max(map(len, lines)) <= WIDTH


def test_a_pod_with_another_configuration_is_named(document: dict[str, Any]) -> None:
    found = facts(document)
    live = {**found.live, PODS[0].name: PodFacts(Counts(), {"hash": "other"}, {})}
    assert f"others are in {PODS[0].name}" in "\n".join(screen(facts(document, live=live), now_of(document)))


def test_without_pods_and_status_there_is_something_to_see(document: dict[str, Any]) -> None:
    del document["status"]
    text = "\n".join(screen(Facts([document]), 0.0))
    assert "none yet" in text
    assert "0 of 0 pods ready" in text
    assert "No routes in use." in text
    assert screen(Facts([]), 0.0) == ["No PushDomains in this namespace."]


def test_many_domains_are_counted(document: dict[str, Any]) -> None:
    document["spec"]["domains"] = [{"name": f"d{number}.example.com"} for number in range(12)]
    document["spec"]["domains"][0] = {
        "pattern": "x" * 200,
        "delivery": {"mode": "Blackhole"},
        "routes": ["b"],
    }
    lines = screen(facts(document), now_of(document))
    assert "and 7 more; -o json has all." in lines
    assert any("Blackhole" in line for line in lines)
    assert max(map(len, lines)) <= WIDTH


def test_the_picture_in_the_documentation_is_of_this_screen(document: dict[str, Any]) -> None:
    now = now_of(document)
    document["metadata"]["annotations"] = {
        ANNOTATION: Suspension(
            "alice", "wrong text, see INC-7", stamp_of(now - 120), stamp_of(now + 1680)
        ).text()
    }

    (delivering,) = (one for one in document["status"]["conditions"] if one["type"] == "Delivering")
    delivering |= {"status": "False", "reason": "Suspended", "message": "Messages stay in the queue."}

    def paint(text: str, colour: str) -> str:
        return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)

    lines = screen(facts(document), now, paint)
    drawn = draw("kubectl tubepost status alerts", lines, WIDTH)
    plain = "".join(ET.fromstring(drawn).itertext())
    assert "suspended" in plain.lower()
    assert "".join(click.unstyle("".join(lines)).split()) in "".join(plain.split())
    if directory := os.environ.get("TUBEPOST_PICTURES"):
        Path(directory, PICTURE.name).write_text(drawn, encoding="utf-8")
    assert PICTURE.read_text(encoding="utf-8") == drawn, "it is an older one; draw it anew by `make pictures`"
