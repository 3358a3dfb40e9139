from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, FakePool, Told, domain, notification
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.delivery.retry import RetryPolicy
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import identified
from tubepost_dispatcher.queue import journal as module
from tubepost_dispatcher.queue.journal import FIELDS, Journal
from tubepost_dispatcher.queue.journal_file import NAME, search
from tubepost_dispatcher.queue_api_fields import EVENT
from tubepost_dispatcher.reasons.catalogue import local_outcome, permanent_outcome

POLICY = RetryPolicy(first=1.0, most=1.0)
TOKEN = "ab" * 32


def delivery(what: Notification) -> Delivery:
    served = domain(FakePool())
    made = Delivery(what, served, Told(), POLICY, 0.0, 0.0)
    made.route = served.routes[0]
    return made


@pytest.fixture(params=["memory", "disk"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "memory" else tmp_path / "00"


async def told(journal: Journal, message_id: str = "m1") -> list[tuple[Any, ...]]:
    return [
        (found["event"], found["outcome"], found.get("reason", ""), found["attempt"])
        for found in await journal.trace(message_id)
    ]


async def test_a_delivery_at_once_is_one_line(directory: Path | None) -> None:
    journal = Journal(directory, wall=lambda: 1_800_000_000.5)
    what = notification(1, accepted_at=1_800_000_000.0, attempt=1, user="user", client_address="10.0.0.1")
    one = delivery(what)
    journal.attempted(one, DELIVERED, 0.0)
    journal.ended(one, DELIVERED, 0.0)
    (found,) = await journal.trace("m1")
    assert found == {
        "at": 1_800_000_000.5,
        "id": "m1",
        "event": "ended",
        "outcome": "delivered",
        "apnsId": DELIVERED.apns_id,
        "domain": what.domain,
        "sender": "a@b.example",
        "recipient": what.recipient,
        "tokenPrefix": "abababab",
        "accepted": 1_800_000_000.0,
        "attempt": 1,
        "route": "route0",
        "client": "10.0.0.1",
        "user": "user",
    }
    assert await journal.trace("m2") == []
    await journal.close()


async def test_a_deferral_and_an_end_tell_of_the_attempt_before_them(directory: Path | None) -> None:
    journal = Journal(directory)
    what = notification(1, attempt=1)
    one = delivery(what)
    journal.attempted(one, BUSY, 0.0)
    journal.deferred(what, BUSY, 1_800_000_900.0, "route0")
    what.attempt = 2
    journal.attempted(one, DEAD, 0.0)
    journal.ended(one, DEAD, 0.0)
    assert await told(journal) == [
        ("deferred", "transient", "ServiceUnavailable", 1),
        ("ended", "permanent", "Unregistered", 2),
    ]
    first, last = await journal.trace("m1")
    assert first["due"] == 1_800_000_900.0
    assert "due" not in last
    await journal.close()


async def test_an_attempt_that_is_followed_by_another_has_a_line_of_its_own(directory: Path | None) -> None:
    journal = Journal(directory)
    what = notification(1, attempt=1)
    one, other = delivery(what), delivery(notification(2, attempt=1))
    journal.attempted(one, BUSY, 0.0)
    what.attempt = 2
    journal.attempted(other, DELIVERED, 0.0)
    journal.ended(other, DELIVERED, 0.0)
    journal.attempted(one, BUSY, 0.0)
    what.attempt = 3
    journal.attempted(one, BUSY, 0.0)
    expired = local_outcome("DomainGone")
    journal.ended(one, expired, 0.0)
    assert await told(journal) == [
        ("attempt", "transient", "ServiceUnavailable", 1),
        ("attempt", "transient", "ServiceUnavailable", 2),
        ("attempt", "transient", "ServiceUnavailable", 3),
        ("ended", "transient", "DomainGone", 3),
    ]
    journal.attempted(other, BUSY, 0.0)
    assert await told(journal, "m2") == [
        ("ended", "delivered", "", 1),
        ("attempt", "transient", "ServiceUnavailable", 1),
    ]
    await journal.close()


async def test_what_is_discarded_is_told(directory: Path | None) -> None:
    journal = Journal(directory)
    journal.blackholed(notification(1))
    assert await told(journal) == [("ended", "discarded", "Blackhole", 0)]
    await journal.close()


async def test_what_is_refused_is_told(directory: Path | None) -> None:
    journal = Journal(directory)
    refused = permanent_outcome("MissingTopic", f"554 5.6.0 no topic for {TOKEN}")
    journal.refused(notification(1, push=PushPart(b"", b"")), refused)
    (line,) = await journal.trace("m1")
    assert (line["event"], line["outcome"], line["reason"]) == ("refused", "permanent", "MissingTopic")
    assert line["detail"] == "554 5.6.0 no topic for abababab..."
    await journal.close()


async def test_tokens_are_in_short_form_everywhere(directory: Path | None) -> None:
    journal = Journal(directory)
    what = notification(1, user=f"user-{TOKEN}", push=PushPart(TOKEN.encode(), b'{"aps":{"alert":"secret"}}'))
    what.recipient = f"{TOKEN}@apn.example"
    what.sender = f"bounce+{TOKEN.upper()}@b.example"
    journal.ended(delivery(what), local_outcome("ConnectFailed", f"of {TOKEN}"), 0.0)
    (found,) = await journal.trace("m1")
    await journal.close()
    shown = repr(found).lower()
    assert TOKEN not in shown
    assert "secret" not in shown
    assert shown.count("abababab") >= 5
    if directory is not None:
        text = (directory / NAME).read_text().lower()
        assert TOKEN not in text
        assert "secret" not in text


@pytest.mark.pure
async def test_in_memory_the_latest_lines_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IN_MEMORY", 3)
    journal = Journal(None)
    assert not journal.persistent
    for number in range(5):
        journal.ended(delivery(notification(number)), DELIVERED, 0.0)
    assert await journal.trace("m1") == []
    assert len(await journal.trace("m2")) == 1
    await journal.close()


async def test_on_disk_it_outlives_the_worker_and_others_are_searched_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "00")
    assert journal.persistent
    journal.ended(delivery(notification(1)), BUSY, 0.0)
    await journal.close()
    await journal.close()
    journal.ended(delivery(notification(1)), BUSY, 0.0)
    assert await journal.trace("m1") == [], "it is closed"
    successor = Journal(tmp_path / "01")
    successor.ended(delivery(notification(1)), DELIVERED, 0.0)
    found = await successor.trace("m1", (tmp_path / "00",))
    assert [one["outcome"] for one in found] == ["transient", "delivered"]
    await successor.close()


async def test_lines_are_written_by_themselves_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER", 0.01)
    journal = Journal(tmp_path)
    journal.ended(delivery(notification(1)), DELIVERED, 0.0)
    async with asyncio.timeout(30):
        while not search((tmp_path,), "m1"):  # noqa: ASYNC110 - the thread tells nobody
            await asyncio.sleep(0.005)
    await journal.close()


async def test_many_lines_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER", 1_000.0)
    monkeypatch.setattr(module, "TOGETHER", 10)
    journal = Journal(tmp_path)
    for number in range(10):
        journal.ended(delivery(notification(number)), DELIVERED, 0.0)
    async with asyncio.timeout(30):
        while not search((tmp_path,), "m9"):  # noqa: ASYNC110 - the thread tells nobody
            await asyncio.sleep(0.005)
    await journal.close()


async def test_a_disk_that_fails_loses_lines_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "00").write_text("in the way")
    journal = Journal(tmp_path / "00")
    for number in range(3):
        journal.ended(delivery(notification(number)), DELIVERED, 0.0)
        assert await journal.trace(f"m{number}") == []
    assert journal.lost == 3
    assert len(caplog.records) == 1, "one line for one trouble"
    assert "lines are lost" in caplog.text
    (tmp_path / "00").unlink()
    journal.ended(delivery(notification(9)), DELIVERED, 0.0)
    assert len(await journal.trace("m9")) == 1
    await journal.close()


