"""The chart's values.schema.json and README.md, from the comments in its values.yaml.

A comment that begins with `--` describes the key below it; a line that begins with `@schema` holds what of
its JSON Schema the default does not tell (enumerations, patterns, free maps). Every key is described. Maps
are strict unless their `@schema` says otherwise; at the root `global` and `enabled` are allowed, which a
parent chart hands down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "tubepost"
_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")
_TYPES: dict[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


@dataclass(frozen=True)
class Comment:
    """What stands above a key: its description (or a section's heading) and additions to its schema."""

    text: str = ""
    heading: str = ""
    schema: Mapping[str, Any] | None = None


def outputs() -> dict[str, str]:
    """Schema and page."""
    source = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(source)
    comments = dict(_comments(source))
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart tubepost",
        **_schema(values, comments, ()),
    }
    schema["properties"]["global"] = {
        "type": "object",
        "description": "Values that a parent chart shares.",
    }
    schema["properties"]["enabled"] = {
        "type": "boolean",
        "description": "Whether a parent chart includes this one; has no meaning here.",
    }
    return {
        "charts/tubepost/values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        "charts/tubepost/README.md": _page(values, comments),
    }


def _comments(source: str) -> Iterator[tuple[tuple[str, ...], Comment]]:
    """Path of each key with the comment above it."""
    block: list[str] = []
    path: list[tuple[int, str]] = []
    for line in source.splitlines():
        text = line.strip()
        if text.startswith("#"):
            block.append(text.removeprefix("#").strip())
            continue
        match = _KEY.match(line)
        if match:
            indent = len(match[1])
            while path and path[-1][0] >= indent:
                path.pop()
            path.append((indent, match[2]))
            yield tuple(name for _, name in path), _comment(block)
        block = []


def _comment(block: list[str]) -> Comment:
    additions = [line.removeprefix("@schema") for line in block if line.startswith("@schema")]
    words = " ".join(line for line in block if not line.startswith("@schema"))
    schema = json.loads(additions[0]) if additions else None
    if words.startswith("--"):
        return Comment(text=words.removeprefix("--").strip(), schema=schema)
    return Comment(heading=words, schema=schema)


def _schema(value: Any, comments: Mapping[tuple[str, ...], Comment], path: tuple[str, ...]) -> dict[str, Any]:
    comment = comments.get(path, Comment())
    result: dict[str, Any] = {"type": _TYPES[type(value)]}
    if comment.text or comment.heading:
        result["description"] = comment.text or comment.heading
    if isinstance(value, dict) and "additionalProperties" not in (comment.schema or {}):
        result["additionalProperties"] = False
        result["properties"] = {key: _schema(item, comments, (*path, key)) for key, item in value.items()}
    return result | dict(comment.schema or {})


def _leaves(
    value: Any, comments: Mapping[tuple[str, ...], Comment], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    if path in comments and comments[path].text:
        yield path, value
        return
    if not isinstance(value, dict) or not value:
        raise ValueError(f"values.yaml: {'.'.join(path)} has no description: write `# -- ...` above it")
    for key, item in value.items():
        yield from _leaves(item, comments, (*path, key))


def _page(values: Mapping[str, Any], comments: Mapping[tuple[str, ...], Comment]) -> str:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    rows: dict[str, list[str]] = {}
    for path, value in _leaves(values, comments):
        section = path[0] if len(path) > 1 else ""
        text = comments[path].text.replace("|", "\\|")
        default = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
        rows.setdefault(section, []).append(f"| `{'.'.join(path)}` | `{default}` | {text} |")
    parts = [_HEAD.format(version=chart["version"], kube=chart["kubeVersion"].removesuffix("-0"))]
    for section, lines in rows.items():
        heading = comments[(section,)].heading if section else ""
        title = f"### {section}\n\n{heading}\n" if section else "### General\n"
        parts.append("\n".join([title, *_COLUMNS, *lines]) + "\n")
    return "\n".join(parts)


_COLUMNS = ("| value | default | meaning |", "| --- | --- | --- |")
_HEAD = """\
# The Helm chart

<!-- Generated from values.yaml by `make generate`. -->

Installs Tubepost's operator, its custom resource definitions, and on demand a simulated APNs, alerts and a
dashboard. Version {version}, for Kubernetes {kube}.

    helm install tubepost charts/tubepost --namespace tubepost --create-namespace
    helm install tubepost charts/tubepost --namespace tubepost --create-namespace --set simulator.enabled=true

[docs/install.md](../../docs/install.md) tells the rest: modes, rights, upgrades, removal, plain manifests.

## Values

The schema refuses what is not in this table. As a sub-chart it takes `global` (of which it reads
`global.imageRegistry` and `global.imagePullSecrets`) and `enabled` from its parent.
"""
