from __future__ import annotations

import pytest

from tubepost_api.problems import Problem
from tubepost_cli.problems import show


def test_errors_come_first_and_all_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("a.yaml", "ApnRoute", "default", "prod", "spec.topic")
    show(
        [
            Problem("warning", *where, "is doubtful", "look at it"),
            Problem("error", *where, "is wrong", "change it"),
        ]
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: a.yaml: ApnRoute default/prod: spec.topic: is wrong. Remedy: change it.",
        "warning: a.yaml: ApnRoute default/prod: spec.topic: is doubtful. Remedy: look at it.",
    ]
