from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest

from tests.operator.server import Handler, Request, Script
from tubepost_operator import cluster as edge
from tubepost_operator.api import ApiError, NoCluster
from tubepost_operator.cluster import Cluster
from tubepost_operator.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, POD, PUSH_DOMAIN
from tubepost_operator.lease import Guard, NotLeader
from tubepost_operator.liveness import Liveness
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.observed import Document

MANIFEST: Document = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a", "namespace": "default"},
    "data": {"k": "v"},
}


class Edge:
    """A cluster's edge before a scripted server."""

    def __init__(self, directory: Path) -> None:
        self.script = Script(lambda _, handler: handler.answer(200, {}))
        self.script.__enter__()
        self.guard = Guard(time.monotonic)
        self.guard.hold(float("inf"))
        self.metrics = OperatorMetrics()
        self.cluster = Cluster(
            self.script.kubeconfig(directory), self.guard, Liveness(time.monotonic), self.metrics
        )

    def answers(self, *answers: tuple[int, Document]) -> None:
        """One after the other, the last one again and again."""
        left = list(answers)

        def respond(_: Request, handler: Handler) -> None:
            status, document = left.pop(0) if len(left) > 1 else left[0]
            headers = {"Retry_After": str(document["wait"])} if "wait" in document else {}
            handler.answer(status, document, **headers)

        self.script.respond = respond

    def close(self) -> None:
        self.cluster.close()
        self.script.__exit__()


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    monkeypatch.setattr(edge, "FIRST_PAUSE", 0.01)
    found = Edge(tmp_path)
    yield found
    found.close()


async def test_get_and_what_is_not_there(api: Edge) -> None:
    api.answers((200, {"kind": "X"}), (404, {"message": "not found"}))
    assert await api.cluster.get(PUSH_DOMAIN, "default", "a") == {"kind": "X"}
    assert await api.cluster.get(PUSH_DOMAIN, "default", "a") is None
    request = api.script.requests[0]
    assert request.path == "/apis/tubepost.io/v1alpha1/namespaces/default/pushdomains/a"
    assert request.headers["authorization"] == "Bearer t0ken"


async def test_proxies_of_the_environment_are_not_for_the_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens there, and no NO_PROXY says that it is not for the cluster.
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    found = Edge(tmp_path)
    try:
        assert await found.cluster.get(PUSH_DOMAIN, "default", "a") == {}
    finally:
        found.close()


async def test_lists_come_in_pages(api: Edge) -> None:
    def respond(request: Request, handler: Handler) -> None:
        token = request.query.get("continue", "")
        page = {"items": [{"metadata": {"name": token or "first"}}], "metadata": {}}
        if not token:
            page["metadata"] = {"continue": "second"}
        handler.answer(200, page)

    api.script.respond = respond
    items = await api.cluster.list(POD, None, "a=b")
    assert [item["metadata"]["name"] for item in items] == ["first", "second"]
    assert items[0]["kind"] == "Pod"
    assert api.script.requests[0].path == "/api/v1/pods"
    assert api.script.requests[0].query["labelSelector"] == "a=b"


async def test_apply_is_server_side_with_our_field_manager(api: Edge) -> None:
    await api.cluster.apply(CONFIG_MAP, MANIFEST)
    await api.cluster.apply(CONFIG_MAP, MANIFEST, force=False)
    first, second = api.script.requests
    assert first.method == "PATCH"
    assert first.headers["content-type"] == "application/apply-patch+yaml"
    assert first.query == {"fieldManager": "tubepost-operator", "force": "true"}
    assert second.query["force"] == "false"
    assert first.body == MANIFEST


async def test_fields_of_others_are_removed_from_the_object_that_was_read(api: Edge) -> None:
    document = {"metadata": {"name": "a", "namespace": "default", "resourceVersion": "7"}}
    await api.cluster.remove_fields(CONFIG_MAP, document, ["/data/b", "/data/a"])
    (request,) = api.script.requests
    assert request.headers["content-type"] == "application/json-patch+json"
    assert request.body == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/data/b"},
        {"op": "remove", "path": "/data/a"},
    ]


async def test_status_is_merged_by_its_subresource(api: Edge) -> None:
    await api.cluster.merge(PUSH_DOMAIN, "default", "a", {"status": {}}, "status")
    (request,) = api.script.requests
    assert request.path.endswith("/pushdomains/a/status")
    assert request.headers["content-type"] == "application/merge-patch+json"
    api.answers((404, {}))
    assert await api.cluster.merge(PUSH_DOMAIN, "default", "a", {"status": {}}, "status") is None


async def test_delete_names_the_object_by_its_uid(api: Edge) -> None:
    await api.cluster.delete(DEPLOYMENT, "default", "a", "uid-1")
    (request,) = api.script.requests
    assert request.body["preconditions"] == {"uid": "uid-1"}
    for status in (404, 409):
        api.answers((status, {}))
        await api.cluster.delete(DEPLOYMENT, "default", "a", "uid-1")


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_passing_failures_are_tried_again(api: Edge, status: int) -> None:
    api.answers((status, {"message": "busy"}), (status, {"message": "busy"}), (200, {"ok": True}))
    assert await api.cluster.apply(CONFIG_MAP, MANIFEST) == {"ok": True}
    assert len(api.script.requests) == 3


