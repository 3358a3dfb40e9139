from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.support import (
    KEY_ID,
    P8,
    TEAM_ID,
    TOPIC,
    RawClient,
    bearer,
    credential,
    headers,
    http_client,
    settings,
)
from tubepost_credentials.throwaway import make_token_key
from tubepost_simulator import (
    REASONS,
    BehaviourKind,
    Device,
    Reason,
    Simulator,
    TokenKey,
    behaviour_token,
    reason_token,
    wire,
)
from tubepost_simulator.reasons import ABOUT_CHANNELS

GONE = 1_700_000_000_000
FOREIGN_KEY = make_token_key()


def fields(**changes: str | None) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers(**changes) if not name.startswith(":")]


async def post(
    client: httpx.AsyncClient, token: str = "abcd", body: bytes = b'{"aps":{}}', **changes: str | None
) -> httpx.Response:
    return await client.post(f"/3/device/{token}", headers=fields(**changes), content=body)


async def test_accepted_push_over_httpx(simulator: Simulator) -> None:
    apns_id = str(uuid.uuid4())
    async with http_client(simulator) as client:
        response = await post(client, "ABCD", b'{"aps":{"alert":"hi"}}', apns_id=apns_id, apns_priority="5")
    assert (response.http_version, response.status_code, response.content) == ("HTTP/2", 200, b"")
    assert response.headers["apns-id"] == apns_id
    assert len(uuid.UUID(response.headers["apns-unique-id"]).bytes) == 16
    (record,) = simulator.notifications
    assert (record.apns_id, record.token, record.topic, record.priority) == (apns_id, "abcd", TOPIC, 5)
    assert record.json() == {"aps": {"alert": "hi"}}
    assert (record.status, record.reason, record.answered, record.attempt) == (200, "", True, 1)
    assert (record.auth, record.identity) == ("token", f"{TEAM_ID}/{KEY_ID}")


async def test_production_gives_no_unique_id() -> None:
    async with Simulator(settings(environment="Production")) as simulator, http_client(simulator) as client:
        response = await post(client)
        assert response.status_code == 200
        assert "apns-unique-id" not in response.headers


async def test_client_certificate(simulator: Simulator) -> None:
    async with http_client(simulator, simulator.client_certificate([TOPIC])) as client:
        response = await post(client, authorization=None, apns_topic=None)
        assert response.status_code == 200
        assert simulator.connections()[0]["auth"] == "certificate"
    assert simulator.notifications[0].auth == "certificate"


NATURAL: dict[Reason, tuple[str, bytes, dict[str, str | None]]] = {
    Reason.BAD_COLLAPSE_ID: ("abcd", b"{}", {"apns_collapse_id": "x" * 65}),
    Reason.BAD_DEVICE_TOKEN: ("xyz", b"{}", {}),
    Reason.BAD_EXPIRATION_DATE: ("abcd", b"{}", {"apns_expiration": "soon"}),
    Reason.BAD_MESSAGE_ID: ("abcd", b"{}", {"apns_id": "1"}),
    Reason.BAD_PRIORITY: ("abcd", b"{}", {"apns_priority": "2"}),
    Reason.BAD_TOPIC: ("abcd", b"{}", {"apns_topic": "a b"}),
    Reason.DEVICE_TOKEN_NOT_FOR_TOPIC: ("aa01", b"{}", {}),
    Reason.INVALID_PUSH_TYPE: ("abcd", b"{}", {"apns_push_type": "x"}),
    Reason.MISSING_DEVICE_TOKEN: ("", b"{}", {}),
    Reason.MISSING_TOPIC: ("abcd", b"{}", {"apns_topic": None}),
    Reason.PAYLOAD_EMPTY: ("abcd", b"", {}),
    Reason.TOPIC_DISALLOWED: ("abcd", b"{}", {"apns_push_type": "voip"}),
    Reason.BAD_ENVIRONMENT_KEY_IN_TOKEN: (
        "abcd",
        b"{}",
        {"authorization": bearer(signer=credential("PROD"))},
    ),
    Reason.EXPIRED_PROVIDER_TOKEN: ("abcd", b"{}", {"authorization": bearer(time.time() - 4_000)}),
    Reason.INVALID_PROVIDER_TOKEN: (
        "abcd",
        b"{}",
        {"authorization": bearer(signer=credential(p8=FOREIGN_KEY))},
    ),
    Reason.MISSING_PROVIDER_TOKEN: ("abcd", b"{}", {"authorization": None}),
    Reason.UNREGISTERED: ("aa02", b"{}", {}),
    Reason.EXPIRED_TOKEN: ("aa03", b"{}", {}),
    Reason.PAYLOAD_TOO_LARGE: ("abcd", b'{"a":"%s"}' % (b"x" * 4_100), {}),
}


