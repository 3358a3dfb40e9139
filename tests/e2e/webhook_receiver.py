"""A receiver of webhooks in a thread of the test's, which can be down, slow, or say no."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Receiver:
    """Takes events at `port` while `status` is 204; answers as `status` and `headers` say."""

    def __init__(self, port: int = 0) -> None:
        self.status = 204
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.requests = 0
        self.events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.delay)
                status = receiver.took(json.loads(body))
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    for name, value in {"Content-Length": "0", **receiver.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def took(self, events: list[dict[str, Any]]) -> int:
        with self._lock:
            self.requests += 1
            if self.status == 204:
                self.events += events
            return self.status

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10.0)

    def ids(self, kind: str) -> Counter[str]:
        """How often each message's event of a type came, by message id."""
        with self._lock:
            return Counter(
                event["data"]["messageId"] for event in self.events if event["type"].endswith(f".{kind}")
            )
