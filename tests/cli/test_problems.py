from __future__ import annotations

import pytest

from tubepost_api.problems import Problem
from tubepost_cli.problems import show


def test_errors_come_before_warnings_and_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [
        Problem("warning", "a.yaml", "PushDomain", "default", "alerts", "spec", "odd", "look"),
        Problem("error", "a.yaml", "PushDomain", "default", "alerts", "spec", "wrong", "mend"),
    ]
    show(problems)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[0] for line in err.splitlines()] == ["error", "warning"]
