from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dispatcher.feeds.webhook.receiver import OK, answer, flood, raw, receiving, silence
from tubepost_credentials.throwaway import make_ca, make_server_certificate
from tubepost_credentials.tls import client_context, load_key_pair
from tubepost_dispatcher.feeds.webhook import client as module
from tubepost_dispatcher.feeds.webhook.client import MOST_KEPT, WebhookClient
from tubepost_dispatcher.feeds.webhook.port import Endpoint, NoAnswer, Response

HEADERS = {"Authorization": "Bearer authorization-secret", "Content-Type": "text/plain"}


async def test_a_request_has_what_it_was_given_and_its_connection_is_used_again() -> None:
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        receiver.script = [answer(202, b"thanks", "Retry-After: 7"), OK]
        assert await client.post(b"[1]", HEADERS) == Response(202, b"7", b"thanks")
        assert await client.post(b"[2]", HEADERS) == Response(204, b"", b"")
        await client.close()
        first, _ = receiver.requests
        assert (first.line, first.body) == ("POST /events?key=url-secret HTTP/1.1", b"[1]")
        assert first.headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()
        assert receiver.connections == 1


async def test_redirects_are_answers() -> None:
    async with receiving() as receiver, receiving() as other:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        receiver.script = [answer(307, b"", f"Location: {other.url}")]
        assert (await client.post(b"[]", HEADERS)).status == 307
        await client.close()
        assert other.requests == []


@pytest.mark.parametrize(
    "garbage",
    [b"", b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\nA: b"],
)
async def test_what_is_no_answer_is_told_in_words(garbage: bytes) -> None:
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        receiver.script = [raw(garbage)]
        with pytest.raises(NoAnswer) as told:
            await client.post(b"[]", HEADERS)
        assert "secret" not in str(told.value)
        receiver.script = [OK]
        assert (await client.post(b"[]", HEADERS)).status == 204, "and the next request is none the worse"
        await client.close()


async def test_a_status_counts_when_its_body_breaks_off_or_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BODY_TIMEOUT", 0.2)
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        receiver.script = [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")]
        assert await client.post(b"[]", HEADERS) == Response(200, b"", b"half")
        receiver.script = [flood]
        found = await client.post(b"[]", HEADERS)
        assert (found.status, len(found.body)) == (200, MOST_KEPT)
        receiver.script = [_headers_only]
        assert (await client.post(b"[]", HEADERS)).status == 200
        receiver.script = [OK]
        assert (await client.post(b"[]", HEADERS)).status == 204
        await client.close()


async def _headers_only(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
    await writer.drain()
    await asyncio.Event().wait()


async def test_a_body_that_unpacks_to_very_much_is_not_unpacked() -> None:
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        receiver.script = [answer(500, b"\x1f\x8b rubbish", "Content-Encoding: gzip")]
        assert (await client.post(b"[]", HEADERS)).body == b"\x1f\x8b rubbish"
        await client.close()


async def test_no_answer_in_time_and_nobody_there() -> None:
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 0.2))
        receiver.script = [silence]
        with pytest.raises(NoAnswer, match=r"within 0.2 s|ReadTimeout"):
            await client.post(b"[]", HEADERS)
        url = receiver.url
        await client.close()
    client = WebhookClient(Endpoint(url, 5.0))
    with pytest.raises(NoAnswer, match="ConnectError"):
        await client.post(b"[]", HEADERS)
    await client.close()


async def test_only_its_own_authorities_are_trusted() -> None:
    authority, other = make_ca("one"), make_ca("other")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = make_server_certificate(authority, ["localhost"])
    load_key_pair(served, pair.certificate_pem, pair.private_key_pem)
    async with receiving(served) as receiver:
        for trusted, reaches in ((authority, True), (other, False)):
            context = client_context(authorities=trusted.certificate_pem)
            client = WebhookClient(Endpoint(receiver.url, 10.0, context))
            if reaches:
                assert (await client.post(b"[]", HEADERS)).status == 204
            else:
                with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
                    await client.post(b"[]", HEADERS)
            await client.close()
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
            await client.post(b"[]", HEADERS)
        await client.close()


async def test_no_library_tells_the_log_of_urls_and_headers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        await client.post(b"[]", HEADERS)
        await client.close()
    assert "secret" not in caplog.text


@pytest.mark.parametrize("url", ["https://x:99999999/", "https://[", "nonsense", "https://\x00/", ""])
async def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises((NoAnswer, ValueError)):
        await WebhookClient(Endpoint(url, 1.0)).post(b"[]", HEADERS)


LOADED = """
import asyncio, concurrent.futures.thread, sys
from tests.dispatcher.feeds.webhook.receiver import receiving
from tubepost_dispatcher.feeds.webhook.client import WebhookClient
from tubepost_dispatcher.feeds.webhook.port import Endpoint

async def main():
    async with receiving() as receiver:
        client = WebhookClient(Endpoint(receiver.url, 10.0))
        before = set(sys.modules)
        assert (await client.post(b"[]", {})).status == 204
        await client.close()
        print(sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def test_a_request_loads_no_modules_on_the_event_loop() -> None:
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n", "load them where the client is"
