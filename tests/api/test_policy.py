from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.api.manifests import compiled, config_map, errors, push_domain, route
from tubepost_api.config import PolicyConfig
from tubepost_api.policy import MAX_SOURCE, POLICY_KEY, source_fault
from tubepost_api.problems import ProblemCode

HOOKS = {"configMapName": "hooks"}


def test_the_text_of_the_module_is_in_the_document() -> None:
    source = "def apn_status_classifier(status): ...\n"
    config = compiled(push_domain(policy=HOOKS), route(), config_map(**{POLICY_KEY: source})).config
    assert config is not None
    assert config.policy == PolicyConfig(name="hooks", source=source)
    more = compiled(
        push_domain(policy=HOOKS), route(), config_map(**{POLICY_KEY: source + "# more\n"})
    ).config
    assert more is not None
    assert more.digest() != config.digest()


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (config_map("other"), ProblemCode.CONFIG_MAP_NOT_FOUND),
        (config_map(namespace="other"), ProblemCode.CONFIG_MAP_NOT_FOUND),
        (config_map(policy=""), ProblemCode.CONFIG_MAP_KEY_MISSING),
        ({**config_map(), "data": None}, ProblemCode.CONFIG_MAP_KEY_MISSING),
        ({**config_map(), "data": {POLICY_KEY: 1}}, ProblemCode.CONFIG_MAP_KEY_MISSING),
        (
            {**config_map(), "data": None, "binaryData": {POLICY_KEY: "eA=="}},
            ProblemCode.CONFIG_MAP_KEY_MISSING,
        ),
        (config_map(**{POLICY_KEY: "def"}), ProblemCode.POLICY_INVALID),
    ],
)
def test_what_is_wrong_has_its_kind_and_field(document: dict[str, object], code: ProblemCode) -> None:
    result = compiled(push_domain(policy=HOOKS), route(), document)
    (problem,) = errors(result)
    assert (problem.code, problem.field) == (code, "spec.policy.configMapName")
    assert result.config is None


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", None),
        ("x = 'é'  # ä\n", None),
        ("x = '\\d'", None),
        ("raise SystemExit", None),
        ("def f(:\n", "is not Python (line 1): invalid syntax"),
        ("x = 1\n  y = 2", "is not Python (line 2): unexpected indent"),
        ("x = 1\nreturn x\n", "is not Python (line 2): 'return' outside function"),
        ("x = '\0'", "is not Python"),
        ("(" * 10_000 + ")" * 10_000, "is not Python"),
        ("-" * 200_000 + "1", "is not Python"),
        ("#" * (MAX_SOURCE + 1), f"has {MAX_SOURCE + 1} bytes, more than {MAX_SOURCE}"),
        ("#" * MAX_SOURCE, None),
        ("é" * (MAX_SOURCE // 2 + 1), f"has {MAX_SOURCE + 2} bytes, more than {MAX_SOURCE}"),
    ],
    ids=range(13),
)
def test_what_is_no_module_is_told_with_its_line(source: str, text: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fault = source_fault(source)
    if text is None:
        assert fault is None
    else:
        assert fault is not None
        assert fault.text.startswith(text)
        assert fault.remedy


@given(st.text(max_size=200))
def test_any_text_gets_an_answer(source: str) -> None:
    fault = source_fault(source)
    assert fault is None or (fault.text.isprintable() and fault.remedy)
