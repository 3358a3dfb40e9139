"""A receiver of webhooks in a thread of the test's, which can be down, slow, or say no."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

GARBAGE, HALF, HUGE, HANG = "garbage", "half", "huge", "hang"


class Receiver:
    """Takes events at `port` while `status` is 204; answers as `status` and `headers` say, or misbehaves.

    `tls`: certificate and key.
    """

    def __init__(self, port: int = 0, tls: tuple[Path, Path] | None = None) -> None:
        self.status = 204
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.fault = ""
        """One of those above; empty: none."""
        self.requests = 0
        self.seen: list[tuple[dict[str, str], bytes]] = []
        """Header fields and body of the latest requests."""
        self.events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen = [*receiver.seen[-9:], (dict(self.headers), body)]
                time.sleep(receiver.delay)
                if receiver.fault:
                    receiver.requests += 1
                    with contextlib.suppress(OSError):
                        receiver.misbehave(self)
                    self.close_connection = True
                    return
                status = receiver.took(json.loads(body))
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    for name, value in {"Content-Length": "0", **receiver.headers}.items():
                        self.send_header(name, value)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def misbehave(self, handler: BaseHTTPRequestHandler) -> None:
        if self.fault == GARBAGE:
            handler.wfile.write(b"\x00\x01 nobody speaks this\r\n\r\n")
        elif self.fault == HALF:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        elif self.fault == HUGE:
            handler.wfile.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                handler.wfile.write(b"x" * 65536)
        else:
            self._over.wait(60.0)

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
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10.0)

    def ids(self, kind: str) -> Counter[str]:
        """How often each message's event of a type came, by message id."""
        with self._lock:
            return Counter(
                event["data"]["messageId"] for event in self.events if event["type"].endswith(f".{kind}")
            )
