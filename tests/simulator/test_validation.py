from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.support import KEY_ID, P8, TEAM_ID, TOPIC, bearer, credential, settings
from tubepost_credentials.throwaway import make_token_key
from tubepost_simulator import BehaviourKind, Device, Reason, TokenKey, behaviour_token, reason_token
from tubepost_simulator.exchange import ConnectionAuth, Reply, Request
from tubepost_simulator.identity import ClientCertificate
from tubepost_simulator.reasons import ABOUT_CHANNELS
from tubepost_simulator.validation import PUSH_TYPES, Policy

NOW = 1_800_000_000.0
OTHER_KEY = make_token_key()
POLICY = Policy(
    settings(
        token_keys={
            KEY_ID: TokenKey(TEAM_ID, P8),
            "PROD": TokenKey(TEAM_ID, P8, environment="Production"),
            "SCOPED": TokenKey(TEAM_ID, P8, topics=(TOPIC,)),
        },
        devices={
            "aa01": Device(topic="com.example.other"),
            "aa02": Device(environment="Production"),
            "aa03": Device(gone_since=1_700_000_000_000),
            "aa04": Device(gone_since=1_700_000_000_000, gone_reason="ExpiredToken"),
            "aa05": Device(topic=TOPIC, environment="Sandbox"),
        },
    )
)
CERTIFICATE = ClientCertificate(
    (TOPIC, TOPIC + ".voip"), frozenset({"Sandbox", "Production"}), "UID=" + TOPIC
)


def judge(
    token: str = "abcd",
    /,
    *,
    method: str = "POST",
    path: str | None = None,
    body: bytes = b'{"aps":{}}',
    certificate: ClientCertificate | None = None,
    state: ConnectionAuth | None = None,
    policy: Policy = POLICY,
    now: float = NOW,
    extra: tuple[tuple[str, str], ...] = (),
    **changes: str | None,
) -> Reply:
    fields: dict[str, str | None] = {
        "authorization": bearer(NOW),
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
    }
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    items = [(name, value) for name, value in fields.items() if value is not None]
    request = Request(method, f"/3/device/{token}" if path is None else path, [*items, *extra], body)
    return policy.validate(request, certificate, state or ConnectionAuth(), now)


def bound(text: str = bearer(NOW)) -> ConnectionAuth:
    return judge(authorization=text).state


VOIP: dict[str, Any] = {"apns_push_type": "voip", "apns_topic": TOPIC + ".voip"}

CASES: list[tuple[Reason, Reply]] = [
    (Reason.METHOD_NOT_ALLOWED, judge(method="GET")),
    (Reason.BAD_PATH, judge(path="/2/device/abcd")),
    (Reason.BAD_PATH, judge(path="/3/devices/abcd")),
    (Reason.DUPLICATE_HEADERS, judge(extra=(("apns-topic", TOPIC),))),
    (Reason.BAD_MESSAGE_ID, judge(apns_id="1234")),
    (Reason.BAD_CERTIFICATE, judge(certificate=ClientCertificate((), frozenset(), ""))),
    (
        Reason.BAD_CERTIFICATE_ENVIRONMENT,
        judge(certificate=ClientCertificate((TOPIC,), frozenset({"Production"}), "")),
    ),
    (Reason.MISSING_PROVIDER_TOKEN, judge(authorization=None)),
    (Reason.MISSING_PROVIDER_TOKEN, judge(authorization="bearer ")),
    (Reason.MISSING_PROVIDER_TOKEN, judge(authorization="basic abc")),
    (Reason.INVALID_PROVIDER_TOKEN, judge(authorization="bearer abc")),
    (Reason.INVALID_PROVIDER_TOKEN, judge(authorization=bearer(NOW, credential("UNKNOWN")))),
    (Reason.INVALID_PROVIDER_TOKEN, judge(authorization=bearer(NOW, credential(team_id="OTHER")))),
    (Reason.INVALID_PROVIDER_TOKEN, judge(authorization=bearer(NOW, credential(p8=OTHER_KEY)))),
    (Reason.BAD_ENVIRONMENT_KEY_IN_TOKEN, judge(authorization=bearer(NOW, credential("PROD")))),
    (Reason.EXPIRED_PROVIDER_TOKEN, judge(now=NOW + 3_601)),
    (Reason.EXPIRED_PROVIDER_TOKEN, judge(now=NOW - 1)),
    (Reason.UNRELATED_KEY_ID_IN_TOKEN, judge(authorization=bearer(NOW, credential("SCOPED")), state=bound())),
    (Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES, judge(authorization=bearer(NOW - 1_199), state=bound())),
    (Reason.INVALID_PUSH_TYPE, judge(apns_push_type="shout")),
    (Reason.BAD_EXPIRATION_DATE, judge(apns_expiration="-1")),
    (Reason.BAD_EXPIRATION_DATE, judge(apns_expiration="tomorrow")),
    (Reason.BAD_PRIORITY, judge(apns_priority="7")),
    (Reason.BAD_PRIORITY, judge(apns_push_type="background")),
    (Reason.BAD_PRIORITY, judge(apns_push_type="background", apns_priority="10")),
    (Reason.BAD_COLLAPSE_ID, judge(apns_collapse_id="x" * 65)),
    (Reason.BAD_COLLAPSE_ID, judge(apns_collapse_id="")),
    (Reason.MISSING_TOPIC, judge(apns_topic=None)),
    (Reason.MISSING_TOPIC, judge(apns_topic=None, certificate=CERTIFICATE)),
    (Reason.BAD_TOPIC, judge(apns_topic="com example")),
    (Reason.TOPIC_DISALLOWED, judge(apns_topic="com.example.other", certificate=CERTIFICATE)),
    (Reason.TOPIC_DISALLOWED, judge(apns_topic="com.x", authorization=bearer(NOW, credential("SCOPED")))),
    (Reason.TOPIC_DISALLOWED, judge(apns_push_type="voip")),
    (Reason.TOPIC_DISALLOWED, judge(apns_topic=TOPIC + ".voip")),
    (Reason.MISSING_DEVICE_TOKEN, judge("")),
    (Reason.MISSING_DEVICE_TOKEN, judge(path="/3/device")),
    (Reason.BAD_DEVICE_TOKEN, judge("xyz")),
    (Reason.BAD_DEVICE_TOKEN, judge("ab/cd")),
    (Reason.BAD_DEVICE_TOKEN, judge("aa02")),
    (Reason.DEVICE_TOKEN_NOT_FOR_TOPIC, judge("aa01")),
    (Reason.UNREGISTERED, judge("AA03")),
    (Reason.EXPIRED_TOKEN, judge("aa04")),
    (Reason.PAYLOAD_TOO_LARGE, judge(body=b'{"a":"%s"}' % (b"x" * 4_090))),
    (Reason.PAYLOAD_TOO_LARGE, judge(body=b'{"a":"%s"}' % (b"x" * 5_114), **VOIP)),
    (Reason.PAYLOAD_EMPTY, judge(body=b"")),
    (Reason.PAYLOAD_EMPTY, judge(body=b"{")),
    (Reason.PAYLOAD_EMPTY, judge(body=b"[]")),
    *((reason, judge(reason_token(reason))) for reason in Reason if reason not in ABOUT_CHANNELS),
]


