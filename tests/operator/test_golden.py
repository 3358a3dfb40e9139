from __future__ import annotations

import os

import pytest
import yaml

from tests.operator.cases import DATA, names, plan


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


@pytest.mark.parametrize("name", names())
def test_the_plan_is_as_expected(name: str) -> None:
    text = yaml.dump(plan(name), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    path = DATA / "output" / f"{name}.yaml"
    if os.environ.get("TUBEPOST_REWRITE"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_output_has_its_input() -> None:
    assert sorted(path.stem for path in (DATA / "output").glob("*.yaml")) == names()
