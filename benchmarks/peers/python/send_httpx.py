"""One httpx client, shared by as many tasks as there are requests in flight."""

from __future__ import annotations

import ssl
import uuid

import httpx
import uvloop

from benchmarks.naive import ProviderToken
from benchmarks.peers.python.contract import PAYLOAD, flags, send_all, tell


async def main() -> None:
    """Send until told to stop."""
    options = flags()
    token = ProviderToken(options.key.read_bytes(), options.key_id, options.team_id)
    context = ssl.create_default_context(cafile=str(options.ca))

    async def send(device: str) -> None:
        headers = {
            "authorization": token.header(),
            "apns-topic": options.topic,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-id": str(uuid.uuid4()),
        }
        answer = await client.post(f"/3/device/{device}", content=PAYLOAD, headers=headers)
        if answer.status_code != 200:
            raise RuntimeError(answer.text)

    base = f"https://localhost:{options.port}"
    async with httpx.AsyncClient(
        http2=True, verify=context, base_url=base, timeout=30.0, trust_env=False
    ) as client:
        tell(await send_all(options.in_flight, send))


if __name__ == "__main__":
    uvloop.run(main())
