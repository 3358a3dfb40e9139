"""The health script for Argo CD that docs/install.md gives, run on what the operator writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from lupa import LuaRuntime

from tests.operator.cases import snapshot
from tubepost_operator.plan.push_domain import plan_push_domain

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "install.md"


def health(obj: dict[str, Any]) -> tuple[str, str]:
    """Status and message, as Argo CD gets them: the script sees the object as the global `obj`."""
    (script,) = re.findall(r"```lua\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    lua = LuaRuntime()
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    answer = lua.execute(script)
    return str(answer["status"]), str(answer["message"])


def condition(status: str, reason: str) -> dict[str, Any]:
    return {"type": "Ready", "status": status, "reason": reason, "message": reason.lower()}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "Progressing"),
        ({"observedGeneration": 1, "conditions": [condition("True", "Ready")]}, "Progressing"),
        ({"observedGeneration": 2, "conditions": []}, "Progressing"),
        ({"observedGeneration": 2, "conditions": [condition("True", "Ready")]}, "Healthy"),
        ({"observedGeneration": 2, "conditions": [condition("False", "Pending")]}, "Progressing"),
        ({"observedGeneration": 2, "conditions": [condition("False", "KeyMissing")]}, "Degraded"),
    ],
)
def test_health_of_an_object(status: dict[str, Any] | None, expected: str) -> None:
    document: dict[str, Any] = {"metadata": {"generation": 2}}
    if status is not None:
        document["status"] = status
    assert health(document)[0] == expected


def test_health_by_a_status_that_the_operator_writes() -> None:
    before = snapshot("first-publish")
    status = plan_push_domain(before).status
    assert status is not None
    found, message = health({**before.document, "status": status})
    assert found == "Progressing"
    assert message
    broken = plan_push_domain(snapshot("key-missing")).status
    assert broken is not None
    found, message = health({**before.document, "status": broken})
    assert found == "Degraded"
    assert "Remedy" in message
