"""aioapns, on uvloop. It knows Apple's hosts alone, so ours is put in their place."""

from __future__ import annotations

import json
import ssl
import uuid

import uvloop
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

from benchmarks.peers.python.contract import PAYLOAD, flags, send_all, tell


async def main() -> None:
    """Send until told to stop."""
    options = flags()
    APNsProductionClientProtocol.APNS_SERVER = "localhost"
    APNsProductionClientProtocol.APNS_PORT = options.port
    client = APNs(
        key=options.key.read_text(),
        key_id=options.key_id,
        team_id=options.team_id,
        topic=options.topic,
        ssl_context=ssl.create_default_context(cafile=str(options.ca)),
    )
    message = json.loads(PAYLOAD)

    async def send(device: str) -> None:
        request = NotificationRequest(
            device_token=device,
            message=message,
            notification_id=str(uuid.uuid4()),
            priority=10,
            push_type=PushType.ALERT,
        )
        result = await client.send_notification(request)
        if not result.is_successful:
            raise RuntimeError(f"{result.status} {result.description}")

    tell(await send_all(options.in_flight, send))
    client.pool.close()


if __name__ == "__main__":
    uvloop.run(main())
