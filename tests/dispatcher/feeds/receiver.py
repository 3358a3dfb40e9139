"""A small OTLP receiver: takes requests to `/v1/traces` and keeps their spans."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What it has got; `statuses` are answered first, then 200."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: list[int] = []
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self, name: str = "") -> list[dict[str, Any]]:
        """Spans of all requests that were taken, with their attributes as a dict."""
        found = []
        for body in list(self.requests):
            for resource in body["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    found += [self._read(span) for span in scope["spans"]]
        return [span for span in found if name in ("", span["name"])]

    @staticmethod
    def _read(span: dict[str, Any]) -> dict[str, Any]:
        assert len(bytes.fromhex(span["traceId"])) == 16
        assert len(bytes.fromhex(span["spanId"])) == 8
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        values = {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}
        return {**span, "attributes": values}


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.paths.append(self.path)
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            if status == 200:
                assert self.headers["Content-Type"] == "application/json"
                receiver.requests.append(json.loads(body))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
