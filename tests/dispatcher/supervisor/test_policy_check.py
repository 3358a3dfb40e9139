from __future__ import annotations

from dataclasses import replace

from tests.dispatcher.bundles import bundle
from tests.dispatcher.supervisor.test_reload_status import PROBLEM
from tubepost_api.config import DispatcherConfig, PolicyConfig
from tubepost_api.problems import Problem
from tubepost_dispatcher.supervisor.policy_check import PolicyCheck

WARNING = replace(PROBLEM, severity="warning")


def config(source: str | None) -> DispatcherConfig:
    policy = None if source is None else PolicyConfig(name="hooks", source=source)
    return bundle(policy=policy).config


def test_a_good_module_is_looked_at_once_and_a_bad_one_again() -> None:
    looked: list[str] = []

    def check(of: DispatcherConfig) -> tuple[Problem, ...]:
        assert of.policy is not None
        looked.append(of.policy.source)
        return (WARNING,) if of.policy.source == "good" else (PROBLEM, WARNING)

    checks = PolicyCheck(check)
    for source in (None, "good", "good", "bad", "bad", None):
        checks.look_at(config(source))
    assert looked == ["good", "bad", "bad"]
    assert checks.errors(config("bad")) == (PROBLEM,)
    assert checks.warnings(config("bad")) == (WARNING,)
    assert checks.errors(config("good")) == ()
    assert checks.errors(config(None)) == ()


def test_a_module_is_loaded_in_a_process() -> None:
    checks = PolicyCheck()
    bad = config("import nowhere\n")
    checks.look_at(bad)
    (problem,) = checks.errors(bad)
    assert problem.field == "spec.policy.configMapName"
    assert "ConfigMap 'hooks', policy.py, line 1: ModuleNotFoundError" in problem.message
