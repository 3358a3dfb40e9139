from __future__ import annotations

import pytest

from tubepost_dispatcher.context import OURS
from tubepost_policy.constants import OWN_VARIABLES
from tubepost_policy.context import MAX_VALUE, MAX_VARIABLES, Context


def test_what_is_set_is_a_change_and_what_is_ours_is_none() -> None:
    context = Context({"DLV_Transaction_ID": "1", "campaign": "a"})
    assert context.changes is None
    context["campaign"] = "a"
    assert context.changes is None
    context["campaign"] = "b"
    context["tried"] = "1"
    del context["tried"]
    assert context.changes == {"campaign": "b"}
    assert dict(context) == {"DLV_Transaction_ID": "1", "campaign": "b"}


@pytest.mark.parametrize("name", sorted(OWN_VARIABLES))
def test_nobody_sets_tubeposts_own(name: str) -> None:
    context = Context({name: "x"})
    with pytest.raises(PermissionError):
        context[name] = "y"
    with pytest.raises(PermissionError):
        del context[name]
    assert context[name] == "x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a=b", "x"),
        ("ä", "x"),
        ("a" * 65, "x"),
        ("a", "x" * (MAX_VALUE + 1)),
        ("a", "\n"),
    ],
)
def test_what_cannot_stand_in_a_message_cannot_be_set(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        Context({})[name] = value


def test_the_number_of_variables_is_bounded() -> None:
    context = Context(dict.fromkeys(OWN_VARIABLES, ""))
    for number in range(MAX_VARIABLES):
        context[f"v{number}"] = "x"
    with pytest.raises(ValueError, match="at most 64"):
        context["more"] = "x"


def test_tubeposts_own_are_the_same_on_both_sides() -> None:
    assert OURS.keys() == OWN_VARIABLES
