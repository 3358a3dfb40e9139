from __future__ import annotations

import pytest

from tubepost_api.problems import Problem, ProblemCode
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


def test_a_secret_that_is_missing_is_told_once_with_its_places(capsys: pytest.CaptureFixture[str]) -> None:
    missing = ("Secret 's' does not exist", "create it", ProblemCode.SECRET_NOT_FOUND, "s")
    show(
        [
            Problem("error", "a.yaml", "ApnRoute", "default", "one", "spec.token", *missing),
            Problem("error", "a.yaml", "ApnRoute", "default", "two", "spec.token", *missing),
            Problem("error", "a.yaml", "ApnRoute", "default", "two", "spec.tls.ca", *missing),
            Problem("error", "a.yaml", "ApnRoute", "other", "two", "spec.token", *missing),
        ]
    )
    _, err = capsys.readouterr()
    assert err.splitlines() == [
        (
            "error: a.yaml: ApnRoute default/one: spec.token: Secret 's' does not exist (needed also by ApnRoute two: "
            "spec.token, ApnRoute two: spec.tls.ca). Remedy: create it."
        ),
        "error: a.yaml: ApnRoute other/two: spec.token: Secret 's' does not exist. Remedy: create it.",
    ]
