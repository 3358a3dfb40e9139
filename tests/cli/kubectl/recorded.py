"""A cluster made of recorded objects; its pods are HTTP servers on loopback with recorded answers."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed, Document, NotAllowed, NotFound

DATA = Path(__file__).parent / "data"
Answer = Callable[[str, bytes], tuple[int, str]]
"""Path with query, and body -> status and text."""


def recorded(name: str) -> list[Document]:
    """Objects of `data/NAME.yaml`, as an API server gave them."""
    return list(yaml.safe_load_all((DATA / f"{name}.yaml").read_text()))


class Recorded(Cluster):
    """Objects by kind; `answers` are those of the pods, by pod."""

    def __init__(self, objects: Mapping[str, Sequence[Document]]) -> None:
        self.kinds = {kind: copy.deepcopy(list(documents)) for kind, documents in objects.items()}
        self.answers: dict[str, Answer] = {}
        self.lines: dict[str, list[str]] = {}
        self.forbidden: set[str] = set()
        self.patched = 0
        self.elsewhere: list[Document] = []
        """PushDomains of other namespaces."""

    def objects(self, kind: str, *, selector: str = "", everywhere: bool = False) -> list[Document]:
        if kind in self.forbidden or (everywhere and "everywhere" in self.forbidden):
            raise NotAllowed(f"not allowed: {kind}")
        if everywhere:
            return copy.deepcopy([*self.kinds.get(kind, []), *self.elsewhere])
        found = self.kinds.get(kind, [])
        name, _, value = selector.partition("=")
        return [
            copy.deepcopy(one)
            for one in found
            if not selector
            or (name in (labels := one["metadata"].get("labels", {})) and value in ("", labels[name]))
        ]

    def object(self, kind: str, name: str) -> Document:
        for one in self.objects(kind):
            if one["metadata"]["name"] == name:
                return one
        raise NotFound(f"{kind} {name} not found")

    def patch(self, kind: str, name: str, operations: Sequence[Mapping[str, Any]]) -> None:
        if f"patch {kind}" in self.forbidden:
            raise NotAllowed(f"not allowed: patch {kind}")
        (index,) = [at for at, one in enumerate(self.kinds[kind]) if one["metadata"]["name"] == name]
        document = copy.deepcopy(self.kinds[kind][index])
        for one in operations:
            _apply(document, one)
        self.patched += 1
        document["metadata"]["resourceVersion"] = f"patched-{self.patched}"
        self.kinds[kind][index] = document

    def logs(
        self, pod: str, container: str, *, follow: bool = False, options: Sequence[str] = ()
    ) -> Iterator[str]:
        if "--previous" in options:
            raise ClusterFailed("no container before")
        if "pods/log" in self.forbidden:
            raise NotAllowed("not allowed: pods/log")
        yield from self.lines.get(pod, [])

    @contextlib.contextmanager
    def forward(self, pod: str, ports: Sequence[int]) -> Iterator[Mapping[int, int]]:
        if "pods/portforward" in self.forbidden:
            raise NotAllowed("not allowed: pods/portforward")
        with serving(self.answers[pod]) as port:
            yield dict.fromkeys(ports, port)

    def versions(self) -> Document:
        return {"serverVersion": {"gitVersion": "v1.36.3"}}


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[int]:
    """An HTTP server on loopback; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, text = answer(self.path, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answers(paths: Mapping[str, object]) -> Answer:
    """Answers by path; texts as they are, the rest as JSON."""

    def answer(path: str, _body: bytes) -> tuple[int, str]:
        found = paths.get(urlsplit(path).path)
        if found is None:
            return 404, "no such path"
        return 200, found if isinstance(found, str) else json.dumps(found)

    return answer


def frame(**fields: Any) -> Document:
    """An answer of the queue's API in one step."""
    return {"asOf": "2026-11-30T12:00:00Z", "start": "1-0-", "next": None, "problems": [], **fields}


def _apply(document: Document, operation: Mapping[str, Any]) -> None:
    """One operation of a JSON patch (RFC 6902), on objects and lists."""
    *parents, last = [word.replace("~1", "/").replace("~0", "~") for word in operation["path"].split("/")[1:]]
    at: Any = document
    for word in parents:
        at = at[int(word) if isinstance(at, list) else word]
    match operation["op"]:
        case "test":
            assert at[last] == operation["value"]
        case "remove":
            del at[last]
        case "replace":
            assert last in at
            at[last] = operation["value"]
        case "add":
            at[last] = operation["value"]
        case other:
            raise AssertionError(other)
