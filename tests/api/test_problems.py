from __future__ import annotations

from tubepost_api.problems import Problem


def test_a_problem_is_one_line() -> None:
    problem = Problem("error", "a.yaml", "ApnRoute", "default", "prod", "spec.topic", "is wrong", "mend it")
    assert str(problem) == "a.yaml: ApnRoute default/prod: spec.topic: is wrong. Remedy: mend it."


def test_what_is_not_known_is_left_out() -> None:
    problem = Problem("error", "a.yaml", "", "", "", "", "is wrong", "did you mean b?")
    assert str(problem) == "a.yaml: is wrong. Remedy: did you mean b?"
    unnamed = Problem("error", "a.yaml", "ApnRoute", "default", "", "", "is wrong", "mend it")
    assert str(unnamed) == "a.yaml: ApnRoute without a name: is wrong. Remedy: mend it."
    nowhere = Problem("error", "", "ApnRoute", "default", "prod", "", "is wrong", "mend it")
    assert str(nowhere) == "ApnRoute default/prod: is wrong. Remedy: mend it."


def test_a_name_with_a_line_break_does_not_break_the_line() -> None:
    problem = Problem("error", "a.yaml", "PushDomain", "default", "ä\r", "spec.\n", "is wrong", "mend it")
    assert str(problem) == r"a.yaml: PushDomain default/ä\r: spec.\n: is wrong. Remedy: mend it."
