from __future__ import annotations

from tubepost_operator.kinds import CHILDREN, OWN
from tubepost_operator.rbac import PERMISSIONS


def verbs(resource: str) -> set[str]:
    return {verb for item in PERMISSIONS if resource in item.resources for verb in item.verbs}


def test_secrets_are_read_only() -> None:
    assert verbs("secrets") == {"get", "list", "watch"}


def test_our_own_objects_are_never_changed_but_for_their_status() -> None:
    for kind in OWN.values():
        assert verbs(kind.plural) == {"get", "list", "watch"}
        assert verbs(f"{kind.plural}/status") == {"patch"}


def test_every_kind_of_child_is_covered() -> None:
    for kind in CHILDREN.values():
        (item,) = [item for item in PERMISSIONS if kind.plural in item.resources]
        assert item.group == kind.group
        assert set(item.verbs) == {"create", "delete", "get", "list", "patch", "watch"}


def test_nothing_is_a_wildcard_and_everything_has_a_reason() -> None:
    for item in PERMISSIONS:
        assert "*" not in {*item.resources, *item.verbs, item.group}
        assert item.reason
        assert list(item.verbs) == sorted(item.verbs)
