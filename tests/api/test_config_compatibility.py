"""The compiled document between releases: a dispatcher may be one release older than the operator, or newer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tubepost_api.compiled import later
from tubepost_api.config import SCHEMA_VERSION, DispatcherConfig, ListenerConfig

RECORDED = Path(__file__).parent / "data" / f"config-v{SCHEMA_VERSION}.json"
"""JSON Schema of the document as its schema version was first released; never edited afterwards."""
RENAMED = {"PassthruConfig": "RelayConfig"}
"""Models that are called otherwise now; their names are not written in the document."""


def models(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All models of a JSON Schema by name."""
    return {"DispatcherConfig": schema, **schema["$defs"]}


def present() -> dict[str, dict[str, Any]]:
    """The models of now."""
    return models(DispatcherConfig.model_json_schema(by_alias=True, mode="validation"))


@pytest.fixture
def recorded() -> dict[str, dict[str, Any]]:
    found = models(json.loads(RECORDED.read_text(encoding="utf-8")))
    return {RENAMED.get(name, name): schema for name, schema in found.items()}


def test_no_field_was_removed_renamed_or_given_another_default(
    recorded: dict[str, dict[str, Any]],
) -> None:
    now = present()
    for model, schema in recorded.items():
        for name, field in schema.get("properties", {}).items():
            where = f"{model}.{name}: raise SCHEMA_VERSION instead"
            assert name in now[model]["properties"], where
            assert now[model]["properties"][name].get("default") == field.get("default"), where
        # What was optional stays so, and no value that was allowed is forbidden.
        assert set(now[model].get("required", ())) <= set(schema.get("required", ())), model
        assert set(schema.get("enum", ())) <= set(now[model].get("enum", ())), model


def test_a_field_that_joined_is_marked(recorded: dict[str, dict[str, Any]]) -> None:
    for model, schema in present().items():
        known = recorded.get(model)
        if known is None:
            continue  # a new model hangs from a new field
        for name, field in schema.get("properties", {}).items():
            assert name in known["properties"] or field.get("x-tubepost-later"), (
                f"{model}.{name}: write `later(DEFAULT)`, or raise SCHEMA_VERSION"
            )


class NewerConfig(DispatcherConfig):
    """What a next release may look like."""

    dry_run: bool = later(False)


def config(kind: type[DispatcherConfig] = DispatcherConfig, **fields: Any) -> DispatcherConfig:
    return kind(
        name="alerts", listener=ListenerConfig(hostname="mx.example.com"), entries=(), routes={}, **fields
    )


def test_an_older_dispatcher_reads_what_does_not_use_a_newer_field() -> None:
    document = config(NewerConfig).to_json()
    assert document == config().to_json()
    assert DispatcherConfig.model_validate_json(document).digest() == config(NewerConfig).digest()


def test_an_older_dispatcher_refuses_a_newer_field_that_is_used() -> None:
    document = config(NewerConfig, dry_run=True).to_json()
    assert json.loads(document)["dryRun"] is True
    with pytest.raises(ValidationError, match="dryRun"):
        DispatcherConfig.model_validate_json(document)


def test_a_newer_dispatcher_reads_what_an_older_operator_wrote() -> None:
    assert NewerConfig.model_validate_json(config().to_json()) == config(NewerConfig)
