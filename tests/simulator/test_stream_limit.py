from __future__ import annotations

import pytest

from tubepost_simulator.chaos import Chaos
from tubepost_simulator.stream_limit import MAX_STREAMS, StreamLimit
from tubepost_simulator.switchboard import Switchboard


def limit(chaos: dict[str, object] | None = None, *, certificate: bool = False) -> StreamLimit:
    made = StreamLimit(Switchboard(Chaos.model_validate(chaos or {})))
    made.by_certificate = made.proven = certificate
    return made


@pytest.mark.parametrize(
    ("adaptive", "certificate", "fresh", "accepted", "rejected"),
    [
        ("Token", False, 1, 500, 1),
        ("Token", True, 500, 500, 500),
        ("All", False, 1, 500, 1),
        ("All", True, 500, 500, 1),
        ("Off", False, 500, 500, 500),
    ],
)
def test_it_follows_the_last_answer(
    adaptive: str, certificate: bool, fresh: int, accepted: int, rejected: int
) -> None:
    made = limit({"maxConcurrentStreams": 500, "adaptiveStreams": adaptive}, certificate=certificate)
    assert made.wanted() == fresh
    made.proven = True
    assert made.wanted() == accepted
    made.proven = False
    assert made.wanted() == rejected


def test_a_lower_limit_binds_once_it_is_acknowledged_and_a_higher_one_at_once() -> None:
    made = limit(certificate=True)
    assert made.forbids(MAX_STREAMS)
    assert not made.forbids(MAX_STREAMS - 1)
    made.announce(10)
    made.acknowledge()
    assert made.forbids(10)
    made.announce(3)
    assert not made.forbids(9)
    made.acknowledge()
    assert made.forbids(3)
    made.announce(20)
    assert not made.forbids(19)
    made.acknowledge()
    made.acknowledge()
    assert made.acknowledged == 20


def test_it_is_announced_when_it_changes_unless_the_client_is_far_behind() -> None:
    made = limit({"maxConcurrentStreams": 5}, certificate=True)
    assert made.due() == 5
    made.announce(5)
    assert made.due() is None
    for number in range(10, 17):
        made.override = number
        assert made.due() == number
        made.announce(number)
    made.override = 1
    assert made.due() is None
    made.acknowledge()
    assert made.due() == 1
