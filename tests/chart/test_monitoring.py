"""Every query of the dashboard and of the alerts asks for metrics and labels that exist."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.draw_dashboard import expression
from tests.chart.helm import CHART, ROOT, render
from tests.chart.value_sets import SETS
from tests.peers.tools import require
from tubepost_dispatcher import metrics as dispatcher
from tubepost_operator import metrics as operator

# Labels that come by scraping: the pod's, and the PodMonitors' own.
TARGET = {"namespace", "pod", "container", "push_domain", "job", "instance"}
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SERIES: dict[str, set[str]] = {}
for spec in (*dispatcher.CATALOG, *operator.CATALOG):
    for suffix in SUFFIXES[spec.kind]:
        SERIES[spec.name + suffix] = set(spec.labels) | ({"le"} if suffix == "_bucket" else set())

DASHBOARD: dict[str, Any] = json.loads((CHART / "dashboards" / "tubepost.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS: list[dict[str, Any]] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())


def check(query: str, legend: str = "") -> None:
    """Metrics exist, and so do the labels that the query selects, groups by and shows."""
    names = set(re.findall(r"\btubepost_[a-z0-9_]+", query))
    assert names, query
    assert names <= SERIES.keys(), names - SERIES.keys()
    known = TARGET.union(*(SERIES[name] for name in names))
    used = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", query))
    for group in re.findall(r"\bby\s*\(([^)]*)\)", query):
        used |= {label.strip() for label in group.split(",")}
    used |= set(re.findall(r"{{\s*(?:\$labels\.)?([a-z_]+)\s*}}", legend))
    assert used <= known, f"{used - known} in {query} {legend}"
    for name in names:
        if name.endswith(("_total", "_bucket")):
            assert re.search(rf"(rate|increase)\({name}\b", query), f"{name} counts since the start: {query}"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        check(target["expr"], target["legendFormat"])
        assert "$f" not in target["expr"]
        filtered = "tubepost_operator_" not in target["expr"]
        assert filtered == ('namespace=~"$namespace", push_domain=~"$push_domain"' in target["expr"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert(alert: dict[str, Any]) -> None:
    texts = " ".join(alert["annotations"].values())
    check(alert["expr"], texts)
    assert set(alert["annotations"]) == {"summary", "description"}
    assert alert["labels"]["severity"] in {"warning", "critical"}
    page = (ROOT / "docs" / "grafana.md").read_text()
    assert f"[`{alert['alert']}`](runbooks/{alert['alert']}.md)" in page
    runbook = (ROOT / "docs" / "runbooks" / f"{alert['alert']}.md").read_text()
    titles = [line for line in runbook.splitlines() if line.startswith("#")]
    assert titles == [
        f"# {alert['alert']}",
        "## What it does to messages",
        "## Find the cause",
        "## Mend it",
        "## Clears",
    ]


def test_there_is_no_runbook_without_its_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages - {"README"} == {alert["alert"] for alert in ALERTS}
    assert [alert["alert"] for alert in ALERTS] == re.findall(
        r"^- \[(\w+)\]", (ROOT / "docs" / "runbooks" / "README.md").read_text(), re.MULTILINE
    )


def test_each_alert_names_its_runbook() -> None:
    urls = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rule_of({})}
    home = "https://github.com/tubepost/tubepost/blob/main/docs/runbooks"
    assert urls == {alert["alert"]: f"{home}/{alert['alert']}.md" for alert in ALERTS}
    own = rule_of({"runbooks": "https://wiki.example/push/"})
    assert own[0]["annotations"]["runbook_url"] == "https://wiki.example/push/TubepostCredentialExpiring.md"
    assert not any("runbook_url" in rule["annotations"] for rule in rule_of({"runbooks": ""}))


def test_every_metric_of_the_dispatcher_is_in_the_dashboard() -> None:
    text = json.dumps(DASHBOARD)
    # The first says nothing that the hash does not, the last what those by domain do; the others are for the
    # operator, whose conditions say it. What runs does not change while one looks at it.
    left_out = {
        "tubepost_build_info",
        "tubepost_config_generation",
        "tubepost_config_refused_info",
        "tubepost_retiring",
        "tubepost_queue_entries",
    }
    shown = {item.name for item in dispatcher.CATALOG if re.search(rf"\b{item.name}(_|\b)", text)}
    assert {item.name for item in dispatcher.CATALOG} - shown == left_out


def test_variables_come_from_a_metric_that_every_pod_has() -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            assert "tubepost_workers" in variable["query"]["query"]
    assert "tubepost_workers" in SERIES


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert all(x < 24 for x, _ in cells)
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def rule_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    (group,) = render({"monitoring": {"alerts": {"enabled": True, **values}}}).one("PrometheusRule")["spec"][
        "groups"
    ]
    return list(group["rules"])


def test_values_reach_the_alerts() -> None:
    rules = rule_of(
        {
            "expiryWarningDays": 60,
            "failureRatio": 0.2,
            "queueAgeSeconds": 86_400,
            "queueGrowth": 77,
            "queueFreeRatio": 0.3,
            "disabled": ["TubepostApnsSlow"],
        }
    )
    by_name = {rule["alert"]: rule for rule in rules}
    assert "< 60 * 86400" in by_name["TubepostCredentialExpiring"]["expr"]
    assert by_name["TubepostDeliveryFailures"]["expr"].rstrip().endswith("> 0.2")
    assert by_name["TubepostQueueOld"]["expr"].endswith("> 86400")
    assert by_name["TubepostQueueGrowing"]["expr"].rstrip().endswith("> 77")
    assert by_name["TubepostQueueSpace"]["expr"].rstrip().endswith("< 0.3")
    assert set(by_name) == {alert["alert"] for alert in ALERTS} - {"TubepostApnsSlow"}
    assert not any("${" in rule["expr"] for rule in rules)
    labelled = rule_of({"alertLabels": {"team": "mail", "severity": "page"}})
    assert {rule["labels"]["team"] for rule in labelled} == {"mail"}
    assert {rule["labels"]["severity"] for rule in labelled} == {"warning", "critical"}


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        [str(require("promtool")), *arguments], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_the_alerts_and_the_queries(tmp_path: Path) -> None:
    alerts = render(SETS["monitored"]).one("PrometheusRule")["spec"]
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(alerts))
    targets = [target for panel in PANELS for target in panel["targets"]]
    queries = [
        {"record": f"panel:query:{number}", "expr": expression(target, "5m")}
        for number, target in enumerate(targets)
    ]
    (tmp_path / "queries.yaml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": queries}]})
    )
    promtool("check", "rules", str(tmp_path / "alerts.yaml"), str(tmp_path / "queries.yaml"))


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(
        yaml.safe_dump(render(SETS["monitored"]).one("PrometheusRule")["spec"])
    )
    day = 86_400
    target = 'namespace="shop", push_domain="alerts", pod="alerts-1"'

    def series(name: str, values: str, labels: str = "") -> dict[str, str]:
        return {"series": f"{name}{{{target}{', ' + labels if labels else ''}}}", "values": values}

    def queue_series(age: str, queued: str, free: str, refused: str) -> list[dict[str, str]]:
        of = 'domain="a.example", route="apns"'
        return [
            series("tubepost_queue_oldest_age_seconds", age, of),
            series("tubepost_queue_entries", queued),
            series("tubepost_queue_volume_free_bytes", free),
            series("tubepost_queue_volume_bytes", "100x40"),
            series("tubepost_queue_refused_total", refused, 'kind="full"'),
        ]

    def alert(name: str, *labels: dict[str, str]) -> dict[str, Any]:
        return {
            # It looks back for half an hour.
            "eval_time": "60m" if name == "TubepostQueueGrowing" else "40m",
            "alertname": name,
            "exp_alerts": [{"exp_labels": item} for item in labels],
        }

    route = {"namespace": "shop", "route": "apns", "team": "mail"}
    domain = {"namespace": "shop", "push_domain": "alerts", "team": "mail"}
    bad = [
        series("tubepost_certificate_expiry_timestamp_seconds", f"{5 * day}x40", 'route="apns"'),
        {
            "series": 'tubepost_operator_credential_expiry_timestamp_seconds{namespace="news", route="apns"}',
            "values": f"{400 * day}x40",
        },
        series("tubepost_route_held", "1x40", 'route="apns"'),
        series("tubepost_config_last_reload_failed", "1x40"),
        series("tubepost_attempts_total", "0+90x40", 'route="apns", outcome="delivered", reason=""'),
        series("tubepost_attempts_total", "0+10x40", 'route="apns", outcome="permanent", reason="BadTopic"'),
        series("tubepost_messages_total", "0+10x40", 'kind="push", result="deferred"'),
        series("tubepost_messages_total", "0+90x40", 'kind="push", result="accepted"'),
        series("tubepost_worker_exits_total", "0+1x40", 'cause="signal"'),
        series("tubepost_bounces_total", "0+1x40", 'kind="bounce", result="deferred"'),
        series("tubepost_bounces_total", "0+1x40", 'kind="bounce", result="rejected"'),
        series("tubepost_log_lines_lost_total", "0+1x40", 'logger="json"'),
        series("tubepost_webhook_oldest_age_seconds", "700x40", 'logger="feed"'),
        series("tubepost_webhook_dropped_total", "0+1x40", 'logger="feed", reason="full"'),
        series("tubepost_policy_faults_total", "0+1x40", 'point="dispose", kind="timeout"'),
        *queue_series("15000x40", "0+1000x60", "10x40", "0+1x40"),
        series("tubepost_queue_partitions", "1x40", 'state="locked"'),
        series("tubepost_queue_partitions", "2x40", 'state="orphaned"'),
        series("tubepost_queue_quarantined_files", "0x40"),
        series("tubepost_queue_damaged_entries", "3x40"),
        series("tubepost_queue_stream_state", "0x40", 'state="ok"'),
        series("tubepost_queue_stream_state", "1x40", 'state="unreachable"'),
        series("tubepost_apns_latency_seconds_bucket", "0+1x40", 'route="apns", le="2.5"'),
        series("tubepost_apns_latency_seconds_bucket", "0+100x40", 'route="apns", le="5"'),
        series("tubepost_apns_latency_seconds_bucket", "0+100x40", 'route="apns", le="+Inf"'),
        {
            "series": 'tubepost_operator_objects{kind="PushDomain", condition="Ready", status="False", pod="o"}',
            "values": "2x40",
        },
        {"series": 'tubepost_operator_claims_left{pod="o"}', "values": "2x40"},
        {"series": 'tubepost_operator_leader{pod="o"}', "values": "0x40"},
        {
            "series": 'tubepost_operator_errors_total{kind="ApnRoute", class="forbidden", pod="o"}',
            "values": "0+1x40",
        },
        {
            "series": 'tubepost_operator_watch_refused{watch="secrets in shop", pod="o"}',
            "values": "1x40",
        },
    ]
    fired = [
        alert("TubepostCredentialExpiring", {**route, "severity": "warning"}),
        alert("TubepostCredentialExpiringSoon", {**route, "severity": "critical"}),
        alert("TubepostRouteHeld", {**domain, "route": "apns", "severity": "critical"}),
        alert("TubepostConfigRefused", {**domain, "pod": "alerts-1", "severity": "warning"}),
        alert("TubepostDeliveryFailures", {**domain, "severity": "warning"}),
        alert("TubepostMessagesDeferred", {**domain, "severity": "warning"}),
        alert("TubepostApnsSlow", {**domain, "route": "apns", "severity": "warning"}),
        alert("TubepostQueueOld", {**domain, "domain": "a.example", "severity": "warning"}),
        alert("TubepostQueueGrowing", {**domain, "severity": "warning"}),
        alert("TubepostQueueSpace", {**domain, "pod": "alerts-1", "severity": "warning"}),
        alert("TubepostQueueRefuses", {**domain, "pod": "alerts-1", "kind": "full", "severity": "critical"}),
        alert(
            "TubepostQueuePartitionUnusable",
            {**domain, "pod": "alerts-1", "state": "locked", "severity": "critical"},
        ),
        alert("TubepostQueuePartitionOrphaned", {**domain, "pod": "alerts-1", "severity": "critical"}),
        alert("TubepostQueueDamaged", {**domain, "pod": "alerts-1", "severity": "warning"}),
        alert("TubepostQueueStreamUnusable", {**domain, "state": "unreachable", "severity": "critical"}),
        alert("TubepostBounceRelayDown", {**domain, "severity": "warning"}),
        alert("TubepostBouncesGivenUp", {**domain, "severity": "warning"}),
        alert("TubepostLogLinesLost", {**domain, "logger": "json", "severity": "warning"}),
        alert("TubepostWebhookBehind", {**domain, "logger": "feed", "severity": "warning"}),
        alert("TubepostWebhookDrops", {**domain, "logger": "feed", "reason": "full", "severity": "warning"}),
        alert("TubepostPolicyFails", {**domain, "kind": "timeout", "severity": "warning"}),
        alert("TubepostWorkersDie", {**domain, "pod": "alerts-1", "severity": "warning"}),
        alert("TubepostPushDomainsNotReady", {"team": "mail", "severity": "warning"}),
        alert("TubepostClaimsLeft", {"team": "mail", "severity": "warning"}),
        alert("TubepostNoLeader", {"team": "mail", "severity": "critical"}),
        alert(
            "TubepostOperatorErrors",
            {"kind": "ApnRoute", "class": "forbidden", "team": "mail", "severity": "warning"},
        ),
        alert("TubepostOperatorRefused", {"watch": "secrets in shop", "team": "mail", "severity": "warning"}),
    ]
    assert [item["alertname"] for item in fired] == [item["alert"] for item in ALERTS]
    good = [
        series("tubepost_certificate_expiry_timestamp_seconds", f"{90 * day}x40", 'route="apns"'),
        series("tubepost_route_held", "0x40", 'route="apns"'),
        series("tubepost_config_last_reload_failed", "0x40"),
        series("tubepost_attempts_total", "0+90x40", 'route="apns", outcome="delivered", reason=""'),
        # Dead device tokens are an app's everyday life.
        series(
            "tubepost_attempts_total", "0+90x40", 'route="apns", outcome="permanent", reason="Unregistered"'
        ),
        series("tubepost_messages_total", "0+90x40", 'kind="push", result="accepted"'),
        series("tubepost_worker_exits_total", "0x40", 'cause="signal"'),
        # Some are greylisted, and some go to addresses that do not exist.
        series("tubepost_bounces_total", "0+9x40", 'kind="bounce", result="deferred"'),
        series("tubepost_bounces_total", "0+1x40", 'kind="bounce", result="rejected"'),
        series("tubepost_bounces_total", "0+90x40", 'kind="bounce", result="sent"'),
        # A backlog that drains, and one moment's growth.
        *queue_series("14000x40", "20000-400x40 4000+100x20", "90x40", "0x40"),
        series("tubepost_queue_partitions", "4x40", 'state="owned"'),
        series("tubepost_queue_partitions", "1x40", 'state="adopted"'),
        series("tubepost_queue_partitions", "0x40", 'state="orphaned"'),
        series("tubepost_queue_quarantined_files", "0x40"),
        series("tubepost_queue_damaged_entries", "0x40"),
        # One replica is a choice, which the condition QueueDurable names.
        series("tubepost_queue_stream_state", "1x40", 'state="one_replica"'),
        series("tubepost_queue_stream_state", "0x40", 'state="unreachable"'),
        series("tubepost_apns_latency_seconds_bucket", "0+100x40", 'route="apns", le="0.1"'),
        series("tubepost_apns_latency_seconds_bucket", "0+100x40", 'route="apns", le="+Inf"'),
        {
            "series": 'tubepost_operator_objects{kind="PushDomain", condition="Ready", status="False"}',
            "values": "0x40",
        },
        {"series": 'tubepost_operator_leader{pod="o"}', "values": "1x40"},
        {"series": 'tubepost_operator_leader{pod="p"}', "values": "0x40"},
        {"series": 'tubepost_operator_errors_total{kind="ApnRoute", class="conflict"}', "values": "0+9x40"},
    ]
    tests = {
        "rule_files": ["alerts.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": bad, "alert_rule_test": fired},
            {
                "interval": "1m",
                "input_series": good,
                "alert_rule_test": [alert(item["alert"]) for item in ALERTS],
            },
        ],
    }
    # What the texts say is checked elsewhere; here it is whether the alerts fire.
    rules = yaml.safe_load((tmp_path / "alerts.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        del rule["annotations"]
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(rules))
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", str(tmp_path / "tests.yaml"))
