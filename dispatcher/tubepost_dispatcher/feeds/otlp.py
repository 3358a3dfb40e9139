"""Hands spans to an OTLP receiver over HTTP, as JSON, in a thread: the event loop waits for nothing."""

from __future__ import annotations

import http.client
import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import orjson

from tubepost_dispatcher.feeds.spans import Span, Value, request

_LOG: Final = logging.getLogger("tubepost.tracing")

MOST_WAITING: Final = 10_000
"""Spans that wait for the receiver; more are dropped and counted."""
TOGETHER: Final = 500
"""Spans of one request."""
LINGER: Final = 1.0
"""Seconds that spans wait to be sent together."""
TIMEOUT: Final = 10.0
"""Seconds for one request."""
ATTEMPTS: Final = 3
"""How often a request is sent whose receiver cannot take it now."""
_NOT_NOW: Final = frozenset({429, 502, 503, 504})


class OtlpExporter:
    """Sends spans until it is closed. `add` is called on the event loop, everything else happens in a thread.

    Args:
        endpoint: base address of the receiver.
        resource: attributes of whoever sends.
        counted: called in the thread with `sent` or `lost`, and a number of spans.
        pause: seconds before the second attempt; doubled before the third.
    """

    def __init__(
        self,
        endpoint: str,
        resource: Mapping[str, Value],
        counted: Callable[[str, int], None],
        *,
        pause: float = 1.0,
    ) -> None:
        self._address = urlsplit(endpoint)
        self._resource = dict(resource)
        self._counted = counted
        self._pause = pause
        self._waiting: queue.SimpleQueue[Span | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Have a span sent; never waits."""
        if self._waiting.qsize() >= MOST_WAITING:
            self._counted("lost", 1)
        else:
            self._waiting.put(span)

    def close(self) -> None:
        """Send what waits, each request once at most, and end; see `join`."""
        self._closed.set()
        self._waiting.put(None)

    def join(self, patience: float) -> None:
        """Wait until everything was sent or given up, at most `patience` seconds. Blocks."""
        self._thread.join(patience)

    # -- in the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        ended = False
        while not ended:
            first = self._waiting.get()
            spans = [] if first is None else [first]
            ended = first is None
            until = time.monotonic() + LINGER
            while not ended and len(spans) < TOGETHER:
                try:
                    one = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                if one is None:
                    ended = True
                else:
                    spans.append(one)
            if spans:
                sent = self._send(orjson.dumps(request(spans, self._resource)))
                self._counted("sent" if sent else "lost", len(spans))

    def _send(self, body: bytes) -> bool:
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt and self._closed.wait(self._pause * 2 ** (attempt - 1)):
                break
            try:
                status = self._post(body)
            except (OSError, http.client.HTTPException) as error:
                problem = str(error) or type(error).__name__
                continue
            if 200 <= status < 300:
                return True
            problem = f"it answered {status}"
            if status not in _NOT_NOW:
                break
        _LOG.warning("traces: the receiver at %s has not taken spans: %s", self._address.netloc, problem)
        return False

    def _post(self, body: bytes) -> int:
        address = self._address
        assert address.hostname is not None
        connection = (
            http.client.HTTPSConnection(
                address.hostname, address.port, timeout=TIMEOUT, context=ssl.create_default_context()
            )
            if address.scheme == "https"
            else http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT)
        )
        try:
            path = f"{address.path.rstrip('/')}/v1/traces"
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        finally:
            connection.close()
