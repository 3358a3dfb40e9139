from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest

from tests.dispatcher.bundles import SECRETS, bundle
from tubepost_dispatcher.channel import messages
from tubepost_dispatcher.channel.codec import Malformed, decode, encode
from tubepost_dispatcher.channel.messages import (
    Adopt,
    Alive,
    Configuration,
    Configure,
    Configured,
    Counted,
    Drain,
    Drained,
    Envelope,
    GetStatus,
    Hold,
    Leave,
    Left,
    Message,
    Operate,
    Operated,
    QueueState,
    Ready,
    ReopenLogs,
    Sockets,
    Start,
    Status,
)
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.queue_request import Action, Group, Selection
from tubepost_dispatcher.queue_step import Partition, Queued, Step, StepResult
from tubepost_dispatcher.totals import take_samples

GIVEN = bundle(secrets={**SECRETS, "token": {"key.p8": b"\xff\x00"}})
CONFIGURATION = Configuration(GIVEN.config, GIVEN.secrets, workers=3, memory_limit=7, lenient=True)


def _samples() -> dict[str, list[tuple[tuple[str, ...], float]]]:
    metrics = Metrics()
    metrics.attempts.labels("prod", "delivered", "Delivered").inc(2)
    metrics.apns_latency.labels("prod").observe(0.2)
    return take_samples(metrics.registry)


EXAMPLES: tuple[Message, ...] = (
    Start(1, 2, CONFIGURATION),
    Start(1, 2, CONFIGURATION, Path("/var/lib/tubepost/queue")),
    Sockets(3),
    Configure(CONFIGURATION),
    GetStatus(),
    Operate(
        Step(
            "change",
            partition=3,
            after=2**62,
            selection=Selection(domain="a.example", ids=("m1", "m2"), older_than=1.5, held=True),
            as_of=1_800_000_000.25,
            action=Action.HOLD,
            note="alice: why",
        )
    ),
    ReopenLogs(),
    Adopt((2, 5)),
    Leave(15.0),
    Drain(25.0),
    Drain(25.0, last=False),
    Hold("prod", "0123", "ExpiredProviderToken", "a sentence", 5.5),
    Ready(),
    QueueState({0: "", 2: "in use by process 7"}, "the queue: no space"),
    Configured(("not for me",)),
    Status(_samples(), {"worker": 1, "pools": [{"route": "prod"}]}),
    Status({}, None),
    Operated(
        StepResult(
            (Partition(3, "adopted", 10, 2, 4096, problem="full"),),
            (Group("a.example", "blue", "Shutdown", "", 1, 0, 1_800_000_000.5, 600),),
            (
                Queued(
                    "m1",
                    "id",
                    3,
                    "held",
                    "a.example",
                    "s",
                    "r",
                    "abab",
                    "",
                    "",
                    1,
                    1.5,
                    None,
                    2.5,
                    3,
                    "",
                    "",
                    "alice",
                ),
            ),
            ({"id": "m1", "at": 1.5},),
            5,
            6,
            2**62,
            "no",
            7,
            lines_kept=True,
        )
    ),
    Counted(_samples()),
    Alive(),
    Left(),
    Drained(2, _samples()),
)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_way(message: Message) -> None:
    envelope = Envelope(message, request=5, reply_to=6)
    assert decode(encode(envelope)) == envelope


def test_every_kind_of_message_has_an_example() -> None:
    union, _ = typing.get_args(messages.Message)
    assert {type(message) for message in EXAMPLES} == set(typing.get_args(union))


def test_types_are_told_apart() -> None:
    union, _ = typing.get_args(messages.Message)
    kinds = [dataclasses.fields(message)[-1].default for message in typing.get_args(union)]
    assert len(set(kinds)) == len(kinds)


def test_a_configuration_survives_the_way() -> None:
    got = decode(encode(Envelope(Configure(CONFIGURATION)))).message
    assert isinstance(got, Configure)
    assert got.configuration.bundle.config == GIVEN.config
    assert got.configuration.bundle.secrets == GIVEN.secrets
    assert got.configuration.bundle.digest() == GIVEN.digest()
    assert "\\xff" not in repr(got)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"message": {}}',
        b'{"message": {"type": "no such"}}',
        b'{"message": {"type": "drain"}}',
        b'{"message": {"type": "drain", "grace": "s3cret"}}',
        b'{"message": {"type": "hold", "s3cret": 1}}',
        b'{"message": {"type": "configure", "configuration": {"secrets": {"a": {"b": "s3cret!"}}}}}',
    ],
)
def test_what_is_no_message_is_refused_without_repeating_it(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        decode(data)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
