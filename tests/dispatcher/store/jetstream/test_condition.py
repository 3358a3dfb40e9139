"""What becomes of a stream, and of the settings for it, while a store uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.dispatcher.store.jetstream.support import Nats, fresh
from tests.dispatcher.store.support import all_of, closed, told
from tubepost_dispatcher.store.jetstream.store import JetStreamStore
from tubepost_dispatcher.store.port import Failure

pytestmark = [
    pytest.mark.peer,
    # nats-py leaves the socket of a connection to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at the stream at every turn of the store's clock."""
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.store.IDLE_INFO", 0.0)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.store.INFO", 0.0)
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.condition.REOPEN", 0.1)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a bounded poll: nobody is told
            await asyncio.sleep(0.02)


async def asked(store: JetStreamStore, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """As somebody else would ask who has the same rights."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    subject = f"$JS.API.STREAM.{what}.{store._condition.settings.stream}"
    data = b"" if body is None else orjson.dumps(body)
    store._link.request(subject, data, answer.set_result, patience=60.0)
    found: dict[str, Any] = (await answer).json
    assert "error" not in found, found
    return found


async def test_a_stream_that_somebody_alters_is_refused_in_words_and_left_so(nats: Nats) -> None:
    store = await nats.store()
    (key,) = await told(store.put, [fresh(1)])
    before = (await asked(store, "INFO"))["config"]
    await asked(store, "UPDATE", {**before, "max_msgs": 1_000})
    await until(lambda: store.figures.failure)
    failure = store.figures.failure
    assert failure is not None
    assert "its max_msgs is 1000, and has to be -1" in failure.text
    assert "Remedy: set that back" in failure.text
    assert store.figures.stream == ("foreign_stream",)
    assert isinstance(await told(store.put, [fresh(2)]), Failure)
    assert (await asked(store, "INFO"))["config"]["max_msgs"] == 1_000
    await asked(store, "UPDATE", before)
    await until(lambda: store.figures.failure is None)
    assert [one.key for one in await all_of(store)] == [key]
    await closed(store)


async def test_a_stream_that_is_another_one_than_before_is_told_of(
    nats: Nats, caplog: pytest.LogCaptureFixture
) -> None:
    store = await nats.store()
    await told(store.put, [fresh(1), fresh(2)], take=False)
    await asked(store, "DELETE")
    await until(lambda: "is another one than before" in caplog.text)
    assert "1 messages that waited here. Was it removed, or has its server lost" in caplog.text
    await until(lambda: store.figures.failure is None)
    await told(store.put, [fresh(3)])
    await told(store.take, ())
    assert caplog.text.count("sync_interval") == 1
    await closed(store)


@pytest.mark.parametrize(("replicas", "said"), [(1, 1), (3, 0)])
async def test_a_stream_that_ends_before_what_it_acknowledged_is_told_of(
    nats: Nats, caplog: pytest.LogCaptureFixture, replicas: int, said: int
) -> None:
    store = await nats.store()
    await told(store.put, [fresh(1)])
    info = await asked(store, "INFO")
    # As a server has it that lost what it had not synced, and as a leader that has not come so far yet.
    info["state"]["last_seq"] = 3
    info["config"]["num_replicas"] = replicas
    store._condition._compare(info, 7)
    assert caplog.text.count("ends with message 3, and had acknowledged 7: up to 4 are lost") == said
    await closed(store)


async def test_what_another_replica_may_change_is_taken_as_it_is(nats: Nats) -> None:
    store = await nats.store()
    await asked(store, "UPDATE", {**(await asked(store, "INFO"))["config"], "max_age": 86_400 * 10**9})
    looked = store._condition
    await until(lambda: looked._config.get("max_age"))
    assert looked.failure is None
    assert (await asked(store, "INFO"))["config"]["max_age"] == 86_400 * 10**9
    await closed(store)


async def test_only_what_a_connection_is_made_of_makes_a_new_one(nats: Nats) -> None:
    store = await nats.store()
    client = store._link._client
    store.renew(nats.settings())
    store.renew(nats.settings(max_age=86_400.0))
    await until(lambda: store._condition._config.get("max_age"))
    assert store._link._client is client
    store.renew(nats.settings(max_age=86_400.0, servers=(*nats.urls, *nats.urls)))
    await until(lambda: store._link._client not in {client, None})
    assert not isinstance(await told(store.put, [fresh(1)]), Failure)
    await closed(store)
