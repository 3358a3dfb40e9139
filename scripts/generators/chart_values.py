"""The chart's values.schema.json, README.md and files/values.json, from the comments in its values.yaml.

A comment that begins with `--` describes the key below it; a line that begins with `@schema` holds what of
its JSON Schema the default does not tell (enumerations, patterns, free maps). Every key is described. Maps
are strict unless their `@schema` says otherwise; at the root `global` and `enabled` are allowed, which a
parent chart hands down. null is allowed everywhere, since a key without a value is null in YAML;
files/values.json tells the templates what it stands for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tubepost_api.crd import crd

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
    schema["type"] = "object"
    schema["properties"]["global"] = {
        "type": ["object", "null"],
        "description": "Values that a parent chart shares.",
        "properties": _GLOBAL,
    }
    schema["properties"]["enabled"] = {
        "type": ["boolean", "null"],
        "description": "Whether a parent chart includes this one; has no meaning here.",
    }
    return {
        "charts/tubepost/values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n",
        "charts/tubepost/README.md": _page(values, comments),
        "charts/tubepost/files/values.json": _by_section(_absent(values, comments)),
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
    if path == ("dispatcher", "podTemplate"):
        spec = crd("PushDomain")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        return _pod_template(spec["properties"]["podTemplate"]) | {"description": comment.text}
    result: dict[str, Any] = {"type": _TYPES[type(value)]}
    if comment.text or comment.heading:
        result["description"] = comment.text or comment.heading
    if isinstance(value, dict) and "additionalProperties" not in (comment.schema or {}):
        result["additionalProperties"] = False
        result["properties"] = {key: _schema(item, comments, (*path, key)) for key, item in value.items()}
    return _or_null(result | dict(comment.schema or {}))


def _pod_template(node: Mapping[str, Any]) -> dict[str, Any]:
    """The definition's schema of `spec.podTemplate` as one of JSON Schema, strict, without defaults."""
    kept = {key: node[key] for key in _KEPT if key in node}
    if "items" in node:
        kept["items"] = _pod_template(node["items"])
    if "properties" in node:
        kept["additionalProperties"] = False
        kept["properties"] = {name: _pod_template(item) for name, item in node["properties"].items()}
    elif kept.get("type") == "object":
        kept.setdefault("additionalProperties", True)
    return _or_null(kept) if "type" in kept else kept


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return schema | {"type": [*types, "null"]} | more


def _absent(
    values: Mapping[str, Any], comments: Mapping[tuple[str, ...], Comment], path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """What stands for a value that is null, or whose section is.

    Sections are maps; every other value is a list of two: what stands for null, and the default, which holds
    where the whole section is null. They differ where nothing is a possible value.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        here = (*path, key)
        comment = comments[here]
        if comment.text:
            required = "minItems" in (comment.schema or {})
            nothing = type(value)() if isinstance(value, (list, dict)) and not required else value
            result[key] = [nothing, value]
        else:
            result[key] = _absent(value, comments, here)
    return result


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


def _by_section(values: Mapping[str, Any]) -> str:
    """JSON with a line for each key of the root."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _page(values: Mapping[str, Any], comments: Mapping[tuple[str, ...], Comment]) -> str:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    rows: dict[str, list[str]] = {}
    for path, value in _leaves(values, comments):
        section = path[0] if len(path) > 1 else ""
        text = comments[path].text.replace("|", "\\|")
        default = json.dumps(value, ensure_ascii=False).replace("|", "\\|")
        rows.setdefault(section, []).append(f"| `{'.'.join(path)}` | `{default}` | {text} |")
    shared = "\n".join(f"| `global.{name}` | {item['description']} |" for name, item in _GLOBAL.items())
    kube = chart["kubeVersion"].removesuffix("-0")
    parts = [_HEAD.format(version=chart["version"], kube=kube, shared=shared)]
    for section, lines in rows.items():
        heading = comments[(section,)].heading if section else ""
        title = f"### {section}\n\n{heading}\n" if section else "### General\n"
        parts.append("\n".join([title, *_COLUMNS, *lines]) + "\n")
    return "\n".join(parts)


_KEPT = (
    *("type", "description", "enum", "additionalProperties", "minimum", "maximum"),
    *("minLength", "maxLength", "minItems", "maxItems", "maxProperties"),
)
_TEXTS = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}
_GLOBAL: dict[str, Any] = {
    "imageRegistry": {
        "type": ["string", "null"],
        "description": "Registry of the images that name none.",
    },
    "imagePullSecrets": {
        "type": ["array", "null"],
        "description": "Secrets to pull images with, beside imagePullSecrets: names, or maps with a name.",
    },
    "commonLabels": {**_TEXTS, "description": "Labels of every object, beside commonLabels."},
    "commonAnnotations": {**_TEXTS, "description": "Annotations of every object, beside commonAnnotations."},
    "nodeSelector": {**_TEXTS, "description": "Node selector of pods that have none of their own."},
    "tolerations": {
        "type": ["array", "null"],
        "items": {"type": "object"},
        "description": "Tolerations of pods that have none of their own.",
    },
    "priorityClassName": {
        "type": ["string", "null"],
        "description": "Priority class of pods that have none of their own.",
    },
}
"""What is read of `global`; the dispatchers' pods are among the pods."""
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

The schema refuses what is not in this table. `null` (in YAML also a key without a value) means nothing for
lists and free maps, the default for everything else. As a sub-chart it also takes from its parent `enabled`
and of `global`:

| value | meaning |
| --- | --- |
{shared}

Other keys of `global` are the parent's affair; a chart that has no parent refuses them, and `enabled`.
"""
