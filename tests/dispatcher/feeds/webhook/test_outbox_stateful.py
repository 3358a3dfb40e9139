"""An outbox through appends, syncs, kills and ends: what was synced and is not done with is never lost."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tubepost_dispatcher.feeds.webhook.outbox import SUFFIX, Outbox


def line(number: int) -> bytes:
    return json.dumps({"n": number}).encode()


class OutboxMachine(RuleBasedStateMachine):
    @initialize(file_size=st.integers(1, 60))
    def begin(self, file_size: int) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        self.directory = Path(self.scratch.name) / "feed"
        self.file_size = file_size
        self.failed = 0
        self.total = 0
        self.appended: list[int] = []
        """By this process, in order."""
        self.durable = 0
        """How many of them were synced."""
        self.outbox = self.open()

    def open(self) -> Outbox:
        return Outbox(self.directory, self.count_failed, file_size=self.file_size)

    def count_failed(self, count: int) -> None:
        self.failed += count

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        for _ in range(count):
            self.outbox.append(line(self.total))
            self.appended.append(self.total)
            self.total += 1

    @rule()
    def sync(self) -> None:
        self.outbox.sync()
        self.durable = len(self.appended)

    @rule(count=st.integers(1, 5))
    def done(self, count: int) -> None:
        self.outbox.floor = min(self.outbox.floor + count, len(self.appended))

    @rule()
    def kill(self) -> None:
        promised = set(self.appended[self.outbox.floor : self.durable])
        for file in self.outbox._files:
            os.close(file.descriptor)
        found = self.succeed()
        assert promised <= set(found)
        assert set(found) <= set(self.appended), "from nowhere"
        assert len(found) == len(set(found))
        self.appended, self.durable = found, len(found)

    @rule()
    def end(self) -> None:
        left = self.appended[self.outbox.floor :]
        self.outbox.close()
        found = self.succeed()
        assert found == left, "each once, in order"
        self.appended, self.durable = found, len(found)

    def succeed(self) -> list[int]:
        """What a new process takes over, as the sink does it."""
        self.outbox = self.open()
        found: list[int] = []
        while orphans := self.outbox.orphans(2**30):
            for one in orphans.lines:
                self.outbox.append(one)
                found.append(json.loads(one)["n"])
            self.outbox.sync()
            self.outbox.release(orphans)
        return found

    def teardown(self) -> None:
        if hasattr(self, "outbox"):
            self.outbox.floor = len(self.appended)
            self.outbox.close()
            assert not list(self.directory.glob(f"*{SUFFIX}")), "nothing is left"
            assert self.failed == 0
            self.scratch.cleanup()


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
