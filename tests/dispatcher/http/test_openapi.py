from __future__ import annotations

from typing import Any

import orjson

from tests.dispatcher.http.support import notification
from tubepost_dispatcher.http.openapi import description, document
from tubepost_dispatcher.http.problems import Fault, fault_problem, problem_of, result_of
from tubepost_dispatcher.http.requests import MEMBERS
from tubepost_dispatcher.reasons.catalogue import REASONS, refusal
from tubepost_dispatcher.reasons.http_status import http_status
from tubepost_dispatcher.reply import Reply

DOCUMENT = description()
SCHEMAS = DOCUMENT["components"]["schemas"]
KINDS = {"string": str, "integer": int, "object": dict, "array": list}


def check(value: Any, schema: dict[str, Any]) -> None:
    """As much of JSON Schema as the document uses."""
    if "$ref" in schema:
        check(value, SCHEMAS[schema["$ref"].rpartition("/")[2]])
        return
    if "oneOf" in schema and "type" not in schema:
        fits = []
        for one in schema["oneOf"]:
            try:
                check(value, one)
            except AssertionError:
                continue
            fits.append(one)
        assert len(fits) == 1
        return
    kinds = schema.get("type", list(KINDS))
    assert isinstance(value, tuple(KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)))
    assert value in schema.get("enum", [value])
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= value.keys()
        more = schema.get("additionalProperties", True)
        for name, member in value.items():
            known = schema.get("properties", {}).get(name)
            assert known is not None or more is not False, name
            if known is not None:
                check(member, known)
        assert sum(set(one["required"]) <= value.keys() for one in schema.get("oneOf", ())) in {0, 1}
    if isinstance(value, list):
        assert len(value) >= schema.get("minItems", 0)
        for one in value:
            check(one, schema["items"])


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*(references(one) for one in value.values())) if value else found
    return set().union(*(references(one) for one in value)) if isinstance(value, list) and value else set()


def test_the_document_is_whole() -> None:
    assert orjson.loads(document()) == orjson.loads(orjson.dumps(DOCUMENT))
    assert DOCUMENT["openapi"] == "3.1.0"
    for reference in references(DOCUMENT):
        kind, _, name = reference.removeprefix("#/components/").partition("/")
        assert name in DOCUMENT["components"][kind]


def test_it_names_every_member_and_every_status() -> None:
    assert set(SCHEMAS["Notification"]["properties"]) == set(MEMBERS)
    responses = DOCUMENT["paths"]["/v1/notifications"]["post"]["responses"]
    answered = {http_status(spec) for spec in REASONS.values() if spec.reason} | {200, 202, 207}
    described = {int(status) for status in responses}
    # What is answered at other paths only: 404 and 405.
    assert answered - {404, 405} == described


def test_requests_and_answers_are_as_it_says() -> None:
    check(notification(), SCHEMAS["Notification"])
    check({"notifications": [notification(domain=None, recipient="a@b.example")]}, SCHEMAS["Batch"])
    result = result_of(Reply(250, "2.0.0", "x", "", "queued"), "m1", "a1")
    check(result, SCHEMAS["Result"])
    problems = [
        problem_of(refusal("QueueFull"), message_id="m"),
        fault_problem(Fault("BadRequest", "x", "/y")),
    ]
    for one in problems:
        check(one, SCHEMAS["Problem"])
    check({"notifications": [result, *problems]}, SCHEMAS["Results"])