async def test_natural_rejections_over_httpx() -> None:
    options = settings(
        token_keys={KEY_ID: TokenKey(TEAM_ID, P8), "PROD": TokenKey(TEAM_ID, P8, environment="Production")},
        devices={
            "aa01": Device(topic="com.example.other"),
            "aa02": Device(gone_since=GONE),
            "aa03": Device(gone_since=GONE, gone_reason="ExpiredToken"),
        },
    )
    async with Simulator(options) as simulator, http_client(simulator) as client:
        for reason, (token, body, changes) in NATURAL.items():
            response = await post(client, token, body, **changes)
            expected: dict[str, object] = {"reason": reason.value}
            if reason.status == 410:
                expected["timestamp"] = GONE
            assert (response.status_code, response.json()) == (reason.status, expected)
        assert (await post(client)).status_code == 200
        assert (await client.get("/3/device/abcd")).json() == {"reason": "MethodNotAllowed"}
        assert (await client.post("/4/device/abcd")).json() == {"reason": "BadPath"}
        twice = await client.post(
            "/3/device/abcd", headers=[*fields(), ("x-y", "1"), ("x-y", "2")], content=b"{}"
        )
        assert twice.json() == {"reason": "DuplicateHeaders"}
        again = await post(client, authorization=bearer(time.time() - 60))
        assert (again.status_code, again.json()) == (429, {"reason": "TooManyProviderTokenUpdates"})
        other = await post(client, authorization=bearer(signer=credential("PROD")))
        assert other.json() == {"reason": "BadEnvironmentKeyInToken"}


async def test_unrelated_key_on_one_connection() -> None:
    keys = {KEY_ID: TokenKey(TEAM_ID, P8), "SECOND": TokenKey(TEAM_ID, P8)}
    async with Simulator(settings(token_keys=keys)) as simulator:
        async with http_client(simulator) as client:
            assert (await post(client)).status_code == 200
            response = await post(client, authorization=bearer(signer=credential("SECOND")))
            assert (response.status_code, response.json()) == (403, {"reason": "UnrelatedKeyIdInToken"})
        async with http_client(simulator) as client:
            assert (await post(client, authorization=bearer(signer=credential("SECOND")))).status_code == 200


async def test_bad_certificates(simulator: Simulator) -> None:
    async with http_client(simulator, simulator.client_certificate([])) as client:
        assert (await post(client)).json() == {"reason": "BadCertificate"}
    async with http_client(simulator, simulator.client_certificate([TOPIC], ["Production"])) as client:
        assert (await post(client)).json() == {"reason": "BadCertificateEnvironment"}


async def test_every_magic_reason(simulator: Simulator) -> None:
    async with http_client(simulator) as client:
        for reason in sorted(set(Reason) - ABOUT_CHANNELS):
            response = await post(client, reason_token(reason, "abc"))
            assert response.status_code == REASONS[reason].status
            assert response.json()["reason"] == reason.value
            assert ("timestamp" in response.json()) == (reason.status == 410)
    assert simulator.stats()["verdicts"]["503 Shutdown"] == 1


