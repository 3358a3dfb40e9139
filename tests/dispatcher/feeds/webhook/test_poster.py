from __future__ import annotations

from typing import Any

from tests.dispatcher.feeds.webhook.receiver import OK, answer, raw, receiving
from tubepost_api.config_logger import WebhookConfig
from tubepost_dispatcher.config.bundle import PreparedWebhook
from tubepost_dispatcher.feeds.webhook.answer import Verdict
from tubepost_dispatcher.feeds.webhook.poster import Poster
from tubepost_dispatcher.feeds.webhook.signature import signature

KEY = b"signature-secret-of-enough-bytes"


def prepared(url: str, authorization: str | None = None, key: bytes | None = None) -> PreparedWebhook:
    return PreparedWebhook(WebhookConfig(url=url, timeout=5.0), authorization, key)


def poster(*arguments: Any) -> Poster:
    return Poster(prepared(*arguments), lambda: 1767225600.9)


async def test_what_is_in_force_when_it_is_sent_makes_the_request() -> None:
    async with receiving() as receiver, receiving() as other:
        made = poster(receiver.url)
        assert (await made.post(b"[1]")).verdict is Verdict.TAKEN
        made.prepared = prepared(receiver.url, "Bearer one", KEY)
        assert (await made.post(b"[2]")).verdict is Verdict.TAKEN
        made.prepared = prepared(other.url)
        assert (await made.post(b"[3]")).verdict is Verdict.TAKEN
        made.prepared = None
        assert "Secret" in (await made.post(b"[4]")).text
        await made.close()
        first, second = (request.headers for request in receiver.requests)
        assert "authorization" not in first
        assert "tubepost-signature" not in first
        assert second["authorization"] == "Bearer one"
        assert second["tubepost-signature"] == signature(KEY, 1767225600, b"[2]")
        assert receiver.connections == 1, "a Secret alone needs no new connection"
        assert [request.body for request in other.requests] == [b"[3]"]


async def test_no_answer_is_an_answer_and_the_next_one_counts() -> None:
    async with receiving() as receiver:
        made = poster(receiver.url, "Bearer secret-of-ours")
        receiver.script = [raw(b"rubbish"), answer(503, b"you sent Bearer secret-of-ours"), OK]
        for verdict in (Verdict.AGAIN, Verdict.AGAIN, Verdict.TAKEN):
            found = await made.post(b"[]")
            assert found.verdict is verdict
            assert "secret" not in found.text
        await made.close()
        await made.close()
