"""Watches our kinds in a namespace with kopf, in its own thread and event loop.

kopf cancels every task of its event loop when it stops, whoever started it. Besides, a watch that hangs must
not hold up the renewal of the Lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import kopf

from tubepost_operator.cluster import ConnectionInfo
from tubepost_operator.handlers.session import Noted, make_session
from tubepost_operator.handlers.settings import settings
from tubepost_operator.kinds import Kind
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.observed import Document

_LOG = logging.getLogger("tubepost.handlers")

Tell = Callable[[bool, Document], None]
"""Called with whether an object was deleted, and the object."""

STOP_TIMEOUT: Final = 3.0
"""Seconds for kopf to end; one that hangs in its own tasks is left behind, and what it still tells is not
heard."""


async def watch_objects(
    connection: ConnectionInfo,
    namespace: str | None,
    kinds: Sequence[Kind],
    tell: Tell,
    begun: Noted,
    noted: Noted,
    refused: Noted,
    metrics: OperatorMetrics,
) -> None:
    """Watch until kopf gives up, as it does when a kind cannot be watched, or until cancelled.

    `tell` is called in this event loop.

    Args:
        connection: how to reach the API server.
        namespace: where to watch; None: everywhere.
        kinds: what to watch.
        tell: called with every object, at first with all that exist.
        begun: called, in another thread, with the plural of a kind when it is listed.
        noted: the same, whenever anything arrives on its watch.
        refused: the same, when it may not be watched, or is not there: kopf does not always end then.
        metrics: counts requests.
    """
    loop = asyncio.get_running_loop()
    stop = threading.Event()
    ended = asyncio.Event()

    def pass_on(gone: bool, document: Document) -> None:
        if stop.is_set():
            return
        with contextlib.suppress(RuntimeError):  # our loop may have ended meanwhile
            loop.call_soon_threadsafe(tell, gone, document)

    def run() -> None:
        try:
            kopf.run(
                registry=registry(connection, kinds, pass_on, (begun, noted, refused), metrics),
                settings=settings(),
                clusterwide=namespace is None,
                namespaces=() if namespace is None else (namespace,),
                standalone=True,
                # For peers, of which there are none. Without it kopf asks for the user's name, which the id
                # that a namespace fills in (OpenShift) need not have.
                identity=cast("Any", Names.FIELD_MANAGER),
                stop_flag=stop,
            )
        except Exception as error:  # noqa: BLE001 - whatever made it give up, the caller begins anew
            _LOG.warning("kopf has stopped: %s: %s", type(error).__name__, error)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, name=f"kopf {namespace or ''}".strip(), daemon=True).start()
    try:
        await ended.wait()
    finally:
        stop.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await ended.wait()


def registry(
    connection: ConnectionInfo,
    kinds: Sequence[Kind],
    pass_on: Tell,
    heard: tuple[Noted, Noted, Noted],
    metrics: OperatorMetrics,
) -> kopf.OperatorRegistry:
    """The handlers: a login, and one that passes on every event of our kinds.

    Event handlers are all there is. They need no finalizer and leave no annotation, whereas daemons, timers
    and deletion handlers would add a finalizer to every object.
    """
    result = kopf.OperatorRegistry()

    @kopf.on.login(registry=result)
    async def login(**_: Any) -> kopf.AiohttpSession:
        session = make_session(connection, *heard, metrics)
        return kopf.AiohttpSession(server=connection.server, aiohttp_session=session)

    for kind in kinds:
        group, _, version = kind.api_version.partition("/")

        @kopf.on.event(group, version, kind.plural, registry=result)
        async def event(event: Any, **_: Any) -> None:
            document = dict(event["object"])
            pass_on(event["type"] == "DELETED", document)

    return result
