from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.cases import applied, snapshot
from tubepost_api.conditions import Reason
from tubepost_operator.names import Names
from tubepost_operator.plan import select
from tubepost_operator.plan.published import PublishedConfig, published
from tubepost_operator.plan.push_domain import decide, plan_push_domain


def test_a_configuration_that_is_too_large_is_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "LIMIT", 100)
    plan = plan_push_domain(snapshot("first-publish"))
    assert plan.status is not None
    accepted = plan.status["conditions"][0]
    assert (accepted["status"], accepted["reason"]) == ("False", Reason.CONFIG_TOO_LARGE)
    assert plan.apply == ()


def test_one_that_is_too_large_does_not_replace_the_last_good_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    monkeypatch.setattr(select, "LIMIT", 100)
    decision = decide(replace(before, children=children))
    assert decision.selection.source is not None
    assert not decision.selection.is_candidate


def test_a_new_generation_of_the_same_contents_is_not_written() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    document = {**before.document, "metadata": {**before.document["metadata"], "generation": 9}}
    decision = decide(replace(before, document=document, children=children))
    assert decision.selection.source is not None
    assert decision.selection.source.config.generation == 1
    assert decision.selection.is_candidate


def test_the_last_good_configuration_is_put_back_while_the_newest_has_a_fault() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    good = published(replace(before, children=children))
    assert good is not None
    kept = {key: child for key, child in children.items() if key.kind != "ConfigMap"}
    broken = replace(before, children=kept, routes={}, last_published=(good.name, good.text))
    plan = plan_push_domain(broken)
    (put_back,) = [apply for apply in plan.apply if apply.key.kind == "ConfigMap"]
    assert put_back.key.name == good.name
    assert put_back.manifest["data"][Names.CONFIG_KEY] == good.text


def test_what_another_release_wrote_in_another_way_is_written_anew() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    candidate = decide(before).candidate
    assert candidate.config is not None
    good = published(replace(before, children=children))
    assert good is not None
    decision = select.select_config(replace(before, children=children), candidate)
    assert decision.source is not None
    assert decision.source.config.to_json() == good.text
    older = PublishedConfig(good.name, good.config, good.text.replace('"logLevel":"Info",', ""))
    assert PublishedConfig(good.name, good.config, good.text) == good
    assert not select._same(older, candidate.config)
