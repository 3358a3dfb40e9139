"""What is due: first what this owner knows of, then what has become anyone's."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

from tubepost_dispatcher.store.jetstream.api import Batch, Found, error_code
from tubepost_dispatcher.store.jetstream.claims import Claims
from tubepost_dispatcher.store.jetstream.holding import SHIFT, Holding
from tubepost_dispatcher.store.jetstream.known import Waiting
from tubepost_dispatcher.store.jetstream.subjects import MIXED
from tubepost_dispatcher.store.port import Kept, LaneHead

NAMED: Final = 50
"""Lanes of others whose domain is asked for in one look."""
_ALL_KNOWN: Final = 10_000
"""Domains of such lanes that are remembered."""

Heard = Callable[[list[Kept] | None], None]


class Reading:
    """Lives on one event loop; every method is called on it."""

    def __init__(self, holding: Holding, claims: Claims) -> None:
        self._holding = holding
        self._claims = claims
        self._anyones: dict[int, str] = {}
        """Lanes in which something is anyone's, as of the last look, and the domain of one of those."""
        self._domains: dict[int, str] = {}

    # -- what is due ----------------------------------------------------------------------------------

    def due(self, now: float, limit: int, lane: int, done: Heard) -> None:
        """Take at most `limit` entries of a lane; None: NATS is away."""
        holding = self._holding
        ours: list[Kept] = []
        remote: list[Waiting] = []
        while len(ours) + len(remote) < limit and (one := holding.known.pop(lane, now)) is not None:
            if one.seq == 0:
                mine = self._claims.take_free(one.key)
                ours.extend(() if mine is None else (mine,))
            elif one.fires <= holding.server_time(0.0):
                # It is anyone's now.
                holding.known.forget(one.seq)
                self._anyones.setdefault(lane, "")
            else:
                remote.append(one)
        if remote:
            self._fetch(remote, partial(self._fetched, now, limit, lane, ours, remote, done))
        else:
            self._more(now, limit, lane, ours, done)

    def _fetch(self, wanted: Sequence[Waiting], done: Callable[[list[Found] | None], None]) -> None:
        """Read messages by their numbers."""
        seqs = dict.fromkeys(one.seq for one in wanted)
        found: list[Found] = []
        left = len(seqs)
        failed = False

        def over(one: Found | None) -> None:
            nonlocal left
            left -= 1
            if one is not None:
                found.append(one)
            if not left:
                done(None if failed else found)

        def away() -> None:
            nonlocal failed
            failed = True
            over(None)

        for seq in seqs:
            self._holding.api.get(seq, over, away)

    def _fetched(
        self,
        now: float,
        limit: int,
        lane: int,
        ours: list[Kept],
        wanted: Sequence[Waiting],
        done: Heard,
        found: list[Found] | None,
    ) -> None:
        if found is None:
            self._put_back(ours, wanted, lane)
            done(None)
            return
        there = {one.seq for one in found}
        for one in wanted:
            if one.seq not in there:
                self._holding.known.forget(one.seq)  # somebody has taken it, or it fired

        def claimed(kept: list[Kept] | None) -> None:
            if kept is None:
                self._put_back(ours, [one for one in wanted if one.seq in there], lane)
                done(None)
                return
            chosen = ours + self._choose(kept, now, limit - len(ours), lane)
            self._more(now, limit, lane, chosen, done)

        self._claims.claim(found, claimed)

    def _put_back(self, ours: Sequence[Kept], wanted: Sequence[Waiting], lane: int) -> None:
        """NATS is away: all is as it was."""
        self._claims.give_back(ours)
        for one in wanted:
            domain = self._domains.get(lane, "")
            self._holding.known.add(lane, domain, one)

    def _choose(self, kept: Sequence[Kept], now: float, limit: int, lane: int) -> list[Kept]:
        """Of what was claimed: what was asked for. The rest is given back."""
        chosen: list[Kept] = []
        rest: list[Kept] = []
        for one in kept:
            fits = len(chosen) < limit and one.entry.due <= now and one.entry.lane == lane
            (chosen if fits else rest).append(one)
        self._claims.give_back(rest)
        return chosen

    def _more(self, now: float, limit: int, lane: int, ours: list[Kept], done: Heard) -> None:
        """What is anyone's, if there is room for it."""
        holding = self._holding
        if len(ours) >= limit or lane not in self._anyones:
            done(sorted(ours, key=_order))
            return

        def read(batch: Batch) -> None:
            found = [one for one in batch.found if self._claims.claimable(one)]
            if not batch.more and len(found) <= limit - len(ours):
                self._anyones.pop(lane, None)
            if not found:
                done(sorted(ours, key=_order))
                return
            # Others read the same: not all of them begin with the first one.
            start = random.randrange(max(1, len(found) - (limit - len(ours)) + 1)) if batch.more else 0  # noqa: S311
            self._claims.claim(found[start : start + limit - len(ours)], claimed)

        def claimed(kept: list[Kept] | None) -> None:
            if kept is None:
                self._claims.give_back(ours)
                self._anyones.setdefault(lane, "")
                done(None)
                return
            chosen = self._choose(kept, now, limit - len(ours), lane)
            done(sorted(ours + chosen, key=_order))

        def failed() -> None:
            self._claims.give_back(ours)
            done(None)

        count = max(2 * (limit - len(ours)), 16)
        holding.api.batch(1, holding.subjects.ready(lane), count, read, failed)

    def next_due(self, lane: int) -> float | None:
        """When the first of a lane is due that is known; None: nothing is."""
        if lane in self._anyones:
            return 0.0
        one = self._holding.known.first(lane)
        return None if one is None or one.due == float("inf") else one.due

    def take(self, keys: Sequence[int], done: Heard) -> None:
        """Take entries by key, wherever they are, if nobody has them; None: NATS is away."""
        ours: list[Kept] = []
        remote: dict[int, Waiting] = {}
        for key in keys:
            if self._holding.leases.of(key) is not None:
                mine = self._claims.take_free(key)
                ours.extend(() if mine is None else (mine,))
            else:
                seq = self._holding.known.seq(key) or key >> SHIFT
                remote[key] = Waiting(0.0, key, seq, 0.0)
        if not remote:
            done(ours)
            return

        def fetched(found: list[Found] | None) -> None:
            if found is None:
                self._claims.give_back(ours)
                done(None)
            else:
                self._claims.claim(found, claimed)

        def claimed(kept: list[Kept] | None) -> None:
            if kept is None:
                self._claims.give_back(ours)
                done(None)
                return
            self._claims.give_back([one for one in kept if one.key not in remote])
            done(ours + [one for one in kept if one.key in remote])

        self._fetch(list(remote.values()), fetched)

    # -- lanes ----------------------------------------------------------------------------------------

    def lanes(self, after: int | None, limit: int, done: Callable[[list[LaneHead] | None], None]) -> None:
        """Lanes that have something due, or later; None: NATS is away."""
        if after is not None:
            done(self._heads(after, limit))
            return

        def looked(told: dict[str, Any] | None) -> None:
            if told is None or error_code(told):
                done(None)
                return
            names = (told.get("state") or {}).get("subjects") or {}
            mixed, lanes = False, []
            for subject in names:
                last = subject.rpartition(".")[2]
                if last == MIXED:
                    mixed = True
                elif last.isdecimal():
                    lanes.append(int(last))
            self._anyones = {lane: self._domains.get(lane, "") for lane in lanes}
            then = partial(self._name, [lane for lane in lanes if lane not in self._domains][:NAMED],
                           lambda: done(self._heads(None, limit)))  # fmt: skip
            if mixed:
                self._split(then)
            else:
                then()

        self._holding.api.info(looked, self._holding.subjects.all_ready)

    def _heads(self, after: int | None, limit: int) -> list[LaneHead]:
        heads = {lane: LaneHead(lane, due, domain) for lane, due, domain in self._holding.known.lanes()}
        for lane in self._anyones:
            domain = self._domains.get(lane)
            if domain is not None:
                heads[lane] = LaneHead(lane, 0.0, domain)
        wanted = sorted(lane for lane in heads if after is None or lane > after)
        return [heads[lane] for lane in wanted[:limit]]

    def _name(self, lanes: Collection[int], done: Callable[[], None]) -> None:
        """Find the domain of one entry of each of these lanes."""
        left = len(lanes)
        if len(self._domains) > _ALL_KNOWN:
            self._domains.clear()

        def read(lane: int, batch: Batch | None) -> None:
            nonlocal left
            left -= 1
            for found in batch.found if batch is not None else ():
                source = self._claims.read(found)
                if source is not None and source.kept:
                    self._domains[lane] = source.kept[0].entry.domain
            if not left:
                done()

        for lane in lanes:
            subject = self._holding.subjects.ready(lane)
            self._holding.api.batch(1, subject, 2, partial(read, lane), partial(read, lane, None))
        if not lanes:
            done()

    def _split(self, done: Callable[[], None]) -> None:
        """Take what has several lanes: from here on each of its entries goes by its own."""
        holding = self._holding

        def read(batch: Batch) -> None:
            self._claims.claim(batch.found, claimed)

        def claimed(kept: list[Kept] | None) -> None:
            self._claims.give_back(kept or [])
            done()

        holding.api.batch(1, holding.subjects.ready(None), 16, read, done)


def _order(one: Kept) -> tuple[float, int]:
    return one.entry.due, one.key
