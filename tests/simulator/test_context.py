from __future__ import annotations

import pytest

from tests.simulator.support import settings
from tubepost_simulator import Chaos, ChaosError, TokenKey
from tubepost_simulator.chaos import GoAway
from tubepost_simulator.context import Context


class Connection:
    """Notes what is asked of it."""

    number = 0
    open_streams = 3

    def __init__(self) -> None:
        self.asked: list[str] = []

    def as_dict(self) -> dict[str, object]:
        return {}

    def chaos_changed(self) -> None:
        self.asked.append("changed")

    def goaway(self, how: GoAway) -> None:
        self.asked.append(f"goaway {how.reason}")

    def drop(self) -> None:
        self.asked.append("drop")

    def abort(self) -> None:
        self.asked.append("abort")


async def test_switches_reach_the_connections_and_actions_are_carried_out_once() -> None:
    context = Context(settings())
    connection = Connection()
    context.connections.add(connection)
    assert context.apply_chaos({"latencyMs": 5.0})["latencyMs"] == 5.0
    context.apply_chaos({"goaway": {"reason": "Away"}, "now": "GoAway"})
    context.apply_chaos({"now": "Drop"})
    assert connection.asked == ["changed", "changed", "goaway Away", "changed", "drop"]


async def test_a_wrong_switch_changes_nothing() -> None:
    context = Context(settings())
    connection = Connection()
    context.connections.add(connection)
    with pytest.raises(ChaosError):
        context.apply_chaos({"latencyMs": 5.0, "latencyMS": 1})
    assert context.chaos() == Chaos().model_dump(mode="json", by_alias=True)
    assert not connection.asked


async def test_stats_are_counts_and_the_present_state() -> None:
    context = Context(settings())
    context.connections.add(Connection())
    context.counts.goaways += 2
    stats = context.stats()
    assert (stats["goaways"], stats["connectionsOpen"], stats["streamsOpen"]) == (2, 1, 3)
    assert stats["verdicts"] == {}


async def test_keys_that_cannot_be_read_are_found_at_once() -> None:
    with pytest.raises(ValueError):
        Context(settings(token_keys={"A": TokenKey("T", b"no key")}))
