from __future__ import annotations

import json

from click.testing import CliRunner, Result

from tests.cli.kubectl.recorded import Recorded
from tests.cli.kubectl.situation import APNS_ID, DEFERRED, MESSAGE, event, situation
from tubepost_cli.kubectl.trace import command, explained, meanings


def run(cluster: Recorded, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments], obj=cluster)


def test_one_message_from_smtp_to_its_outcome_with_what_the_reasons_mean() -> None:
    cluster = situation(event(), DEFERRED)
    done = run(cluster, MESSAGE)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == f"apns-id {APNS_ID}, pod {cluster.kinds['pods'][0]['metadata']['name']}"
    assert "received from app@example.com for device@apn_example.com (client 127.0.0.1)" in lines[1]
    assert "failed for now: TooManyRequests (429), attempt 1 by apns" in lines[2], "in order of time"
    assert "delivered, attempt 2 by apns" in lines[3]
    assert any(line.startswith("TooManyRequests: ") for line in lines)
    assert max(len(line) for line in lines[5:]) <= 100


def test_json_has_events_and_reasons() -> None:
    document = json.loads(run(situation(DEFERRED), MESSAGE, "-o", "json").stdout)
    assert [one["event"] for one in document["events"]] == ["deferred"]
    assert document["reasons"]["TooManyRequests"]["means"]


def test_a_message_that_no_pod_knows() -> None:
    done = run(situation(), MESSAGE)
    assert done.exit_code == 1
    assert "is in no queue and no journal of 2 pods." in done.stderr


def test_pods_that_could_not_be_asked_are_counted() -> None:
    cluster = situation()
    cluster.kinds["pods"][0]["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    done = run(cluster, MESSAGE)
    assert done.exit_code == 1
    assert "1 of them could not be asked" in done.stderr
    known = situation(event())
    known.kinds["pods"][1]["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    assert run(known, MESSAGE).exit_code == 3


def test_the_id_is_needed_and_one_at_a_time() -> None:
    assert run(situation(), "pushdomain/alerts").exit_code == 2
    assert run(situation(), MESSAGE, MESSAGE).exit_code == 2


def test_each_reason_is_explained_once_and_an_unknown_one_too() -> None:
    specs = meanings([DEFERRED, DEFERRED, event(reason="NewWord", status=400), {"lastReason": "Suspended"}])
    assert [spec.reason for spec in specs] == ["TooManyRequests", "NewWord", "Suspended"]
    assert any("Not in the table" in line for line in explained(specs))
