from __future__ import annotations

from typing import Any, Literal

import pytest

from tubepost_api.config import RouteDefaults
from tubepost_dispatcher.delivery.headers import _MAX_PLANS, RequestHeaders, RouteFacts, resolve
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.push_types import PUSH_TYPES
from tubepost_dispatcher.reasons.catalogue import REASONS, outcome_reply
from tubepost_dispatcher.reply import Reply


def facts(
    *topics: str,
    default: str | None = "com.example.app",
    auth: Literal["certificate", "token"] = "token",
    **defaults: Any,
) -> RouteFacts:
    return RouteFacts(frozenset(topics), default, auth, RouteDefaults(**defaults))


def part(payload: bytes = b"{}", **values: Any) -> PushPart:
    return PushPart(b"ab", payload, **values)


def settled(push: PushPart, route: RouteFacts, expiry: float = 60.0) -> RequestHeaders:
    found = resolve(push, route, now=1_000, expiry=expiry)
    assert isinstance(found, RequestHeaders), found
    return found


def refused(push: PushPart, route: RouteFacts, reason: str) -> Reply:
    outcome = resolve(push, route, now=1_000, expiry=60.0)
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.PERMANENT, reason)
    found = outcome_reply(outcome)
    assert found.reason == reason
    assert reason in REASONS
    assert found.code in {550, 552}
    assert found.text.isascii()
    assert len(found.text) <= 400
    return found


def test_defaults_of_a_plain_alert() -> None:
    found = settled(part(), facts())
    assert (found.topic, found.push_type, found.priority) == (b"com.example.app", b"alert", 10)
    assert (found.expiration, found.collapse_id) == (1_060, b"")
    assert settled(part(), facts(), expiry=0.0).expiration == 0
    assert settled(part(expiration=0), facts()).expiration == 0
    assert settled(part(expiration=5), facts()).expiration == 5


def test_the_push_type_is_the_parts_then_the_routes_then_inferred() -> None:
    assert settled(part(push_type=b"voip", background=True), facts(push_type="alert")).push_type == b"voip"
    assert settled(part(background=True), facts(push_type="alert")).push_type == b"alert"
    inferred = settled(part(background=True), facts())
    assert (inferred.push_type, inferred.priority) == (b"background", 5)
    assert settled(part(is_mdm=True), facts()).push_type == b"mdm"


@pytest.mark.parametrize("name", PUSH_TYPES)
def test_every_push_type(name: str) -> None:
    spec = PUSH_TYPES[name]
    push = part(push_type=name.encode())
    found = settled(push, facts())
    assert found.topic == b"com.example.app" + spec.suffix.encode()
    assert found.priority == spec.default_priority
    assert settled(part(push_type=name.encode(), topic=found.topic), facts()).topic == found.topic
    for priority in (1, 5, 10):
        chosen = part(push_type=name.encode(), priority=priority)
        if priority in spec.priorities:
            assert settled(chosen, facts()).priority == priority
        else:
            assert name in refused(chosen, facts(), "BadPriority").text
    with_certificate = facts("com.example.app", auth="certificate")
    if spec.token_only:
        assert refused(push, with_certificate, "PushTypeNotAllowed").enhanced == "5.7.0"
    else:
        settled(push, with_certificate)
    settled(part(b"x" * spec.payload_limit, push_type=name.encode()), facts())
    large = refused(
        part(b"x" * (spec.payload_limit + 1), push_type=name.encode()), facts(), "PayloadTooLarge"
    )
    assert (large.code, large.enhanced) == (552, "5.3.4")
    assert str(spec.payload_limit) in large.text
    assert str(spec.payload_limit + 1) in large.text


@pytest.mark.parametrize("name", [name for name, spec in PUSH_TYPES.items() if spec.suffix])
def test_a_topic_with_a_suffix_names_its_push_type(name: str) -> None:
    topic = b"com.example.app" + PUSH_TYPES[name].suffix.encode()
    for found in (settled(part(topic=topic), facts()), settled(part(), facts(default=topic.decode()))):
        assert (found.push_type, found.topic) == (name.encode(), topic)
    assert settled(part(topic=topic), facts(push_type="alert")).push_type == name.encode()
    text = refused(part(topic=topic, push_type=b"background"), facts(), "BadTopic").text
    assert name in text
    assert "background" in text
    assert settled(part(topic=topic, push_type=name.encode()), facts()).topic == topic


def test_an_app_may_be_called_like_a_suffix_where_its_route_says_so() -> None:
    route = facts(default="com.example.voip", push_type="alert")
    assert settled(part(), route).topic == b"com.example.voip"
    assert settled(part(topic=b"com.example.voip", push_type=b"alert"), route).push_type == b"alert"
    assert settled(part(topic=b"com.example.voip"), route).push_type == b"alert"
    assert settled(part(topic=b".voip"), facts()).push_type == b"alert"