@pytest.mark.pure
async def test_a_disk_that_does_not_come_on_takes_a_bounded_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = threading.Event()
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    monkeypatch.setattr(module, "TOGETHER", 2)
    monkeypatch.setattr(module.JournalFile, "append", lambda self, data: held.wait(30))
    journal = Journal(tmp_path)
    for number in range(10):
        journal.ended(delivery(notification(number)), DELIVERED, 0.0)
    assert journal.lost == 6
    begun = asyncio.get_running_loop().time()
    await journal.close(0.05)
    assert asyncio.get_running_loop().time() - begun < 5.0, "the end of a worker does not wait for it"
    held.set()


async def test_the_reference_has_the_fields_of_a_line() -> None:
    journal = Journal(None)
    journal.ended(delivery(notification(1, user="user")), DELIVERED, 0.0)
    journal.deferred(notification(1), identified(BUSY, "5a6b"), 1.0, "route0")
    journal.ended(delivery(notification(1, push=PushPart(b"", b"{}", channel_id=b"YWI="))), DELIVERED, 0.0)
    names = {one.name for one in EVENT}
    assert names == set(FIELDS)
    for line in await journal.trace("m1"):
        assert line.keys() <= {one.name for one in EVENT}
        names -= line.keys()
    assert not names, "no line has these"


async def test_the_lines_of_a_broadcast_name_its_channel(directory: Path | None) -> None:
    journal = Journal(directory)
    push = PushPart(b"", b"{}", channel_id=b"dHN0LXNyY2gtY2hubA==")
    what = Notification(push, b"id", "m1", "a@b.example", "news@c.example", "c.example")
    journal.refused(what, permanent_outcome("ChannelNotRegistered", "gone"))
    one = delivery(what)
    journal.ended(one, DELIVERED, 0.0)
    lines = await journal.trace("m1")
    assert [(line["channelId"], line["tokenPrefix"], line["recipient"]) for line in lines] == [
        ("dHN0LXNyY2gtY2hubA==", "", "news@c.example")
    ] * 2
    assert "reason" not in lines[1]
    await journal.close()


async def test_a_unique_id_is_kept_whatever_the_outcome(directory: Path | None) -> None:
    journal = Journal(directory)
    journal.ended(delivery(notification(1)), identified(DELIVERED, "5a6b"), 0.0)
    journal.ended(delivery(notification(1)), identified(DEAD, "7c8d"), 0.0)
    journal.ended(delivery(notification(1)), DELIVERED, 0.0)
    lines = await journal.trace("m1")
    assert [line.get("apnsUniqueId") for line in lines] == ["5a6b", "7c8d", None]
    assert lines[0].keys() - lines[2].keys() == {"apnsUniqueId"}, "nothing else joins it"
    await journal.close()
