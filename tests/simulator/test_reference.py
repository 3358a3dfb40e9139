from __future__ import annotations

import runpy
from pathlib import Path

from tubepost_simulator import Chaos, Reason
from tubepost_simulator.magic import BEHAVIOURS

ROOT = Path(__file__).resolve().parents[2]
PATH = "docs/reference/simulator.md"


def test_page_is_complete() -> None:
    outputs = runpy.run_path(str(ROOT / "scripts/generators/simulator_reference.py"))["outputs"]()
    page = outputs[PATH]
    names = [*Reason, *(f"beef{spec.code}" for spec in BEHAVIOURS), *Chaos().model_dump(by_alias=True)]
    assert [name for name in names if f"`{name}`" not in page] == []