def test_limits_and_suffixes_are_apples() -> None:
    assert PUSH_TYPES["alert"].payload_limit == 4_096
    assert PUSH_TYPES["voip"].payload_limit == 5_120
    assert {name for name, spec in PUSH_TYPES.items() if spec.token_only} == {"location", "liveactivity"}
    assert PUSH_TYPES["mdm"].suffix == ""


def test_push_to_talk_expires_at_once() -> None:
    assert settled(part(push_type=b"pushtotalk"), facts()).expiration == 0
    assert settled(part(push_type=b"pushtotalk", expiration=0), facts()).expiration == 0
    refused(part(push_type=b"pushtotalk", expiration=9), facts(), "BadExpirationDate")


def test_a_route_default_that_the_type_forbids_does_not_fail_the_push() -> None:
    assert settled(part(background=True), facts(priority=10)).priority == 5
    assert settled(part(), facts(priority=1)).priority == 1


def test_unknown_push_types_are_told_the_known_ones() -> None:
    text = refused(part(push_type=b"toast"), facts(), "InvalidPushType").text
    assert all(name in text for name in PUSH_TYPES)
    refused(part(push_type=b"\xff"), facts(), "InvalidPushType")


def test_topics() -> None:
    route = facts("com.example.app", "com.example.app.complication", auth="certificate")
    assert settled(part(topic=b"com.example.app"), route).topic == b"com.example.app"
    assert settled(part(push_type=b"voip"), route).topic == b"com.example.app.voip"
    found = refused(part(topic=b"com.other"), route, "TopicDisallowed")
    assert found.enhanced == "5.7.1"
    assert "com.other" in found.text
    assert "com.example.app.complication" in found.text
    refused(part(), facts(default=None), "MissingTopic")
    refused(part(topic=b"a" * 250, push_type=b"complication"), facts(), "TopicTooLong")
    assert settled(part(topic=b"a"), facts(default=None)).topic == b"a"


def test_collapse_ids() -> None:
    assert settled(part(), facts(collapse_id="c")).collapse_id == b"c"
    assert settled(part(collapse_id=b"d"), facts(collapse_id="c")).collapse_id == b"d"


@pytest.mark.parametrize(
    ("topic", "defaults"),
    [
        ("com.example", {"collapse_id": "x" * 65}),
        ("com.example", {"collapse_id": "é"}),
        ("com.example", {"collapse_id": "a\r\nb"}),
        ("com.example", {"push_type": "toast"}),
        ("com example", {}),
    ],
)
def test_defaults_that_cannot_be_sent_are_refused_when_made(topic: str, defaults: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="default"):
        facts(default=topic, **defaults)


def test_what_senders_choose_does_not_pile_up() -> None:
    route = facts()
    for number in range(_MAX_PLANS + 10):
        settled(part(topic=b"t%d" % number), route)
    assert len(route._plans) <= _MAX_PLANS


CHANNEL = b"dHN0LXNyY2gtY2hubA=="


@pytest.mark.parametrize("topic", [None, b"com.example.app", b"com.example.app.push-type.liveactivity"])
@pytest.mark.parametrize("auth", ["certificate", "token"])
def test_a_broadcast_is_a_live_activity_of_the_app_with_either_credential(
    topic: bytes | None, auth: Literal["certificate", "token"]
) -> None:
    route = facts("com.example.app", auth=auth, push_type="alert", collapse_id="of-the-route")
    found = settled(part(channel_id=CHANNEL, topic=topic), route)
    assert (found.topic, found.push_type) == (b"com.example.app", b"liveactivity")
    assert (found.priority, found.expiration, found.collapse_id) == (10, 1_060, b"")
    # The same part for a device is another plan.
    if auth == "certificate":
        refused(part(push_type=b"liveactivity", topic=topic), route, "PushTypeNotAllowed")
    else:
        assert settled(part(push_type=b"liveactivity", topic=topic), route).topic.endswith(b".liveactivity")


def test_what_a_broadcast_cannot_be() -> None:
    reply = refused(part(channel_id=CHANNEL, push_type=b"alert"), facts(), "InvalidPushType")
    assert 'push type liveactivity, not "alert"' in reply.text
    refused(part(channel_id=CHANNEL, topic=b"com.example.app.voip"), facts(), "BadTopic")
    refused(part(channel_id=CHANNEL, collapse_id=b"x"), facts(), "BadCollapseId")
    refused(part(channel_id=CHANNEL), facts(default=None), "MissingTopic")
    refused(part(channel_id=CHANNEL), facts("com.example.other"), "TopicDisallowed")


def test_a_broadcast_may_have_5120_bytes_where_a_live_activity_has_4096() -> None:
    assert settled(part(b"x" * 5_120, channel_id=CHANNEL), facts())
    assert "5121 bytes" in refused(part(b"x" * 5_121, channel_id=CHANNEL), facts(), "PayloadTooLarge").text
    refused(part(b"x" * 4_097, push_type=b"liveactivity"), facts(), "PayloadTooLarge")
