from __future__ import annotations

import asyncio
import getpass
import time
from pathlib import Path
from typing import Any

import pytest

from tests.operator.server import Handler, Request, Script
from tubepost_operator.cluster import Cluster
from tubepost_operator.handlers.watching import watch_objects
from tubepost_operator.kinds import OWN
from tubepost_operator.lease import Guard
from tubepost_operator.liveness import Liveness
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.observed import Document

GROUP = {"groupVersion": "tubepost.io/v1alpha1", "version": "v1alpha1"}


def domain(name: str, version: int) -> Document:
    return {
        "apiVersion": "tubepost.io/v1alpha1",
        "kind": "PushDomain",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {},
    }


def respond(script: Script) -> Any:
    """As much of an API server as kopf needs to begin."""

    def answer(request: Request, handler: Handler) -> None:
        path = request.path
        if path == "/api":
            handler.answer(200, {"versions": ["v1"]})
        elif path == "/apis":
            # Somebody else's is down: the API server answers for it, and has nobody to ask.
            down = {"groupVersion": "down.example.com/v1", "version": "v1"}
            groups = [
                {"name": "down.example.com", "preferredVersion": down, "versions": [down]},
                {"name": "tubepost.io", "preferredVersion": GROUP, "versions": [GROUP]},
            ]
            handler.answer(200, {"groups": groups})
        elif path == "/api/v1":
            handler.answer(
                200, {"resources": [_resource("namespaces", "Namespace"), _resource("events", "Event")]}
            )
        elif path == "/apis/down.example.com/v1":
            handler.answer(503, {"message": "service unavailable"})
        elif path == "/apis/tubepost.io/v1alpha1":
            handler.answer(200, {"resources": [_resource(kind.plural, kind.name) for kind in OWN.values()]})
        elif "watch" in request.query:
            handler.begin()
            if path.endswith("/pushdomains") and request.query["resourceVersion"] == "10":
                handler.line({"type": "ADDED", "object": domain("b", 11)})
                handler.line({"type": "DELETED", "object": domain("a", 12)})
            script.stopping.wait(20)
            handler.end()
        elif path.startswith("/apis/tubepost.io/v1alpha1/"):
            items = [domain("a", 1)] if path.endswith("pushdomains") else []
            handler.answer(200, {"metadata": {"resourceVersion": "10"}, "items": items})
        else:
            handler.answer(404, {"message": "not found"})

    return answer


def _resource(plural: str, kind: str) -> Document:
    return {
        "name": plural,
        "kind": kind,
        "singularName": kind.lower(),
        "namespaced": True,
        "verbs": ["list", "watch", "patch"],
    }


def _nameless() -> str:
    raise KeyError("getpwuid(): uid not found: 1000650000")


async def test_kopf_tells_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a user id that the namespace has filled in.
    monkeypatch.setattr(getpass, "getuser", _nameless)
    told: list[tuple[bool, str]] = []
    begun: list[str] = []
    noted: list[str] = []
    script = Script(lambda *_: None)
    script.respond = respond(script)
    with script:
        metrics = OperatorMetrics()
        cluster = Cluster(
            script.kubeconfig(tmp_path), Guard(time.monotonic), Liveness(time.monotonic), metrics
        )
        task = asyncio.create_task(
            watch_objects(
                cluster.connection_info(),
                None,
                list(OWN.values()),
                lambda gone, document: told.append((gone, document["metadata"]["name"])),
                begun.append,
                noted.append,
                begun.append,
                metrics,
            )
        )
        async with asyncio.timeout(20):
            while len(told) < 3:  # noqa: ASYNC110 - it runs in a thread
                await asyncio.sleep(0.01)
        script.stopping.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        cluster.close()
    assert sorted(told) == [(False, "a"), (False, "b"), (True, "a")]
    assert "pushdomains" in noted
    assert {kind.plural for kind in OWN.values()} <= set(begun)
    assert {request.method for request in script.requests} == {"GET"}
