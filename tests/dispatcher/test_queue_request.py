from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.queue_request import (
    MOST_IDS,
    MOST_LISTED,
    MOST_REASON,
    MOST_TEXT,
    OTHERS,
    SELECTION,
    Action,
    Change,
    Cursor,
    Group,
    Query,
    RequestRefused,
    Selection,
    add_up,
    read_change,
    read_query,
)

TEXTS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=0, max_size=20)
AGES = st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000)
SELECTIONS = st.builds(
    Selection,
    domain=st.none() | TEXTS.map(str.lower).filter(lambda text: text == text.lower()),
    route=st.none() | TEXTS,
    sender=st.none() | TEXTS.filter(lambda text: text[:1] != "<"),
    last_reason=st.none() | TEXTS,
    ids=st.lists(TEXTS.filter(bool), max_size=3).map(tuple),
    older_than=st.none() | AGES,
    younger_than=st.none() | AGES,
    held=st.none() | st.booleans(),
)
CURSORS = st.none() | st.builds(
    Cursor,
    as_of=st.integers(0, 10**14).map(lambda milliseconds: milliseconds / 1000),
    partition=st.integers(0, 99),
    after=st.none() | st.integers(0, 2**63 - 1),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(SELECTIONS, CURSORS, st.integers(1, MOST_LISTED))
def test_what_is_written_as_parameters_is_read_back(
    selection: Selection, cursor: Cursor | None, limit: int
) -> None:
    pairs = [*selection.query(), ("limit", str(limit))]
    if cursor is not None:
        pairs.append(("cursor", str(cursor)))
    assert read_query(pairs) == Query(selection, cursor, limit)


@given(SELECTIONS, CURSORS, st.sampled_from(Action))
def test_a_body_is_read_as_its_parameters_are(
    selection: Selection, cursor: Cursor | None, action: Action
) -> None:
    chosen: dict[str, Any] = {name: value for name, value in selection.query() if name != "id"}
    if selection.ids:
        chosen["id"] = list(selection.ids)
    if selection.held is not None:
        chosen["held"] = selection.held
    body = {"filter": chosen, "reason": "why", "by": "alice", "dryRun": False}
    if selection.everything:
        body = {**body, "all": True}
    if cursor is not None:
        body["cursor"] = str(cursor)
    read = read_change(action, json.loads(json.dumps(body)))
    assert read == Change(action, selection, cursor, dry_run=False, reason="why", by="alice")


@given(
    st.sampled_from(Action),
    JSON
    | st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("filter", "all", "dryRun", "reason", "by", "cursor"), JSON)
    )
    | st.fixed_dictionaries(
        {"filter": st.fixed_dictionaries({}, optional={one.name: JSON for one in SELECTION})}
    ),
)
def test_a_body_is_read_or_refused_in_one_line_of_words(action: Action, document: object) -> None:
    refused, change = "", None
    try:
        change = read_change(action, document)
    except RequestRefused as error:
        refused = str(error)
    assert refused.isprintable()
    assert len(refused) < 300
    if change is not None:
        assert change.action is action
        assert change.selection.everything == (document == {**document, "all": True})  # type: ignore[dict-item]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([one.name for one in SELECTION] + ["limit", "cursor"]) | st.text(), st.text()
        )
    )
)
def test_parameters_are_read_or_refused_in_one_line_of_words(pairs: list[tuple[str, str]]) -> None:
    refused = ""
    try:
        read_query(pairs)
    except RequestRefused as error:
        refused = str(error)
    assert refused.isprintable()


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("domian", "x")], "'domian' is no parameter. There are: domain, held,"),
        ([("domain", "x"), ("domain", "y")], "'domain' is given twice"),
        ([("olderThan", "yesterday")], "olderThan: 'yesterday' is not a duration. Write it as 90s"),
        ([("olderThan", "-1s")], "is not a duration"),
        ([("held", "yes")], "held: 'yes' is neither true nor false"),
        ([("limit", "0")], "limit: '0' is not a number from 1 to 500"),
        ([("limit", "٣")], "is not a number"),
        ([("limit", "501")], "is not a number"),
        ([("cursor", "abc")], "cursor: not one of ours"),
        ([("cursor", f"1-0-{2**63}")], "cursor: not one of ours"),
        ([("sender", "a\nb")], "sender: has control characters"),
        ([("sender", "x" * (MOST_TEXT + 1))], "sender: longer than 512"),
        ([("id", " ")], "id: empty"),
        ([("id", "x")] * (MOST_IDS + 1), "id: neither a message id nor a list of at most 100"),
    ],
)
def test_parameters_that_are_refused(pairs: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_query(pairs)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("action", "document", "words"),
    [
        (Action.FLUSH, [], "The body is not a JSON object"),
        (Action.FLUSH, {}, 'filter: it excludes nothing. Name what to choose, or say "all": true'),
        (Action.FLUSH, {"filter": {}}, "filter: it excludes nothing"),
        (Action.FLUSH, {"filter": {"domain": "x"}, "all": True}, "all: there is a filter too"),
        (Action.FLUSH, {"filter": "x"}, "filter: not an object"),
        (Action.FLUSH, {"filter": {"domian": "x"}}, "'domian' is no field of filter"),
        (Action.FLUSH, {"filter": {"domain": 7}}, "domain: not a string"),
        (Action.FLUSH, {"filter": {"held": "true"}}, "held: 'true' is neither true nor false"),
        (Action.FLUSH, {"filter": {"id": {}, "held": True}, "all": "x"}, "neither true nor false"),
        (Action.FLUSH, {"all": True, "yes": True}, "'yes' is no field. There are: all, by, cursor"),
        (Action.HOLD, {"all": True}, "reason: hold needs one"),
        (Action.HOLD, {"all": True, "reason": "  "}, "reason: hold needs one"),
        (Action.DROP, {"all": True, "dryRun": False}, "reason: drop needs one; it is logged"),
        (Action.DROP, {"all": True, "dryRun": 0}, "dryRun: '0' is neither true nor false"),
        (Action.DROP, {"all": True, "reason": "x" * (MOST_REASON + 1)}, "reason: longer than 200"),
        (Action.DROP, {"all": True, "by": "a\x1b[31m"}, "by: has control characters"),
    ],
)
def test_bodies_that_are_refused(action: Action, document: object, words: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_change(action, document)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("given", "meant"), [("<s@x.example>", "s@x.example"), ("<>", ""), ("", ""), ("s>@x", "s>@x"), ("<", "<")]
)
def test_a_sender_may_be_written_as_mail_from_has_it(given: str, meant: str) -> None:
    assert read_query([("sender", given)]).selection.sender == meant