@pytest.mark.parametrize(("reason", "reply"), CASES)
def test_rejection(reason: Reason, reply: Reply) -> None:
    assert reply.reason is reason
    assert reply.status == reason.status
    assert reply.detail
    assert (reply.timestamp > 0) == (reason.status == 410)


def test_every_reason_has_a_case() -> None:
    assert {reason for reason, _ in CASES} == set(Reason) - ABOUT_CHANNELS


def test_reasons_that_only_magic_gives_are_named_as_such() -> None:
    magic = [reply.reason for _, reply in CASES if reply.detail == "magic device token"]
    natural = {reply.reason for _, reply in CASES if reply.detail != "magic device token"}
    assert set(magic) - natural == {
        Reason.FORBIDDEN,
        Reason.IDLE_TIMEOUT,
        Reason.INTERNAL_SERVER_ERROR,
        Reason.SERVICE_UNAVAILABLE,
        Reason.SHUTDOWN,
        Reason.TOO_MANY_REQUESTS,
    }


def test_accepted_request_is_understood() -> None:
    apns_id = str(uuid.uuid4())
    reply = judge(
        "ABCD",
        apns_id=apns_id,
        apns_priority="5",
        apns_expiration="0",
        apns_collapse_id="x" * 64,
        apns_push_type="background",
    )
    assert (reply.reason, reply.status, reply.apns_id, reply.token) == (None, 200, apns_id, "abcd")
    assert (reply.topic, reply.push_type, reply.priority, reply.expiration) == (TOPIC, "background", 5, 0)
    assert (reply.collapse_id, reply.auth, reply.identity) == ("x" * 64, "token", f"{TEAM_ID}/{KEY_ID}")


def test_apns_id_is_made_when_there_is_none_or_a_bad_one() -> None:
    for reply in (judge(), judge(apns_id="nonsense")):
        assert str(uuid.UUID(reply.apns_id)) == reply.apns_id


@pytest.mark.parametrize("name", PUSH_TYPES)
def test_push_type_with_its_suffix_is_accepted_and_recognised(name: str) -> None:
    topic = TOPIC + PUSH_TYPES[name].suffix
    assert judge(apns_push_type=name, apns_topic=topic, apns_priority="5").reason is None
    implied = judge(apns_push_type=None, apns_topic=topic)
    assert implied.reason is None
    assert implied.push_type == (name if PUSH_TYPES[name].suffix else "alert")


@pytest.mark.parametrize("name", [name for name, spec in PUSH_TYPES.items() if spec.token_only])
def test_certificates_cannot_send_what_needs_a_token(name: str) -> None:
    topic = TOPIC + PUSH_TYPES[name].suffix
    reply = judge(
        apns_push_type=name, apns_topic=topic, certificate=ClientCertificate((topic,), frozenset(), "")
    )
    assert reply.reason is Reason.TOPIC_DISALLOWED


