"""The reference page of the custom resources, from the schemas of the CRDs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tubepost_api.conditions import ConditionType, Reason
from tubepost_api.crd import CATEGORY, KINDS, crd
from tubepost_api.resource import API_VERSION

PATH = "docs/reference/custom-resources.md"

INTRODUCTION = f"""\
<!-- Generated from the models in crds/tubepost_api by `make generate`; do not edit. -->
# Custom resources

All kinds are of `apiVersion: {API_VERSION}` and namespaced; what they refer to is in their own namespace.
`kubectl get {CATEGORY}` lists them all.

- Durations are Go durations: `500ms`, `5s`, `1m30s`, `168h`.
- Sizes are bytes (`65536`) or whole quantities (`64Ki`, `100Mi`).
- `required` in the column of defaults: the object that the field belongs to cannot be without it. An empty
  column: the field may be absent.
- `tubepost validate -f FILE` checks the same rules without a cluster, and references besides.
"""


def outputs() -> dict[str, str]:
    """The page."""
    lines = [INTRODUCTION]
    for kind in KINDS:
        lines += _kind(kind)
    lines += ["## Conditions", ""]
    lines += ["All are good when `True`.", "", "| condition | meaning |", "| --- | --- |"]
    lines += [f"| `{item.value}` | {text} |" for item, text in _members(ConditionType)]
    lines += ["", "| reason | meaning |", "| --- | --- |"]
    lines += [f"| `{item.value}` | {text} |" for item, text in _members(Reason)]
    return {PATH: "\n".join(lines) + "\n"}


def _kind(kind: str) -> list[str]:
    definition = crd(kind)["spec"]
    version = definition["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    names = definition["names"]
    lines = [f"## {kind}", "", schema["description"], ""]
    lines += [
        f"Names for kubectl: `{names['plural']}`, `{names['singular']}`, `{names['shortNames'][0]}`.",
        "",
    ]
    for section in ("spec", "status"):
        node = schema["properties"][section]
        lines += [
            f"### {kind}.{section}",
            "",
            "| field | type | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        lines += list(_fields(node, ""))
        rules = list(_rules(node, section))
        if rules:
            lines += ["", "Rules:", "", *rules]
        lines.append("")
    rules = [
        f"- `metadata.name`: {_cell(rule['message'])}." for rule in schema.get("x-kubernetes-validations", [])
    ]
    return [*lines, "Rules for the name:", "", *rules, ""]


def _fields(node: Mapping[str, Any], prefix: str) -> Iterator[str]:
    required = node.get("required", [])
    for name, child in node.get("properties", {}).items():
        path = f"{prefix}{name}"
        default = "required" if name in required else ""
        if "default" in child and child["default"] != "" and not isinstance(child["default"], dict | list):
            default = f"`{_cell(_written(child['default']))}`"
        yield f"| `{path}` | {_type(child)} | {default} | {_cell(child['description'])} |"
        if "properties" in child:
            yield from _fields(child, f"{path}.")
        elif "properties" in child.get("items", {}):
            yield from _fields(child["items"], f"{path}[].")


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _type(node: Mapping[str, Any]) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "size"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if node["type"] == "array":
        return f"list of {_type(node['items'])}, at most {node['maxItems']}"
    if node["type"] == "integer":
        limits = " to ".join(str(node[key]) for key in ("minimum", "maximum") if key in node)
        return f"integer {limits}".strip() if "maximum" in node else "integer"
    if node.get("format") == "date-time":
        return "time"
    rules = node.get("x-kubernetes-validations", ())
    if node["type"] == "string" and any("duration(self)" in rule["rule"] for rule in rules):
        return "duration"
    return str(node["type"])


def _rules(node: Mapping[str, Any], path: str) -> Iterator[str]:
    # Rules of scalars (a duration is positive) are part of the type.
    if "properties" in node:
        for rule in node.get("x-kubernetes-validations", []):
            yield f"- `{path}`: {_cell(rule['message'])}."
    for name, child in node.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    if "items" in node:
        yield from _rules(node["items"], f"{path}[]")


def _members(enumeration: Any) -> Iterator[tuple[Any, str]]:
    for item in enumeration:
        yield item, _cell(item.meaning)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
