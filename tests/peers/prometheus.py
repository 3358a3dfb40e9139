"""A real Prometheus on loopback with the chart's alerts, its hours made seconds."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.peers.process import PeerError, Process
from tests.peers.tools import require

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = {"5m": "8s", "10m": "8s", "15m": "12s", "30m": "12s"}
"""Ranges of the alerts, and what they are here: many scrapes long."""
INTERVAL = 0.5
"""Seconds between two looks at the rules, and between two scrapes unless a test says otherwise."""
PATIENCE = 120.0
_CONFIG = """\
global: {{scrape_interval: {interval}ms, scrape_timeout: {timeout}ms, evaluation_interval: {look}ms}}
rule_files: ["{directory}/alerts.yaml"]
scrape_configs:
  - job_name: tubepost
    scrape_timeout: {timeout}ms
    file_sd_configs: [{{files: ["{directory}/targets.json"], refresh_interval: 1s}}]
"""


def rules(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The chart's alerts with these values of `monitoring.alerts` in place of its own, and short windows.

    An alert fires as soon as its expression holds.
    """
    chart = ROOT / "charts" / "tubepost"
    of_chart = yaml.safe_load((chart / "values.yaml").read_text())["monitoring"]["alerts"]
    text = (chart / "files" / "alerts.yaml").read_text()
    for name, value in {**of_chart, **values}.items():
        text = text.replace(f"${{{name}}}", str(value))
    found: list[dict[str, Any]] = yaml.safe_load(text)
    for rule in found:
        rule["expr"] = shortened(rule["expr"])
        rule.pop("for", None)
    return found


def shortened(expression: str) -> str:
    """An expression that looks back for seconds instead of minutes."""
    expression = re.sub(r"\[(\d+m)\]", lambda match: f"[{WINDOWS[match[1]]}]", expression)
    return re.sub(r"offset (\d+m)", lambda match: f"offset {WINDOWS[match[1]]}", expression)


class Prometheus(Process):
    """It scrapes what it is told to, and evaluates the alerts.

    Args:
        interval: seconds between two scrapes; one that takes nearly that long has failed.
        values: of `monitoring.alerts` in the chart.
    """

    def __init__(self, *, interval: float = INTERVAL, **values: Any) -> None:
        self._directory = tempfile.TemporaryDirectory()
        place = Path(self._directory.name)
        between, look = round(interval * 1000), round(INTERVAL * 1000)
        (place / "prometheus.yaml").write_text(
            _CONFIG.format(directory=place, interval=between, timeout=between - 100, look=look)
        )
        group = {"groups": [{"name": "tubepost", "rules": rules(values)}]}
        (place / "alerts.yaml").write_text(yaml.safe_dump(group))
        self._targets: list[dict[str, Any]] = []
        self._write_targets()
        super().__init__(
            [
                str(require("prometheus")),
                f"--config.file={place / 'prometheus.yaml'}",
                f"--storage.tsdb.path={place / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--storage.tsdb.retention.time=1h",
                "--log.level=warn",
            ]
        )

    def __enter__(self) -> Self:
        return super().__enter__()

    def __exit__(self, *details: object) -> None:
        super().__exit__(*details)
        with contextlib.suppress(OSError):
            self._directory.cleanup()

    def ready(self) -> None:
        """Wait until it answers."""
        self.port = self.listening()
        self.until(lambda: self._get("/-/ready") is not None, "Prometheus is not ready")

    def scrape(self, port: int, **labels: str) -> None:
        """Scrape a port of loopback from now on; the labels are those that a PodMonitor adds."""
        self._targets.append({"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "shop", **labels}})
        self._write_targets()

    def _write_targets(self) -> None:
        place = Path(self._directory.name)
        scratch = place / "targets.json.new"
        scratch.write_text(json.dumps(self._targets))
        scratch.replace(place / "targets.json")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an instant query returns."""
        found = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert found is not None
        return list(json.loads(found)["data"]["result"])

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """The labels of what fires, by alert."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in json.loads(self._get("/api/v1/alerts") or b"{}").get("data", {}).get("alerts", []):
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def fires(self, names: Collection[str]) -> None:
        """Wait until all of these fire."""
        self.until(
            lambda: set(names) <= self.firing().keys(), lambda: f"silent: {set(names) - self.firing().keys()}"
        )

    def clears(self, names: Collection[str]) -> None:
        """Wait until none of these fires."""
        self.until(
            lambda: not set(names) & self.firing().keys(),
            lambda: f"still firing: {set(names) & self.firing().keys()}",
        )

    def until(self, condition: Any, why: Any) -> None:
        """Wait for a condition; `why`, or what it returns, is what the failure says."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, why if isinstance(why, str) else why()
            time.sleep(0.1)  # Prometheus announces nothing

    def _get(self, path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 503:  # not ready yet
                    raise PeerError(f"Prometheus: {path}: {error.read().decode()}") from error
                return None