async def test_they_are_not_tried_for_ever(api: Edge) -> None:
    api.answers((503, {"message": "busy"}))
    with pytest.raises(ApiError) as caught:
        await api.cluster.get(POD, "default", "a")
    assert caught.value.kind == "server"
    assert caught.value.message == "busy"
    assert len(api.script.requests) == edge.ATTEMPTS


async def test_a_server_that_asks_for_patience_gets_it_by_the_object_s_back_off(api: Edge) -> None:
    api.answers((429, {"message": "slow down", "wait": 60}))
    with pytest.raises(ApiError) as caught:
        await api.cluster.get(POD, "default", "a")
    assert caught.value.retry_after == 60
    assert len(api.script.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "rejection"),
    [(409, "conflict", False), (422, "request", True), (403, "forbidden", True), (404, "request", False)],
)
async def test_other_answers_are_not_tried_again(api: Edge, status: int, kind: str, rejection: bool) -> None:
    api.answers((status, {"message": "no"}))
    with pytest.raises(ApiError) as caught:
        await api.cluster.apply(CONFIG_MAP, MANIFEST)
    assert (caught.value.kind, caught.value.rejection) == (kind, rejection)
    assert len(api.script.requests) == 1


async def test_a_creation_is_not_repeated_blindly(api: Edge) -> None:
    api.answers((500, {"message": "oh"}))
    with pytest.raises(ApiError):
        await api.cluster.create(EVENT, "default", {"metadata": {"name": "a"}})
    assert len(api.script.requests) == 1


async def test_no_server_is_a_connection_error(api: Edge) -> None:
    api.script.__exit__()
    with pytest.raises(ApiError) as caught:
        await api.cluster.get(POD, "default", "a")
    assert caught.value.kind == "connection"
    api.script.__enter__()


async def test_without_the_lease_no_write_is_sent(api: Edge) -> None:
    api.guard.drop()
    for write in (
        api.cluster.apply(CONFIG_MAP, MANIFEST),
        api.cluster.merge(PUSH_DOMAIN, "default", "a", {}),
        api.cluster.delete(CONFIG_MAP, "default", "a", "u"),
        api.cluster.create(EVENT, "default", MANIFEST),
    ):
        with pytest.raises(NotLeader):
            await write
    assert api.script.requests == [], "the body is what makes it a request"
    await api.cluster.get(POD, "default", "a")


async def test_the_lease_is_checked_before_every_attempt(api: Edge) -> None:
    def respond(_: Request, handler: Handler) -> None:
        api.guard.drop()
        handler.answer(503, {"message": "busy"})

    api.script.respond = respond
    with pytest.raises(NotLeader):
        await api.cluster.apply(CONFIG_MAP, MANIFEST)
    assert len(api.script.requests) == 1


async def test_the_lease_itself_is_written_without_one(api: Edge) -> None:
    api.guard.drop()
    lease = {"metadata": {"name": "l", "namespace": "n"}}
    await api.cluster.write_lease(lease, create=True)
    await api.cluster.write_lease(lease, create=False)
    assert [request.method for request in api.script.requests] == ["POST", "PUT"]
    api.answers((404, {}))
    assert await api.cluster.read_lease("n", "l") is None


async def test_a_lease_does_not_wait_behind_requests_that_hang(api: Edge) -> None:
    import asyncio

    release = threading.Event()

    def respond(request: Request, handler: Handler) -> None:
        if "leases" not in request.path:
            release.wait(20)
        handler.answer(200, {})

    api.script.respond = respond
    hanging = [asyncio.create_task(api.cluster.get(POD, "default", str(n))) for n in range(edge.THREADS + 2)]
    async with asyncio.timeout(5):
        assert await api.cluster.read_lease("n", "l") == {}
    release.set()
    await asyncio.gather(*hanging)


async def test_requests_are_counted(api: Edge) -> None:
    api.answers((503, {}), (200, {}))
    await api.cluster.get(POD, "default", "a")
    text = generate_latest(api.metrics.registry).decode()
    assert 'tubepost_operator_api_requests_total{method="GET",status="503"} 1.0' in text
    assert 'tubepost_operator_api_requests_total{method="GET",status="200"} 1.0' in text


async def test_the_causes_of_a_refusal_are_read(api: Edge) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace a is being terminated", "field": "x"}]
    api.answers((403, {"kind": "Status", "message": "forbidden", "details": {"causes": causes}}))
    with pytest.raises(ApiError) as caught:
        await api.cluster.apply(CONFIG_MAP, MANIFEST)
    assert caught.value.namespace_terminating
    api.answers((403, {"kind": "Status", "message": "forbidden", "details": None}))
    with pytest.raises(ApiError) as caught:
        await api.cluster.apply(CONFIG_MAP, MANIFEST)
    assert not caught.value.namespace_terminating


def test_a_kubeconfig_that_cannot_be_used_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    broken = tmp_path / "broken"
    broken.write_text("{")
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    for kubeconfig in (str(broken), str(tmp_path / "missing"), None):
        with pytest.raises(NoCluster, match="Remedy: "):
            edge._configuration(kubeconfig)
