"""List and watch of metadata, in a thread; events go to the caller's event loop.

Only metadata is asked for (PartialObjectMetadata): whoever watches Secrets or Pods of a cluster must not have
all of their contents streamed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import urllib3

from tubepost_operator.api import ApiError, WatchEvent, WatchSource
from tubepost_operator.observed import Document
from tubepost_runtime.backoff import Backoff, Exponential

_LOG = logging.getLogger("tubepost.watch")

SECONDS: Final = 45
"""Length of a watch request. The server ends it after that time, with a bookmark before, so that a connection
that brings nothing for `READ_TIMEOUT` is dead, whatever TCP thinks of it."""
READ_TIMEOUT: Final = 52.0
"""Seconds without a byte of a watch."""
PAGE: Final = 500
"""Objects asked for at a time."""

_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

_RETRIES: Final = Exponential(0.5, 8.0, jitter=(0.7, 1.3))
REFUSED: Final = frozenset({403, 404})
"""Answers that are refusals at once: another attempt a moment later would get the same."""
REFUSED_AFTER: Final = 3
"""Failures in a row after which any other answer counts as a refusal, too."""

OpenStream = Callable[[str, Mapping[str, str], str], urllib3.BaseHTTPResponse]
"""Begins a GET request for a path with a query and an Accept header. Raises ApiError."""


async def watch_metadata(
    open_stream: OpenStream,
    source: WatchSource,
    tell: Callable[[WatchEvent], None],
    alive: Callable[[], None],
    tried: Callable[[], None],
) -> None:
    """Watch until cancelled. `tell` is called in this event loop.

    Args:
        open_stream: begins a request.
        source: what to watch.
        tell: gets the events.
        alive: called in the thread on any input.
        tried: called in the thread when an attempt has failed, in a way that a restart does not mend.

    Raises:
        ApiError: the thread has ended, which is a bug.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def pass_on(event: WatchEvent) -> None:
        loop.call_soon_threadsafe(tell, event)

    watch = _Watch(open_stream, source, pass_on, alive, tried)

    def run() -> None:
        try:
            watch.run()
        finally:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, name=f"watch {source.name}", daemon=True).start()
    try:
        await ended.wait()
        raise ApiError(0, f"the watch of {source.name} has ended")
    finally:
        watch.stop()


class _Watch:
    """One list-and-watch, in its own thread."""

    def __init__(
        self,
        open_stream: OpenStream,
        source: WatchSource,
        tell: Callable[[WatchEvent], None],
        alive: Callable[[], None],
        tried: Callable[[], None],
    ) -> None:
        self._open = open_stream
        self._source = source
        self._tell = tell
        self._alive = alive
        self._tried = tried
        self._version = ""
        self._refused = False
        self._stopped = threading.Event()
        self._response: urllib3.BaseHTTPResponse | None = None
        # Identities of all that was reported, to report deletions after an interruption.
        self._known: dict[tuple[str, str], str] = {}

    def stop(self) -> None:
        """Have the thread end; a read that waits is woken."""
        self._stopped.set()
        response = self._response
        if response is not None:
            with contextlib.suppress(Exception):
                response.shutdown()

    def run(self) -> None:
        """Until stopped."""
        backoff = Backoff(_RETRIES)
        while not self._stopped.is_set():
            try:
                if not self._version:
                    self._version = self._list()
                self._follow()
                backoff.success()
            except ApiError as error:
                if self._stopped.is_set():
                    return
                if error.kind == "gone":
                    self._version = ""
                    continue
                delay = backoff.failure()
                self._failed(error, backoff.failures)
                self._stopped.wait(delay)
            except Exception:  # noqa: BLE001 - a bug must not end the watch for good
                _LOG.exception("watch of %s", self._source.name)
                self._version = ""
                self._stopped.wait(backoff.failure())

    def _failed(self, error: ApiError, failures: int) -> None:
        if not error.restart_may_help:
            self._tried()
        lasting = error.kind not in {"connection", "throttled"} and failures >= REFUSED_AFTER
        if error.status in REFUSED or lasting:
            # From a list again, once it is let in: whatever the version was, its history may be gone.
            self._version = ""
            self._refused = True
            self._send(WatchEvent("Refused", {"status": error.status, "message": error.message}))
        else:
            _LOG.warning("watch of %s: %s", self._source.name, error)

    def _list(self) -> str:
        found: dict[tuple[str, str], Document] = {}
        token, version = "", ""
        path = self._source.kind.path(self._source.namespace)
        while True:
            query = {"limit": str(PAGE), "labelSelector": self._source.selector, "continue": token}
            response = self._open(path, query, _METADATA_LIST)
            self._response = response
            with _reading():
                page = json.loads(response.read())
            response.release_conn()
            for item in page.get("items") or ():
                found[identity_of(item)] = item
            version = page["metadata"]["resourceVersion"]
            token = page["metadata"].get("continue") or ""
            if not token:
                break
        self._alive()
        for identity, item in found.items():
            self._put(identity, item)
        for identity in [known for known in self._known if known not in found]:
            self._gone(identity)
        self._send(WatchEvent("Sync", {}))
        return str(version)

    def _follow(self) -> None:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(SECONDS - random.randrange(8)),  # noqa: S311 - not all at once
            "resourceVersion": self._version,
            "labelSelector": self._source.selector,
        }
        path = self._source.kind.path(self._source.namespace)
        response = self._open(path, query, _METADATA)
        self._response = response
        if self._refused:
            self._refused = False
            self._send(WatchEvent("Restored", {}))
        try:
            with _reading():
                for line in _lines(response):
                    if self._stopped.is_set():
                        return
                    self._version = self._take(json.loads(line)) or self._version
            self._alive()  # the server has ended it in order: it was there until then
        finally:
            # Closed, not kept: a watch that was cut has half an answer in its connection.
            response.close()

    def _take(self, event: Document) -> str:
        document: Document = event["object"]
        if event["type"] == "ERROR":
            raise ApiError(int(document.get("code") or 500), str(document.get("message", "watch failed")))
        self._alive()
        if event["type"] == "DELETED":
            self._gone(identity_of(document))
        elif event["type"] != "BOOKMARK":
            self._put(identity_of(document), document)
        return str(document["metadata"].get("resourceVersion") or "")

    def _put(self, identity: tuple[str, str], document: Document) -> None:
        self._known[identity] = document["metadata"]["uid"]
        self._send(WatchEvent("Put", document))

    def _gone(self, identity: tuple[str, str]) -> None:
        uid = self._known.pop(identity, "")
        namespace, name = identity
        self._send(WatchEvent("Gone", {"metadata": {"namespace": namespace, "name": name, "uid": uid}}))

    def _send(self, event: WatchEvent) -> None:
        # The loop may be gone while this thread still reads.
        with contextlib.suppress(RuntimeError):
            self._tell(event)


def identity_of(document: Document) -> tuple[str, str]:
    """Namespace and name."""
    metadata = document["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(None, decode_content=False):
        rest += chunk
        *lines, rest = rest.split(b"\n")
        yield from (line for line in lines if line)


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise ApiError(0, f"the answer broke off: {words(error)}") from error


def words(error: BaseException) -> str:
    """An error without addresses of objects in memory."""
    reason = getattr(error, "reason", None) or error
    return f"{type(reason).__name__}"