def test_payload_limits_are_inclusive() -> None:
    assert judge(body=b'{"a":"%s"}' % (b"x" * 4_088)).reason is None
    assert judge(body=b'{"a":"%s"}' % (b"x" * 5_112), **VOIP).reason is None


def test_certificate_alone_stands_for_its_only_topic_and_hides_authorization() -> None:
    only = ClientCertificate((TOPIC,), frozenset(), "UID=x")
    reply = judge(apns_topic=None, authorization="bearer nonsense", certificate=only)
    assert (reply.reason, reply.topic, reply.auth, reply.identity) == (None, TOPIC, "certificate", "UID=x")


def test_device_for_this_topic_takes_the_topic_with_a_suffix() -> None:
    assert judge("aa05").reason is None
    assert judge("aa05", **VOIP).reason is None


def test_scoped_key_covers_the_suffixes_of_its_topic() -> None:
    assert judge(authorization=bearer(NOW, credential("SCOPED")), **VOIP).reason is None


def test_unknown_devices_and_lengths_by_policy() -> None:
    strict = Policy(settings(accept_unknown_devices=False, token_digits=64))
    assert judge("abcd", policy=strict).reason is Reason.BAD_DEVICE_TOKEN
    assert judge("ab" * 32, policy=strict).reason is Reason.BAD_DEVICE_TOKEN
    magic = judge(reason_token(Reason.SHUTDOWN), policy=strict)
    assert magic.reason is Reason.SHUTDOWN


def test_payload_need_not_be_json_when_that_is_off() -> None:
    assert judge(body=b"\0", policy=Policy(settings(check_payload=False))).reason is None


def test_token_may_change_after_twenty_minutes_and_stays_bound() -> None:
    state = bound()
    newer = judge(authorization=bearer(NOW + 1_200), state=state, now=NOW + 1_200)
    assert newer.reason is None
    assert newer.state != state
    assert judge(state=state).state is state


def test_refused_token_is_not_bound() -> None:
    expired = judge(authorization=bearer(NOW - 3_700))
    assert expired.reason is Reason.EXPIRED_PROVIDER_TOKEN
    assert expired.state == ConnectionAuth()
    assert judge(state=expired.state).reason is None


def test_token_of_the_same_second_with_another_signature_counts_as_an_update() -> None:
    state = bound()
    head, claims, _ = bearer(NOW).removeprefix("bearer ").split(".")
    text = "bearer " + random_signature(f"{head}.{claims}")
    assert judge(authorization=text, state=state).reason is Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES


def random_signature(signed: str) -> str:
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(P8, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


def test_unverified_tokens_are_taken_when_asked_for() -> None:
    lax = Policy(settings(verify_tokens=False, token_keys={}))
    assert judge(policy=lax).reason is None
    assert judge(policy=lax, now=NOW + 4_000).reason is Reason.EXPIRED_PROVIDER_TOKEN


def test_magic_behaviour_is_handed_on() -> None:
    reply = judge(behaviour_token(BehaviourKind.SLOW, 12))
    assert reply.reason is None
    assert reply.behaviour == (BehaviourKind.SLOW, 120)


NAMES = st.sampled_from(
    [
        "apns-id",
        "apns-topic",
        "apns-push-type",
        "apns-priority",
        "apns-expiration",
        "apns-collapse-id",
        "authorization",
        "x",
    ]
)
LATIN = st.text(st.characters(max_codepoint=255), max_size=80)
VALUES = st.one_of(
    LATIN, st.sampled_from([TOPIC, "10", "alert", "voip", bearer(NOW), "bearer a.b.c", "bearer e30.e30.AA"])
)


@given(
    method=st.sampled_from(["POST", "GET", "\xff"]),
    path=st.one_of(LATIN, LATIN.map("/3/device/".__add__), st.sampled_from(["/3/device/abcd"])),
    fields=st.lists(st.tuples(NAMES, VALUES), max_size=10),
    body=st.one_of(st.binary(max_size=100), st.just(b'{"aps":{}}'), st.just(b"[" * 5_000)),
    certificate=st.sampled_from([None, CERTIFICATE]),
    now=st.floats(allow_nan=False, allow_infinity=False, min_value=0, max_value=1e11),
)
def test_no_request_makes_it_raise(
    method: str,
    path: str,
    fields: list[tuple[str, str]],
    body: bytes,
    certificate: ClientCertificate | None,
    now: float,
) -> None:
    reply = POLICY.validate(Request(method, path, fields, body), certificate, ConnectionAuth(), now)
    assert str(uuid.UUID(reply.apns_id)) == reply.apns_id.lower()
    assert reply.status == (200 if reply.reason is None else reply.reason.status)


def test_clock_is_an_argument() -> None:
    assert judge(authorization=bearer(time.time()), now=time.time()).reason is None