def test_what_destroys_is_a_dry_run_unless_the_request_says_otherwise() -> None:
    chosen = {"filter": {"domain": "A.example"}, "reason": "why"}
    assert read_change(Action.DROP, chosen).dry_run
    assert read_change(Action.DROP, {"filter": {"domain": "x"}}).reason == "", "a dry run needs no reason"
    assert not read_change(Action.DROP, {**chosen, "dryRun": False}).dry_run
    for action in set(Action) - {Action.DROP}:
        assert not read_change(action, chosen).dry_run
        assert read_change(action, {**chosen, "dryRun": True}).dry_run
    assert read_change(Action.DROP, chosen).selection.domain == "a.example"
    assert read_change(Action.DROP, {"filter": {"id": "m1"}}).selection.ids == ("m1",)


def test_a_selection_says_what_it_is() -> None:
    assert str(Selection()) == "everything"
    assert str(Selection(domain="a.example", older_than=90.5, held=False)) == (
        "domain='a.example' olderThan='90.5s' held='false'"
    )
    assert not Selection(route="").everything


def test_groups_with_the_same_in_common_are_added_up_and_the_smallest_put_together() -> None:
    one = Group("a.example", "blue", "Shutdown", "", 2, 1, 100.0, 10)
    other = Group("b.example", "", "", "", 5, 5, 200.0, 20)
    few = Group("c.example", "", "", "", 1, 0, 50.0, 5)
    assert add_up([one, other, one], 10) == [
        other,
        Group("a.example", "blue", "Shutdown", "", 4, 2, 100.0, 20),
    ]
    assert add_up([one, other, few], 1) == [other, Group(OTHERS, "", "", "", 3, 1, 50.0, 15)]
    assert add_up(add_up([one, other, few], 1), 1) == add_up([one, other, few], 1)
    assert add_up([], 1) == []
