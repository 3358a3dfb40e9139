"""One pyreqwest client (Rust's reqwest behind asyncio), on uvloop."""

from __future__ import annotations

import ssl
import time
import uuid

import jwt
import uvloop
from pyreqwest.client import ClientBuilder

from benchmarks.peers.python.contract import PAYLOAD, flags, send_all, tell


async def main() -> None:
    """Send until told to stop."""
    options = flags()
    key = options.key.read_text()
    claims = {"iss": options.team_id, "iat": int(time.time())}
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": options.key_id})
    base = f"https://localhost:{options.port}/3/device/"

    async def send(device: str) -> None:
        headers = {
            "authorization": f"bearer {token}",
            "apns-topic": options.topic,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-id": str(uuid.uuid4()),
        }
        answer = await client.post(base + device).headers(headers).body_bytes(PAYLOAD).build().send()
        if answer.status != 200:
            raise RuntimeError(await answer.text())

    authority = ssl.PEM_cert_to_DER_cert(options.ca.read_text())
    builder = ClientBuilder().add_root_certificate_der(authority).no_proxy().http2_prior_knowledge()
    async with builder.build() as client:
        tell(await send_all(options.in_flight, send))


if __name__ == "__main__":
    uvloop.run(main())
