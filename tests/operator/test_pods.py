from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.exposition import generate_latest

from tubepost_dispatcher.metrics import Metrics
from tubepost_operator import pods as module
from tubepost_operator.observed import Document, PodReport
from tubepost_operator.pods import HttpPodAsker, read_pod

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def pod(ip: str | None = "10.0.0.1", **status: Any) -> Document:
    return {
        "metadata": {"name": "a", "uid": "u"},
        "spec": {"containers": [{"name": "dispatcher", "ports": [{"name": "http", "containerPort": 9090}]}]},
        "status": {"podIP": ip, **status},
    }


def waiting(reason: str, message: str) -> Document:
    return {
        "containerStatuses": [{"image": "x:1", "state": {"waiting": {"reason": reason, "message": message}}}]
    }


READY = [{"type": "Ready", "status": "True"}]


def test_a_pod_that_serves() -> None:
    found = read_pod(pod(conditions=READY))
    assert (found.ready, found.trouble, found.url) == (True, "", "http://10.0.0.1:9090/metrics")
    assert read_pod(pod("2001:db8::1", conditions=READY)).url == "http://[2001:db8::1]:9090/metrics"


def test_a_sidecar_has_a_port_of_its_own() -> None:
    document = pod(conditions=READY)
    document["spec"] = {
        "initContainers": [{"name": "t", "ports": [{"name": "tubepost-http", "containerPort": 2590}]}],
        "containers": [{"name": "app", "ports": [{"name": "web", "containerPort": 80}]}],
    }
    assert read_pod(document).url == "http://10.0.0.1:2590/metrics"


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (
            {"containerStatuses": [{"image": "x:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "ErrImagePull x:1",
        ),
        (
            waiting("ErrImagePull", "failed to pull x:1: not found"),
            "ErrImagePull: failed to pull x:1: not found",
        ),
        (
            waiting(
                "ImagePullBackOff",
                'Back-off pulling image "x:1": ErrImagePull: failed to pull x:1: not found',
            ),
            "ErrImagePull: failed to pull x:1: not found",
        ),
        (
            waiting("InvalidImageName", "invalid reference format"),
            "InvalidImageName x:1: invalid reference format",
        ),
        (
            waiting("CreateContainerConfigError", 'configmap "a" not found'),
            'CreateContainerConfigError: configmap "a" not found',
        ),
        (
            {
                "containerStatuses": [
                    {
                        "restartCount": 4,
                        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                        "lastState": {
                            "terminated": {
                                "exitCode": 1,
                                "reason": "Error",
                                "message": "starting\n\nlistening\nno such file: /x\n",
                            }
                        },
                    }
                ]
            },
            "CrashLoopBackOff, exit code 1: starting listening no such file: /x (restarted 4 times)",
        ),
        (
            {
                "containerStatuses": [
                    {
                        "state": {"running": {}},
                        "restartCount": 1,
                        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                    }
                ]
            },
            "exit code 137 (OOMKilled)",
        ),
        (
            {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
            "Evicted: The node was low on resource: memory.",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"initContainerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}, "exit code 3"),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 0}}}]}, ""),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "no node",
                    }
                ]
            },
            "Unschedulable: no node",
        ),
        ({}, ""),
    ],
)
def test_why_a_pod_does_not_run(status: Document, trouble: str) -> None:
    found = read_pod(pod(None, **status))
    assert (found.ready, found.trouble, found.url) == (False, trouble, None)


def test_last_words_are_bounded() -> None:
    ended = {"exitCode": 1, "message": "word " * 5000}
    found = read_pod(pod(None, containerStatuses=[{"state": {"terminated": ended}}]))
    assert len(found.trouble) <= 600


def test_a_pod_of_which_nothing_is_known() -> None:
    document = pod()
    del document["status"]
    assert read_pod(document).url is None


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Answer], Awaitable[str]]]:
    runners = []

    async def start(answer: Answer) -> str:
        application = web.Application()
        application.router.add_get("/metrics", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_a_pod_is_asked(serve: Callable[[Answer], Awaitable[str]]) -> None:
    metrics = Metrics()
    metrics.config_info.labels("abc").set(1)

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(metrics.registry))

    url = await serve(answer)
    asker = HttpPodAsker()
    assert (await asker.ask(url)).digest == "abc"
    await asker.close()


async def test_a_pod_that_does_not_answer_is_no_error(
    serve: Callable[[Answer], Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.2)
    monkeypatch.setattr(module, "MOST_BYTES", 1000)

    async def error(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async def silence(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    async def nonsense(_: web.Request) -> web.StreamResponse:
        return web.Response(text="tubepost_smtp_sessions{ what\n")

    async def flood(_: web.Request) -> web.StreamResponse:
        return web.Response(text="x" * 10_000)

    asker = HttpPodAsker()
    for answer in (error, silence, nonsense, flood):
        assert await asker.ask(await serve(answer)) == PodReport()
    assert await asker.ask("http://127.0.0.1:1/metrics") == PodReport()
    await asker.close()


@pytest.mark.parametrize(
    ("status", "began", "ended"),
    [
        ({}, False, False),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, False, False),
        ({"containerStatuses": [{"state": {"running": {}}}]}, True, False),
        (
            {"containerStatuses": [{"state": {"waiting": {}}, "lastState": {"terminated": {}}}]},
            True,
            False,
        ),
        ({"containerStatuses": [{"state": {"waiting": {}}, "restartCount": 2}]}, True, False),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 1}}}], "phase": "Failed"}, True, True),
        ({"phase": "Failed", "reason": "Evicted"}, False, True),
    ],
)
def test_whether_there_may_be_something_in_its_volumes(status: Document, began: bool, ended: bool) -> None:
    found = read_pod(pod(None, **status))
    assert (found.began, found.ended) == (began, ended)