# ---- magic behaviours


async def test_stall_leaves_one_request_without_answer(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        stalled = client.request(behaviour_token(BehaviourKind.STALL))
        other = client.request()
        await client.answers(other)
        assert stalled not in client.fields
    assert [record.behaviour for record in simulator.notifications] == ["Stall", ""]
    assert [record.answered for record in simulator.notifications] == [False, True]


async def test_silence_ends_all_answers_also_to_ping(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.ping()
        client.request(behaviour_token(BehaviourKind.SILENCE))
        await simulator.wait_for(1)
        client.frame(6, 0, 0, b"anybody?")
        client.request()
        async with http_client(simulator) as other:
            assert (await post(other)).status_code == 200
        assert [record.behaviour for record in simulator.notifications] == ["Silence", ""]
        assert next(item["state"] for item in simulator.connections()) == "silent"
        simulator.apply_chaos({"now": "Drop"})
        await client.until_closed()
        assert b"anybody?" not in client.pongs


async def test_slow_is_overtaken(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        await client.ping()
        slow = client.request(behaviour_token(BehaviourKind.SLOW, 30))
        quick = client.request()
        await client.answers(slow, quick)
        assert list(client.fields)[1:] == [quick, slow]
        assert client.status(slow) == 200


async def test_reset(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        number = client.request(behaviour_token(BehaviourKind.RESET))
        await client.answers(number)
        assert client.resets == {number: 2}
    assert simulator.stats()["resets"] == 1


async def test_refuse_counts_attempts_of_an_apns_id(simulator: Simulator) -> None:
    token, apns_id = behaviour_token(BehaviourKind.REFUSE, 2), str(uuid.uuid4())
    async with await RawClient.open(simulator) as client:
        numbers = []
        for _ in range(3):
            numbers.append(client.request(token, apns_id=apns_id))
            await client.answers(numbers[-1])
        assert client.resets == {numbers[0]: 7, numbers[1]: 7}
        assert client.status(numbers[2]) == 200
        always = client.request(behaviour_token(BehaviourKind.REFUSE, 0))
        await client.answers(always)
        assert client.resets[always] == 7
    assert len(simulator.notifications) == 1
    assert simulator.stats()["refused"] == 3


async def test_flaky_succeeds_after_failures(simulator: Simulator) -> None:
    token, apns_id = behaviour_token(BehaviourKind.FLAKY, 1), str(uuid.uuid4())
    async with http_client(simulator) as client:
        first = await post(client, token, apns_id=apns_id)
        second = await post(client, token, apns_id=apns_id)
    assert (first.status_code, first.json(), second.status_code) == (
        503,
        {"reason": "ServiceUnavailable"},
        200,
    )
    assert [record.attempt for record in simulator.notifications] == [1, 2]
    assert simulator.stats()["duplicates"] == 0


async def test_goaway_behind_an_answer(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        number = client.request(behaviour_token(BehaviourKind.GOAWAY))
        await client.until(lambda: bool(client.goaways))
        assert client.status(number) == 200
        assert client.goaways == [(number, 0, b'{"reason": "Shutdown"}')]
        await client.until_closed()


async def test_goaway_below_the_request(simulator: Simulator) -> None:
    token, apns_id = behaviour_token(BehaviourKind.GOAWAY_LOWER), str(uuid.uuid4())
    async with await RawClient.open(simulator) as client:
        first = client.request()
        await client.answers(first)
        client.request(token, apns_id=apns_id)
        await client.until(lambda: bool(client.goaways))
        assert client.goaways[0][0] == first
    assert len(simulator.notifications) == 1
    async with await RawClient.open(simulator) as client:
        number = client.request(token, apns_id=apns_id)
        await client.answers(number)
        assert client.status(number) == 200


async def test_goaway_zero_after_processing(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        number = client.request(behaviour_token(BehaviourKind.GOAWAY_ZERO))
        await client.until_closed()
        assert client.goaways[0][0] == 0
        assert number not in client.fields
    assert len(simulator.accepted) == 1


@pytest.mark.parametrize(
    ("kind", "recorded"), [(BehaviourKind.DROP_BEFORE, 1), (BehaviourKind.DROP_AFTER, 2)]
)
async def test_drop_once_and_the_repetition_passes(
    simulator: Simulator, kind: BehaviourKind, recorded: int
) -> None:
    token, apns_id = behaviour_token(kind), str(uuid.uuid4())
    async with await RawClient.open(simulator) as client:
        client.request(token, apns_id=apns_id)
        await client.until_closed()
        assert not client.goaways
    async with await RawClient.open(simulator) as client:
        number = client.request(token, apns_id=apns_id)
        await client.answers(number)
        assert client.status(number) == 200
    assert len(simulator.accepted) == recorded
    assert simulator.stats()["duplicates"] == recorded - 1
    assert simulator.stats()["droppedConnections"] == 1


# ---- clients that misbehave


async def test_oversized_body_is_answered_before_its_end(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.ping()
        number = client.request(body=b"x" * 16_384, end=False)
        client.frame(0, 0, number, b"x")
        await client.until(lambda: number in client.ended and number in client.resets)
        assert (client.status(number), client.reason(number), client.resets[number]) == (
            413,
            "PayloadTooLarge",
            0,
        )
        client.frame(0, 1, number, b"late")
        await client.answers(client.request())
    assert len(simulator.notifications[0].payload) < 6_000


async def test_connection_window_is_given_back(simulator: Simulator) -> None:
    body = b'{"a":"%s"}' % (b"x" * 4_000)
    async with await RawClient.open(simulator) as client:
        await client.ping()
        for _ in range(40):
            client.window -= len(body)
            await client.answers(client.request(body=body))
            assert client.window > 20_000


async def test_malformed_fields_reset_the_stream(simulator: Simulator) -> None:
    good = headers()
    bad: list[list[tuple[str, str]]] = [
        [*good, ("X-Upper", "1")],
        [*good, (":late", "1")],
        [*good, ("connection", "close")],
        [*good, ("te", "gzip")],
        [*good, ("x", "a\nb")],
        good[1:],
    ]
    async with await RawClient.open(simulator) as client:
        await client.ping()
        for items in bad:
            number = client.request(fields=items)
            await client.answers(number)
            assert client.resets[number] == 1
        await client.answers(client.request())
    assert simulator.stats()["protocolErrors"] == len(bad)


async def test_client_without_window_gets_its_error_once_it_opens_one(simulator: Simulator) -> None:
    async with await RawClient.open(simulator, s4=0) as client:
        number = client.request("xyz")
        accepted = client.request()
        await client.answers(accepted)
        assert number not in client.fields
        client.frame(8, 0, number, (1_000).to_bytes(4, "big"))
        await client.answers(number)
        assert client.reason(number) == "BadDeviceToken"


async def test_reset_streams_are_forgotten(simulator: Simulator) -> None:
    simulator.apply_chaos({"latencyMs": 60_000})
    async with await RawClient.open(simulator) as client:
        await client.ping()
        for _ in range(50):
            number = client.request()
            client.frame(3, 0, number, (8).to_bytes(4, "big"))
        await client.ping()
        connection = next(iter(simulator._context.connections))
        assert connection.open_streams == 0
        assert not connection._timers
    assert len(simulator.notifications) == 50


async def test_request_and_reset_in_one_write_do_no_harm(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        number = client.request()
        client.frame(3, 0, number, (8).to_bytes(4, "big"))
        await client.ping()
        await client.answers(client.request())
    assert simulator.stats()["protocolErrors"] == 0


@pytest.mark.parametrize(
    "provoke",
    [
        lambda client: client.frame(0, 0, 99, b"idle stream"),
        lambda client: client.frame(8, 0, 0, bytes(4)),
        lambda client: client.frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff"),
        lambda client: client.request(x="y" * 9_000),
    ],
)
async def test_protocol_errors_end_the_connection(
    simulator: Simulator, provoke: Callable[[RawClient], object]
) -> None:
    async with await RawClient.open(simulator) as client:
        await client.ping()
        provoke(client)
        await client.until_closed()
        assert client.goaways
        assert client.goaways[0][1] != 0
    assert simulator.stats()["protocolErrors"] == 1


async def test_goaway_from_the_client_ends_the_connection(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        client.frame(7, 0, 0, bytes(8))
        await client.until_closed()


async def test_many_streams_do_not_pile_up(simulator: Simulator) -> None:
    async with await RawClient.open(simulator) as client:
        await client.answers(client.request())
        await client.ping()
        for _ in range(6):
            await client.answers(*(client.request() for _ in range(100)))
        connection = next(iter(simulator._context.connections))
        assert len(connection._h2.streams) < 500
        assert len(simulator.accepted) == 601


NAMES = st.one_of(st.sampled_from([":method", ":path", ":x", "te", "Upper", "cookie"]), st.text(max_size=8))
BLOCK = st.lists(st.tuples(NAMES, st.text(max_size=12)), max_size=8)


@given(BLOCK)
def test_field_blocks_never_crash(block: list[tuple[str, str]]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in block]
    try:
        method, path, found = wire.read_fields(pairs)
    except wire.MalformedRequestError:
        return
    assert method
    assert path
    assert all(name == name.lower() and not name.startswith(":") for name, _ in found)


def test_error_bodies() -> None:
    assert json.loads(wire.error_body(Reason.UNREGISTERED, 5)) == {"reason": "Unregistered", "timestamp": 5}
    assert wire.goaway_data("") == b""


async def test_channels_by_a_client_of_another_make(simulator: Simulator) -> None:
    path = f"/1/apps/{TOPIC}/channels"
    own = {"authorization": bearer(), "apns-request-id": "00000000-0000-4000-8000-000000000001"}
    async with http_client(simulator) as client:
        made = await client.post(
            path, json={"push-type": "LiveActivity", "message-storage-policy": 0}, headers=own
        )
        assert (made.status_code, made.content) == (201, b"")
        assert made.headers["apns-request-id"] == own["apns-request-id"]
        channel = {**own, "apns-channel-id": made.headers["apns-channel-id"]}
        read = await client.get(path, headers=channel)
        assert read.json() == {"message-storage-policy": 0, "push-type": "LiveActivity"}
        fields = {**channel, "apns-push-type": "liveactivity", "apns-expiration": "0"}
        sent = await client.post(f"/4/broadcasts/apps/{TOPIC}", json={"aps": {}}, headers=fields)
        assert (sent.status_code, sent.headers["apns-request-id"]) == (200, own["apns-request-id"])
        assert "apns-unique-id" in sent.headers
        (record,) = simulator.notifications  # what is done with channels is no notification
        assert (record.channel_id, record.token) == (channel["apns-channel-id"], "")
        simulator.apply_chaos({"failNext": {"ServiceUnavailable": 1}})
        assert (await client.delete(path, headers=channel)).status_code == 503
        assert (await client.delete(path, headers=channel)).status_code == 204
        gone = await client.post(f"/4/broadcasts/apps/{TOPIC}", json={"aps": {}}, headers=fields)
        assert (gone.status_code, gone.json()) == (400, {"reason": "ChannelNotRegistered"})
        assert gone.headers["apns-request-id"] == own["apns-request-id"]


async def test_a_list_of_channels_larger_than_the_clients_window(simulator: Simulator) -> None:
    channels = [simulator.add_channel(TOPIC) for _ in range(5_000)]
    async with http_client(simulator) as client:
        listed = await client.get(f"/1/apps/{TOPIC}/all-channels", headers={"authorization": bearer()})
    assert len(listed.content) > 65_535
    assert listed.json() == {"channels": channels}
