"""The naive stack: aiosmtpd, the email package and one shared httpx client, written with care.

What a competent developer would write in an afternoon: TLS verified, a provider token that is renewed, 200
requests in flight at most, uvloop, a log line and a metric per message, APNs' answer before the 250.

    python -m benchmarks.naive --sink URL --ca FILE --key FILE --key-id ID --team-id ID --topic ID --log FILE
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import email
import email.message
import email.policy
import json
import logging
import signal
import ssl
import time
import uuid
from pathlib import Path
from typing import cast

import httpx
import uvloop
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from prometheus_client import Counter

IN_FLIGHT = 200
TOKEN_LIFE = 50 * 60

log = logging.getLogger("naive")
sent = Counter("naive_notifications", "Notifications by status.", ["status"])


class ProviderToken:
    """The JWT of token authentication, renewed every 50 minutes."""

    def __init__(self, pem: bytes, key_id: str, team_id: str) -> None:
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key, self._key_id, self._team_id = key, key_id, team_id
        self._text, self._minted = "", float("-inf")

    def header(self) -> str:
        if time.monotonic() - self._minted > TOKEN_LIFE:
            head = {"alg": "ES256", "kid": self._key_id}
            claims = {"iss": self._team_id, "iat": int(time.time())}
            signed = b".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
            r, s = decode_dss_signature(self._key.sign(signed, ec.ECDSA(hashes.SHA256())))
            self._text = (signed + b"." + _base64(r.to_bytes(32) + s.to_bytes(32))).decode()
            self._minted = time.monotonic()
        return f"bearer {self._text}"


class Handler:
    """aiosmtpd's handler: one message in, one notification out."""

    def __init__(self, client: httpx.AsyncClient, token: ProviderToken, topic: str) -> None:
        self._client, self._token, self._topic = client, token, topic
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        message = email.message_from_bytes(envelope.content or b"", policy=email.policy.SMTP)  # type: ignore[arg-type]  # bytes unless decode_data
        for part in message.walk():
            if part.get_content_type() == "message/vnd.msys.apn":
                inner = cast("email.message.Message", part.get_payload(0))
                return await self._push(inner["X-Device-Token"], str(inner.get_payload()))
        return "554 5.6.0 no push part"

    async def _push(self, device: str, payload: str) -> str:
        body = json.dumps(json.loads(payload)).encode()
        headers = {
            "authorization": self._token.header(),
            "apns-topic": self._topic,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-id": str(uuid.uuid4()),
        }
        try:
            async with self._room:
                answer = await self._client.post(f"/3/device/{device}", content=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("%s: %r", device, error)
            return "451 4.4.1 APNs did not answer"
        sent.labels(str(answer.status_code)).inc()
        log.info("%s %s %s", device, answer.status_code, answer.headers.get("apns-id"))
        if answer.status_code == 200:
            return "250 2.0.0 delivered"
        return f"{'451 4.0.0' if answer.status_code >= 500 else '550 5.0.0'} {answer.text}"


async def serve(options: argparse.Namespace) -> None:
    context = ssl.create_default_context(cafile=options.ca)
    token = ProviderToken(options.key.read_bytes(), options.key_id, options.team_id)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    async with httpx.AsyncClient(
        http2=True, verify=context, base_url=options.sink, timeout=5.0, trust_env=False
    ) as client:
        handler = Handler(client, token, options.topic)
        server = await loop.create_server(lambda: SMTP(handler, loop=loop), "127.0.0.1", options.port)
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await stop.wait()
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    for option in ("--sink", "--ca", "--key-id", "--team-id", "--topic", "--log"):
        parser.add_argument(option, required=True)
    parser.add_argument("--key", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(filename=options.log, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("mail").setLevel(logging.WARNING)
    uvloop.run(serve(options))


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


if __name__ == "__main__":
    main()
