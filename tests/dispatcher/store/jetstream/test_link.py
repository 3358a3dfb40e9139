"""The connection: it comes back by itself, and requests outlive it."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from tests.dispatcher.store.jetstream.support import Nats
from tests.dispatcher.store.support import eventually
from tests.peers.nats_credentials import USER, Decentral, NKey
from tests.peers.nats_server import NatsServer
from tubepost_credentials.nkey import load_nats_file, load_nkey
from tubepost_credentials.throwaway import make_ca, make_server_certificate
from tubepost_dispatcher.store.jetstream.link import Answer, Link
from tubepost_dispatcher.store.jetstream.settings import Identity, JetStreamSettings

pytestmark = [
    pytest.mark.peer,
    # nats-py leaves the socket of a connection that was refused or cut to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("own_litter"),
]
INFO = "$JS.API.INFO"


class Linked:
    def __init__(self, settings: JetStreamSettings) -> None:
        self.ups: list[Mapping[str, Any]] = []
        self.downs: list[str] = []
        self.link = Link(settings, asyncio.get_running_loop())

    def start(self) -> None:
        self.link.start(self.ups.append, self.downs.append)

    async def ask(self, subject: str = INFO, patience: float = 60.0, **values: Any) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.link.request(subject, b"", answer.set_result, patience=patience, **values)
        return await answer


@pytest.fixture
async def linked(nats: Nats) -> AsyncIterator[Linked]:
    made = Linked(nats.settings())
    made.start()
    yield made
    await made.link.close()


async def test_it_connects_and_asks(linked: Linked) -> None:
    told = (await linked.ask()).json
    assert told is not None
    assert "limits" in told
    assert linked.ups[0]["headers"] is True
    assert linked.link.connected


async def test_what_nobody_answers_is_given_up_in_time(linked: Linked) -> None:
    await linked.ask()
    assert await linked.ask("nobody.is.here", patience=0.6) == Answer([], 0)


async def test_a_bad_answer_is_none() -> None:
    assert Answer([], 1).json is None


async def test_with_the_first_server_away_another_one_is_asked(nats: Nats) -> None:
    made = Linked(nats.settings(servers=("nats://127.0.0.1:1", *nats.urls)))
    made.start()
    assert (await made.ask()).json is not None
    await made.link.close()


async def test_a_server_that_is_away_is_told_and_tried_again(tmp_path: Path) -> None:
    with NatsServer(tmp_path, "n1") as server:
        made = Linked(Nats(server.url).settings())
        made.start()
        await made.ask()
        server.kill()
        await eventually(lambda: not made.link.connected)
        asked = asyncio.ensure_future(made.ask())
        server.start()
        assert (await asked).json is not None
        assert len(made.ups) == 2
        assert made.downs
        await made.link.close()


async def test_refused_credentials_are_told_and_new_ones_used(tmp_path: Path) -> None:
    users = 'authorization { users: [{user: "a", password: "one"}] }'
    with NatsServer(tmp_path, "n1", access=users) as server:
        settings = Nats(server.url).settings(identity=Identity(user="a", password="two"))
        made = Linked(settings)
        made.start()
        await eventually(lambda: bool(made.downs))
        assert made.downs[0] == "it refuses the credentials"
        made.link.renew(settings._replace(identity=Identity(user="a", password="one")))
        assert (await made.ask()).json is not None
        # And while it works, what is asked meanwhile is answered.
        asked = [asyncio.ensure_future(made.ask()) for _ in range(20)]
        made.link.renew(settings._replace(identity=Identity(user="a", password="one")))
        for one in asked:
            assert (await one).json is not None
        await eventually(lambda: len(made.ups) == 2)
        await made.link.close()


async def test_a_connection_that_is_cut_before_anybody_has_it_is_made_again(
    nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe, times = Client.subscribe, itertools.count()

    async def cut(client: Client, *values: Any, **named: Any) -> Any:
        made_ = await subscribe(client, *values, **named)
        if not next(times):
            await client.close()
        return made_

    monkeypatch.setattr(Client, "subscribe", cut)
    made = Linked(nats.settings())
    made.start()
    assert (await made.ask()).json is not None
    await made.link.close()


async def test_a_request_whose_answer_is_lost_is_sent_again(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked.ask()
    monkeypatch.setattr("tubepost_dispatcher.store.jetstream.link.RESEND", 0.2)
    heard, times = linked.link._heard, itertools.count()

    async def deaf(message: Any) -> None:
        if next(times):
            await heard(message)

    await linked.link._client.subscribe(linked.link._inbox + "x.*", cb=deaf)  # type: ignore[union-attr]
    linked.link._inbox += "x"
    answer = await linked.ask()
    assert answer.json is not None
    assert answer.sent == 2


async def test_closing_answers_what_waits(nats: Nats) -> None:
    made = Linked(nats.settings(servers=("nats://127.0.0.1:1",)))
    made.start()
    asked = asyncio.ensure_future(made.ask())
    await eventually(lambda: bool(made.downs))
    await made.link.close()
    assert await asked == Answer([], 0)


async def test_an_nkey_that_is_rotated_is_used_at_once(tmp_path: Path) -> None:
    keys = [NKey.make(USER), NKey.make(USER)]
    with NatsServer(tmp_path, "n1", access=allowed(keys[0])) as server:
        settings = Nats(server.url).settings()

        def by(key: NKey) -> JetStreamSettings:
            return settings._replace(identity=Identity(load_nkey(key.seed.encode())))

        made = Linked(by(keys[0]))
        made.start()
        assert (await made.ask()).json is not None
        server.access = allowed(keys[1])
        await asyncio.get_running_loop().run_in_executor(None, server.reload)
        made.link.renew(by(keys[1]))
        assert (await made.ask()).json is not None
        await eventually(lambda: len(made.ups) == 2)
        await made.link.close()


def allowed(key: NKey) -> str:
    return f"authorization {{ users: [{{ nkey: {key.public} }}] }}"


async def test_a_credentials_file_logs_in(tmp_path: Path) -> None:
    issuer = Decentral()
    with NatsServer(tmp_path, "n1", access=issuer.configuration()) as server:
        identity = Identity(load_nats_file(issuer.file().encode()))
        made = Linked(Nats(server.url).settings(identity=identity))
        made.start()
        told = (await made.ask()).json
        assert told is not None
        assert "error" not in told
        await made.link.close()


async def test_a_server_with_tls_is_checked(tmp_path: Path) -> None:
    authority = make_ca()
    pair = make_server_certificate(authority, ["localhost", "127.0.0.1"])
    files = [tmp_path / name for name in ("ca", "certificate", "key")]
    for path, text in zip(
        files, (authority.certificate_pem, pair.certificate_pem, pair.private_key_pem), strict=True
    ):
        path.write_bytes(text)
    with NatsServer(tmp_path / "n1", "n1", tls=(files[1], files[2])) as server:
        settings = Nats(server.url).settings()
        made = Linked(settings._replace(tls=ssl.create_default_context()))
        made.start()
        await eventually(lambda: bool(made.downs))
        assert "certificate verify failed" in made.downs[0]
        made.link.renew(settings._replace(tls=ssl.create_default_context(cafile=str(files[0]))))
        assert (await made.ask()).json is not None
        await made.link.close()
