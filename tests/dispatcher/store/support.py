"""Stores under test: entries made by hand, a disk that fails, is slow, or loses its power."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.store.bundle import pack
from tubepost_dispatcher.store.partition import Partition
from tubepost_dispatcher.store.port import Entry, Failure, Filter, Kept, Page, entry
from tubepost_dispatcher.store.put import Put

T = TypeVar("T")
NAME = "apn_example.com"
NOW = 1_800_000_000.0
_NAMES = itertools.count()


def notification(number: int, **values: Any) -> Notification:
    push = PushPart(b"ab" * 32, b'{"aps":{"alert":"' + b"x" * 300 + b'"}}')
    values = {"sender": "a@b.example", "domain": NAME, "accepted_at": NOW + number, **values}
    return Notification(
        push, b"00000000-0000-4000-8000-%012d" % number, f"m{number}", recipient=f"s@{NAME}", **values
    )


def an_entry(number: int = 1, *, due: float = NOW, reason: str = "", **values: Any) -> Entry:
    return entry(notification(number, **values), due=due, expires=NOW + 86_400.0, reason=reason)


async def told(ask: Callable[..., None], *args: Any, **kwargs: Any) -> Any:
    """Call a method of a store whose last argument is a callback; what the callback is told."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ask(*args, answer.set_result, **kwargs)
    return await asyncio.wait_for(answer, 30)


async def closed(store: Any) -> None:
    """Close a store, and wait for it."""
    over = asyncio.Event()
    store.close(over.set)
    await asyncio.wait_for(over.wait(), 30)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what the thread of a store does by itself, and tells nobody."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - as it says
            await asyncio.sleep(0.005)


async def all_of(store: Any, which: Filter | None = None, limit: int = 100) -> list[Kept]:
    """Everything in a store, by pages."""
    found: list[Kept] = []
    page = await told(store.page, which or Filter(), None, limit)
    while True:
        assert isinstance(page, Page), page
        assert len(page.kept) <= limit
        found += page.kept
        if page.following is None:
            return found
        page = await told(store.page, which or Filter(), page.following, limit)


class Disk(apsw.VFS):
    """A way to the disk that a test can break. What was not synced is lost when the power goes."""

    def __init__(self) -> None:
        self.name = f"test-disk-{next(_NAMES)}"
        super().__init__(self.name, "")
        self.on_sync: Callable[[str], None] = lambda _: None
        self.on_write: Callable[[str], None] = lambda _: None
        self.on_read: Callable[[str], None] = lambda _: None
        self.syncs = 0
        self.track = False
        self.synced: dict[str, bytes] = {}

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self.synced.pop(filename, None)

    def power_cut(self) -> None:
        """Put all files back to what was synced; those that were never synced are empty."""
        for name in list(self.synced):
            if Path(name).parent.exists():
                Path(name).write_bytes(self.synced[name])


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)
        if disk.track:
            disk.synced.setdefault(self.path, b"")

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self.disk.on_sync(self.path)
        super().xSync(flags)
        self.disk.syncs += 1
        if self.disk.track:
            self.disk.synced[self.path] = Path(self.path).read_bytes()

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self.disk.on_write(self.path)
        super().xWrite(data, offset)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        self.disk.on_read(self.path)
        return super().xRead(amount, offset)


def failing(
    error: type[apsw.Error], code: int, *, only: str = "", times: float = float("inf")
) -> Callable[[str], None]:
    """A hook of `Disk` that raises for files whose name ends with `only`."""
    left = times

    def fail(path: str) -> None:
        nonlocal left
        if path.endswith(only) and left > 0:
            left -= 1
            raised = error("injected")
            raised.extendedresult = code  # type: ignore[attr-defined]
            raise raised

    return fail


def slow(seconds: float) -> Callable[[str], None]:
    return lambda _: time.sleep(seconds)


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Sync:
    """A partition by itself, without a thread."""

    def __init__(self, path: Path, disk: Disk | None = None, **values: Any) -> None:
        self.clock = Clock()
        values.setdefault("reserve", 0)
        self.partition = Partition(path, vfs=disk.name if disk else "", clock=self.clock, **values)

    def put(self, *entries: Entry, take: bool = True) -> list[int] | Failure:
        return self.puts(entries, take=take)[0]

    def puts(self, *batches: Any, take: bool = True) -> list[Any]:
        """Several puts in one commit."""
        answers: list[Any] = [None] * len(batches)

        def keep(number: int, answer: Any) -> None:
            answers[number] = answer

        calls: list[Callable[[], None]] = []
        waiting = [
            Put(batch, partial(keep, number), take, pack(batch) if take and batch else None)
            for number, batch in enumerate(batches)
        ]
        self.partition.write(waiting, (), (), calls.append)
        for call in calls:
            call()
        return answers

    def ended(self, *keys: int) -> None:
        self.partition.write((), (), keys, lambda call: call())

    def again(self, key: int, what: Entry) -> None:
        self.partition.write((), [(key, what)], (), lambda call: call())

    def all(self) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        after: int | None = None
        while True:
            page = self.partition.page(Filter(), after, 50)
            assert isinstance(page, Page), page
            found.update((one.key, one.entry) for one in page.kept)
            after = page.following
            if after is None:
                return found

    def settle(self) -> None:
        """Let it do what it does when nobody waits."""
        for _ in range(1_000):
            if self.partition.idle_work is None:
                return
            self.clock.now += 2.0
            self.partition.idle()
        raise AssertionError(f"does not settle: {self.partition.figures}")

    def drop_dead(self) -> None:
        """As if the process had died: files are closed, nothing is written."""
        partition = self.partition
        if partition._database is not None:
            partition._database.abandon()
            partition._database = None
        if partition._salvage is not None and partition._salvage._old is not None:
            partition._salvage._old.abandon()
        if partition._directory is not None:
            partition._directory.close()
            partition._directory = None


def copy(path: Path, to: Path) -> Path:
    shutil.copytree(path, to)
    return to
