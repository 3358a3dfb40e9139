from __future__ import annotations

from dataclasses import replace

from tests.operator.cases import applied, snapshot
from tubepost_operator.names import Names
from tubepost_operator.observed import Child
from tubepost_operator.plan.published import parsed, published


def test_without_a_deployment_the_status_tells_what_is_published() -> None:
    before = snapshot("first-publish")
    children = {key: child for key, child in applied(before, None).items() if key.kind == "ConfigMap"}
    ((key, child),) = children.items()
    older = replace(child.meta, key=replace(key, name="alerts-older"), created="2030-01-01T00:00:00Z")
    children[older.key] = Child(older, child.body)
    document = {**before.document, "status": {"config": {"name": key.name}}}
    found = published(replace(before, document=document, children=children))
    assert found is not None
    assert found.name == key.name
    found = published(replace(before, children=children))
    assert found is not None
    assert found.name == "alerts-older"


def test_a_config_map_that_somebody_broke_is_not_believed() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    for key, child in children.items():
        if key.kind == "ConfigMap":
            children[key] = Child(child.meta, {"data": {Names.CONFIG_KEY: "{}"}})
    assert published(replace(before, children=children)) is None


def test_a_config_map_that_somebody_edited_is_not_believed_however_well_it_reads() -> None:
    before = snapshot("first-publish")
    children = applied(before, None)
    for key, child in children.items():
        if key.kind == "ConfigMap":
            assert child.body is not None
            text = child.body["data"][Names.CONFIG_KEY].replace('"logLevel":"Info"', '"logLevel":"Debug"')
            children[key] = Child(child.meta, {"data": {Names.CONFIG_KEY: text}})
    assert published(replace(before, children=children)) is None


def test_of_two_workloads_the_status_tells_which_has_the_newest() -> None:
    before = snapshot("moves-to-a-claim")
    document = {**before.document, "status": {"config": {"name": "alerts-newest"}}}
    config = next(child for key, child in before.children.items() if key.kind == "ConfigMap")
    newest = Child(replace(config.meta, key=replace(config.meta.key, name="alerts-newest")), config.body)
    found = published(
        replace(before, children={**before.children, newest.meta.key: newest}, document=document)
    )
    assert found is not None
    assert found.name != "alerts-newest", "no workload has it"
    key = next(key for key in before.children if key.kind == "Deployment")
    other = before.children[key]
    meta = replace(
        other.meta,
        key=replace(key, kind="StatefulSet"),
        annotations={Names.CONFIG_ANNOTATION: "alerts-newest"},
    )
    children = {**before.children, newest.meta.key: newest, meta.key: Child(meta, other.body)}
    found = published(replace(before, children=children, document=document))
    assert found is not None
    assert found.name == "alerts-newest"


def test_what_is_not_there_or_not_read_is_nothing() -> None:
    child = next(
        child for key, child in snapshot("moves-to-a-claim").children.items() if key.kind == "ConfigMap"
    )
    assert parsed(None) is None
    assert parsed(replace(child, body=None)) is None
    assert parsed(child) is not None
