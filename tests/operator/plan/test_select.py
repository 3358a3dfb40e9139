from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.cases import applied, snapshot
from tubepost_api.conditions import Reason
from tubepost_operator.names import Names
from tubepost_operator.observed import Child
from tubepost_operator.plan import select
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


def test_without_a_deployment_the_status_tells_what_is_published() -> None:
    before = snapshot("first-publish")
    children = {key: child for key, child in applied(before, None).items() if key.kind == "ConfigMap"}
    ((key, child),) = children.items()
    older = replace(child.meta, key=replace(key, name="alerts-older"), created="2030-01-01T00:00:00Z")
    children[older.key] = Child(older, child.body)
    document = {**before.document, "status": {"config": {"name": key.name}}}
    found = select.published(replace(before, document=document, children=children))
    assert found is not None
    assert found.name == key.name
    found = select.published(replace(before, children=children))
    assert found is not None
    assert found.name == "alerts-older"


def test_a_config_map_that_somebody_broke_is_not_believed() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    for key, child in children.items():
        if key.kind == "ConfigMap":
            children[key] = Child(child.meta, {"data": {Names.CONFIG_KEY: "{}"}})
    assert select.published(replace(before, children=children)) is None


def test_a_config_map_that_somebody_edited_is_not_believed_however_well_it_reads() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    for key, child in children.items():
        if key.kind == "ConfigMap":
            assert child.body is not None
            text = child.body["data"][Names.CONFIG_KEY].replace('"logLevel":"Info"', '"logLevel":"Debug"')
            children[key] = Child(child.meta, {"data": {Names.CONFIG_KEY: text}})
    assert select.published(replace(before, children=children)) is None


def test_the_last_good_configuration_is_put_back_while_the_newest_has_a_fault() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    good = select.published(replace(before, children=children))
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
    good = select.published(replace(before, children=children))
    assert good is not None
    decision = select.select_config(replace(before, children=children), candidate)
    assert decision.source is not None
    assert decision.source.config.to_json() == good.text
    older = select.PublishedConfig(good.name, good.config, good.text.replace('"logLevel":"Info",', ""))
    assert select.PublishedConfig(good.name, good.config, good.text) == good
    assert not select._same(older, candidate.config)
