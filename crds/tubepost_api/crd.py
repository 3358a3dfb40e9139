"""CustomResourceDefinitions from the models.

Pydantic's JSON schema is not what an API server calls structural: references are inlined, optional fields
lose their null, and what the server refuses (titles, `additionalProperties: false` beside properties,
defaults of null) goes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from tubepost_api.apnlogger import ApnLogger
from tubepost_api.apnroute import ApnRoute
from tubepost_api.pushdomain import PushDomain
from tubepost_api.resource import GROUP, VERSION, Column, Resource

KINDS: Final[Mapping[str, type[Resource]]] = {
    "PushDomain": PushDomain,
    "ApnRoute": ApnRoute,
    "ApnLogger": ApnLogger,
}
"""The models by kind."""

CATEGORY = "tubepost"
"""`kubectl get tubepost` lists all kinds."""

# Beside these nothing of pydantic's schema has a meaning for the API server.
_KEPT = (
    "type",
    "format",
    "description",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "maxProperties",
    "additionalProperties",
    "required",
)


def crd(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition of one of our kinds.

    Raises:
        KeyError: no such kind.
    """
    model = KINDS[kind]
    names = model.names
    subresources: dict[str, Any] = {"status": {}}
    if names.scale:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": names.kind,
                "listKind": f"{names.kind}List",
                "plural": names.plural,
                "singular": names.singular,
                "shortNames": [names.short],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema(model)},
                    "subresources": subresources,
                    "additionalPrinterColumns": [_column(column) for column in names.columns],
                }
            ],
        },
    }


def schema(model: type[Resource]) -> dict[str, Any]:
    """The structural schema of a kind."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    result = _structural(raw, raw.get("$defs", {}))
    # The server knows these better than any schema; what it checks of them is not configurable.
    result["properties"]["apiVersion"] = _plain(result["properties"]["apiVersion"])
    result["properties"]["kind"] = _plain(result["properties"]["kind"])
    result["properties"]["metadata"] = {"type": "object"}
    result["required"] = ["spec"]
    return result


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "string", "description": node["description"]}


def _column(column: Column) -> dict[str, Any]:
    result: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        result["description"] = column.description
    if column.wide:
        result["priority"] = 1
    return result


def _structural(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    source = dict(node)
    if "$ref" in source:
        target = definitions[source.pop("$ref").rpartition("/")[2]]
        source = {**target, **source}
    if "anyOf" in source:
        options = [option for option in source.pop("anyOf") if option.get("type") != "null"]
        if len(options) != 1:
            raise TypeError(f"a union cannot stand in a structural schema: {options}")
        inner = options[0]
        if "$ref" in inner:
            inner = definitions[inner["$ref"].rpartition("/")[2]]
        source = {**inner, **source}
    if "const" in source:
        source["enum"] = [source.pop("const")]
    kept = [key for key in _KEPT if key in source]
    kept += [key for key in source if key.startswith("x-kubernetes-")]
    # Copies: what two fields share would be written as an alias.
    result = {key: copy.deepcopy(source[key]) for key in kept}
    if "properties" in source:
        result.pop("additionalProperties", None)  # pydantic's refusal of unknown fields
    if "description" in result:
        result["description"] = _one_paragraph(result["description"])
    if result.get("default", "") is None:
        del result["default"]
    if "properties" in source:
        result["properties"] = {
            name: _structural(child, definitions) for name, child in source["properties"].items()
        }
        if "default" in result:
            # Nested defaults apply inside an empty object as well. But the server checks a default against
            # the object's rules before it applies those.
            result["default"] = _defaults(result) if "x-kubernetes-validations" in result else {}
    elif "items" in source:
        result["items"] = _structural(source["items"], definitions)
        if not result.get("default", True):
            del result["default"]
    return result


def _defaults(node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: copy.deepcopy(child["default"])
        for name, child in node["properties"].items()
        if "default" in child
    }


def _one_paragraph(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
