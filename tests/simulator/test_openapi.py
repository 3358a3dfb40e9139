from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulator.records import record
from tests.simulator.support import settings
from tubepost_simulator import Chaos
from tubepost_simulator.api import application
from tubepost_simulator.context import Context
from tubepost_simulator.filters import FILTERS
from tubepost_simulator.openapi import PREFIX, description

DOCUMENT = description()


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from references(inner)


def test_what_is_served_is_described_and_the_reverse() -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in application(Context(settings()), b"").router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/")
    }
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == served


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) == schemas


def test_schemas_have_the_members_of_what_is_answered() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert list(schemas["Notification"]["properties"]) == list(record().as_dict())
    switches = set(Chaos().model_dump(by_alias=True))
    assert set(schemas["Chaos"]["properties"]) == switches
    assert set(schemas["ChaosPatch"]["properties"]) == switches | {"now"}


def test_parameters_in_paths_are_described() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            placed = {item["name"] for item in operation.get("parameters", ()) if item["in"] == "path"}
            assert all(f"{{{name}}}" in path for name in placed)
            assert path.count("{") == len(placed)


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()
    ]
    assert len(set(names)) == len(names)


def test_filters_are_parameters() -> None:
    for path in ("/notifications", "/events"):
        given = DOCUMENT["paths"][PREFIX + path]["get"]["parameters"]
        assert [item["name"] for item in given] == list(FILTERS)
