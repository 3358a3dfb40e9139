"""Pods with a dispatcher: what the API server says of one, and what it says of itself over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import aiohttp

from tubepost_operator.live_status import read_metrics
from tubepost_operator.observed import PodDetails, PodReport

HTTP_PORTS: Final = ("http", "tubepost-http")
"""Names of the port for metrics: in dispatcher pods, and of sidecars."""
ANSWER_TIMEOUT: Final = 3.0
"""Seconds for a pod's metrics."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of metrics that are read."""
AT_A_TIME: Final = 16
"""Pods asked at the same time."""

_ORDINARY: Final = frozenset({"ContainerCreating", "PodInitializing", "Completed"})


def read_pod(document: Mapping[str, Any]) -> PodDetails:
    """What matters of a pod."""
    spec, status = document["spec"], document.get("status") or {}
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    ready = (conditions.get("Ready") or {}).get("status") == "True"
    address = status.get("podIP")
    port = next(
        (
            port["containerPort"]
            for container in (*(spec.get("initContainers") or ()), *spec["containers"])
            for port in container.get("ports") or ()
            if port.get("name") in HTTP_PORTS
        ),
        None,
    )
    url = None
    if address and port:
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{port}/metrics"
    return PodDetails(ready, "" if ready else _trouble(status, conditions), url)


def _trouble(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    """Why a pod does not run, in the kubelet's or the scheduler's words."""
    for item in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (item.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _ORDINARY:
            return str(waiting["reason"])
        ended = (item.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"exit code {ended['exitCode']}"
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}".strip(": ")[:300]
    return ""


class PodAsker(Protocol):
    """Asks pods for their metrics."""

    async def ask(self, url: str) -> PodReport:
        """What a pod says; a report without a digest when it does not answer. Never raises."""


class HttpPodAsker:
    """Asks over HTTP, never by a proxy of the environment: pods are in the same cluster."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def ask(self, url: str) -> PodReport:
        """See `PodAsker`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT),
                # Scrapes are a minute apart: kept connections would go stale.
                connector=aiohttp.TCPConnector(limit=AT_A_TIME, force_close=True),
            )
        async with self._places:
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    if response.status != 200:
                        return PodReport()
                    body = bytearray()
                    async for chunk in response.content.iter_any():
                        body += chunk
                        if len(body) > MOST_BYTES:
                            return PodReport()
                    return read_metrics(body.decode("utf-8", "replace"))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
                return PodReport()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
