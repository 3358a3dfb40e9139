"""Pods with a dispatcher: what the API server says of one, and what it says of itself over HTTP."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import aiohttp

from tubepost_operator.live_status import read_metrics
from tubepost_operator.observed import PodDetails, PodReport
from tubepost_runtime.addresses import with_port

HTTP_PORTS: Final = ("http", "tubepost-http")
"""Names of the port for metrics: in dispatcher pods, and of sidecars."""
ANSWER_TIMEOUT: Final = 3.0
"""Seconds for a pod's metrics."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of metrics that are read."""
AT_A_TIME: Final = 16
"""Pods asked at the same time."""

_ORDINARY: Final = frozenset({"ContainerCreating", "PodInitializing", "Completed"})
_CRASHING: Final = "CrashLoopBackOff"
_PULLS: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
_BACK_OFF: Final = re.compile(r'^Back-off pulling image "[^"]*":?\s*(ErrImagePull:\s*)?')
_LAST_LINES: Final = 3
"""Lines of a container's last words that are told."""
_MOST_WORDS: Final = 400
"""Characters of them."""
_MOST: Final = 600
"""Characters of what is told of a pod."""


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
        url = f"http://{with_port(address, port)}/metrics"
    began = any(
        item.get("restartCount")
        or item.get("lastState")
        or (item.get("state") or {}).keys() & {"running", "terminated"}
        for item in status.get("containerStatuses") or ()
    )
    ended = status.get("phase") in {"Failed", "Succeeded"}
    return PodDetails(ready, "" if ready else _trouble(status, conditions), url, began, ended)


def _trouble(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> str:
    """Why a pod does not run, in the kubelet's or the scheduler's words."""
    if status.get("phase") == "Failed" and status.get("reason"):
        return _cut(f"{status['reason']}: {status.get('message', '')}")
    for item in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (item.get("state") or {}).get("waiting") or {}
        reason = str(waiting.get("reason") or "")
        ended = (
            (item.get("state") or {}).get("terminated")
            or (item.get("lastState") or {}).get("terminated")
            or {}
        )
        if ended.get("exitCode") and reason in {"", _CRASHING}:
            return _cut(_end(ended, int(item.get("restartCount") or 0), crashing=bool(reason)))
        if reason and reason not in _ORDINARY:
            return _cut(_waits(reason, str(waiting.get("message") or ""), str(item.get("image") or "")))
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return _cut(f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}")
    return ""


def _end(ended: Mapping[str, Any], restarts: int, *, crashing: bool) -> str:
    """How a container has ended, with the last lines that it wrote."""
    text = f"exit code {ended['exitCode']}"
    if ended.get("reason") not in {None, "", "Error"}:
        text += f" ({ended['reason']})"
    if crashing:
        text = f"{_CRASHING}, {text}"
    lines = [line.strip() for line in str(ended.get("message") or "").splitlines() if line.strip()]
    if lines:
        text += f": {' '.join(lines[-_LAST_LINES:])[-_MOST_WORDS:]}"
    return f"{text} (restarted {restarts} times)" if restarts > 1 else text


def _waits(reason: str, message: str, image: str) -> str:
    """Why a container is not started. The two reasons of a pull that fails take turns: they are one."""
    if reason in _PULLS:
        reason = "ErrImagePull"
        message = _BACK_OFF.sub("", message)
    named = f" {image}" if image and image not in message and "mage" in reason else ""
    return f"{reason}{named}: {message}".strip(": ")


def _cut(text: str) -> str:
    text = " ".join(text.split()).strip(": ")
    return text if len(text) <= _MOST else f"{text[: _MOST - 3]}..."


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
                    return replace(read_metrics(body.decode("utf-8", "replace")), at=time.monotonic())
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
                return PodReport()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
