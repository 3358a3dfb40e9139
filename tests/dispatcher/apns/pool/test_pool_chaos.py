"""Everything at once: whatever a server does, each request gets one outcome, and what it says is true."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from blockbuster import BlockBuster

from tests.dispatcher.apns.peer import Peer, Seen
from tests.dispatcher.apns.support import Outcomes, certificate_credential, open_pool, request
from tubepost_dispatcher.apns.pool import PoolOptions
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.outcome import Outcome, OutcomeKind


@pytest.mark.parametrize("seed", range(6))
async def test_one_true_outcome_each(seed: int) -> None:
    dice = random.Random(seed)
    count = 300
    outcomes = Outcomes()
    acted: Counter[str] = Counter()
    waiting: list[Seen] = []

    def act(seen: Seen) -> None:
        connection = seen.connection
        if connection.gone or seen.stream_id not in connection.open:
            return
        what = dice.random()
        if what < 0.80:
            acted[seen.token] += 1
            seen.respond(200)
        elif what < 0.84:
            seen.respond(400, "BadCollapseId")
        elif what < 0.90:
            seen.reset(7)
        elif what < 0.92:
            acted[seen.token] += 1
            seen.reset(2)
        elif what < 0.96:
            connection.limit_streams(dice.choice([1, 5, 50, 1000]))
            acted[seen.token] += 1
            seen.respond(200)
        elif what < 0.997:
            acted[seen.token] += 1
            seen.respond(200)
            connection.goaway(seen.stream_id, "Shutdown")
        else:
            acted[seen.token] += 1
            connection._flush()  # or the answers so far are lost as well
            connection.transport.close()

    def on_request(seen: Seen) -> None:
        waiting.append(seen)
        while waiting and (dice.random() < 0.8 or len(waiting) > 5):
            act(waiting.pop(dice.randrange(len(waiting))))

    def again(item: ApnsRequest, outcome: Outcome) -> None:
        """Repeat what may be repeated, as `Direct` acceptance does."""
        if outcome.kind is OutcomeKind.TRANSIENT and not outcome.possible_double:
            pool.submit(item)
        else:
            outcomes(item, outcome)

    async with (
        Peer(max_streams=50, on_request=on_request) as peer,
        open_pool(
            peer, certificate_credential(), options=PoolOptions(max_connections=3), rng=lambda: 0.0
        ) as pool,
    ):
        for number in range(count):
            pool.submit(request(again, number, response_timeout=1.5))
        await outcomes.wait(count)
        assert len(outcomes.by_request) == count
        for item, outcome in outcomes.by_request.items():
            times = acted[item.token.decode()]
            if outcome.kind is OutcomeKind.DELIVERED:
                assert times == 1, outcome
            elif outcome.possible_double:
                assert times <= 1, outcome
            else:
                assert times == 0, outcome
        assert outcomes.kinds()[OutcomeKind.DELIVERED] > count / 2
        assert not pool._waiting
        assert not any(item.moves for item in outcomes.by_request)


async def test_the_loop_is_never_blocked() -> None:
    outcomes = Outcomes()
    async with Peer() as peer, open_pool(peer, certificate_credential()) as pool:
        buster = BlockBuster()
        buster.activate()
        try:
            for number in range(20):
                pool.submit(request(outcomes, number))
            await outcomes.wait(20)
            await pool.close(5.0)
        finally:
            buster.deactivate()
        assert outcomes.kinds() == {OutcomeKind.DELIVERED: 20}
