"""The Grafana dashboard of the chart, from the panels in chart_dashboard.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_FILTER = 'namespace=~"$namespace", push_domain=~"$push_domain"'
_COLOURS: Mapping[str, tuple[tuple[float | None, str], ...]] = {
    "none": ((None, "green"),),
    "bad": ((None, "green"), (1, "red")),
    "share": ((None, "green"), (0.05, "orange"), (0.2, "red")),
    "days": ((None, "red"), (7, "orange"), (30, "green")),
}
_SIZES = {"stat": (4, 4)}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "background",
        "graphMode": "none",
        "reduceOptions": {"calcs": ["lastNotNull"]},
        "textMode": "value",
    },
    "table": {"showHeader": True, "sortBy": [{"desc": False, "displayName": "Value"}]},
}


def outputs() -> dict[str, str]:
    """The dashboard."""
    rows = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    text = json.dumps(dashboard(rows), indent=1, ensure_ascii=False)
    return {"charts/tubepost/dashboards/tubepost.json": text + "\n"}


def dashboard(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The dashboard's document, as Grafana imports it."""
    return {
        "uid": "tubepost",
        "title": "Tubepost",
        "description": "Mail in, push notifications out: PushDomains, their way to APNs, and the operator.",
        "tags": ["tubepost", "apns", "smtp"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                _variable("namespace", "Namespace", "label_values(tubepost_workers, namespace)"),
                _variable(
                    "push_domain",
                    "PushDomain",
                    'label_values(tubepost_workers{namespace=~"$namespace"}, push_domain)',
                ),
            ]
        },
        "panels": _layout(rows),
    }


def _layout(rows: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All panels in their places, from left to right and from top to bottom."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        panels.append(_row(row["row"], y, len(panels) + 1))
        y += 1
        x = tallest = 0
        for panel in row["panels"]:
            width, height = _SIZES.get(panel.get("kind", ""), (8, 8))
            width = panel.get("width", width)
            if x + width > _WIDTH:
                x, y, tallest = 0, y + tallest, 0
            place = {"h": height, "w": width, "x": x, "y": y}
            panels.append(_panel(panel, place, len(panels) + 1))
            x += width
            tallest = max(tallest, height)
        y += tallest
    return panels


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _row(title: str, y: int, number: int) -> dict[str, Any]:
    place = {"h": 1, "w": _WIDTH, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Mapping[str, Any], place: Mapping[str, int], number: int) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    colours = _COLOURS[panel.get("colours", "none")]
    defaults: dict[str, Any] = {
        "unit": panel.get("unit", "short"),
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for value, colour in colours],
        },
    }
    if kind == "timeseries":
        stacked = panel.get("stacked", False)
        defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 40 if stacked else 10,
            "showPoints": "never",
            "stacking": {"mode": "normal" if stacked else "none"},
        }
    result: dict[str, Any] = {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "datasource": _SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[kind],
        "targets": [_target(query, kind, chr(ord("A") + i)) for i, query in enumerate(panel["queries"])],
    }
    if "help" in panel:
        result["description"] = panel["help"]
    return result


def _target(query: Mapping[str, str], kind: str, reference: str) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": reference,
        "datasource": _SOURCE,
        "expr": query["expr"].replace("$f", _FILTER),
        "legendFormat": query.get("legend", "__auto"),
    }
    if kind != "timeseries":
        target |= {"instant": True, "range": False}
    if kind == "table":
        target["format"] = "table"
    return target
