"""One request after the other, by what is in force: header fields, the client, what an answer means."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from tubepost_dispatcher.config.bundle import PreparedWebhook
from tubepost_dispatcher.feeds.webhook.answer import Answer, Verdict, judge
from tubepost_dispatcher.feeds.webhook.event import CONTENT_TYPE
from tubepost_dispatcher.feeds.webhook.port import Client, Endpoint, NoAnswer
from tubepost_dispatcher.feeds.webhook.signature import HEADER, signature

_UNUSABLE: Final = Answer(
    Verdict.AGAIN, "a Secret of the webhook cannot be used, see the PushDomain's conditions"
)


class Poster:
    """Sends bodies. Keeps its client, and the connection, until another endpoint is in force.

    Args:
        prepared: what requests need; None: one of the Secrets cannot be used. May be set anew at any time.
        wall: unix seconds.
        connect: makes a client, in a thread; `WebhookClient` by default.
    """

    def __init__(
        self,
        prepared: PreparedWebhook | None,
        wall: Callable[[], float],
        connect: Callable[[Endpoint], Client] | None = None,
    ) -> None:
        self.prepared = prepared
        self._wall = wall
        self._connect = connect or _connect
        self._client: tuple[Endpoint, Client] | None = None

    async def post(self, body: bytes) -> Answer:
        """Send one body; what the answer means for it, and that there was none is one."""
        prepared = self.prepared
        if prepared is None:
            return _UNUSABLE
        config, authorization, key = prepared.config, prepared.authorization or "", prepared.signing_key
        headers = {"Content-Type": CONTENT_TYPE, "User-Agent": "tubepost"}
        if authorization:
            headers["Authorization"] = authorization
        if key:
            headers[HEADER] = signature(key, int(self._wall()), body)
        try:
            client = await self._client_of(Endpoint(config.url, config.timeout, prepared.tls))
            answer = await client.post(body, headers)
        except (NoAnswer, ValueError) as error:
            return Answer(Verdict.AGAIN, str(error))
        return judge(answer.status, answer.retry_after, answer.body, self._wall(), authorization)

    async def close(self) -> None:
        """Close the connection; `post` opens another one."""
        if self._client is not None:
            client, self._client = self._client[1], None
            with contextlib.suppress(OSError):
                await client.close()

    async def _client_of(self, endpoint: Endpoint) -> Client:
        if self._client is not None and self._client[0] == endpoint:
            return self._client[1]
        await self.close()
        client = await asyncio.to_thread(self._connect, endpoint)
        self._client = endpoint, client
        return client


def _connect(endpoint: Endpoint) -> Client:
    # Here, since it takes long to load and most dispatchers have no webhook.
    from tubepost_dispatcher.feeds.webhook.client import WebhookClient  # noqa: PLC0415

    return WebhookClient(endpoint)
