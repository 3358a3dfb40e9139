"""docs/rest.md, word for word, against a running dispatcher; and the listener through a reload and an end."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import httpx
import pytest
import yaml

from tests.e2e.app import REPOSITORY, Dispatcher, Simulator, tubepost, wait_until

pytestmark = pytest.mark.xdist_group("e2e")

TOKEN = "throw-away-token-of-app"
DEVICE = "ab" * 32


class RestDispatcher(Dispatcher):
    patterns: ClassVar = {**Dispatcher.patterns, "rest": r"requests +https?://127\.0\.0\.1:(\d+)"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.found['rest']}"


@dataclass
class Stack:
    directory: Path
    simulator: Simulator
    dispatcher: RestDispatcher

    def write(self, token: str = TOKEN, **rest: Any) -> None:
        write(self.directory, self.simulator.port, token, **rest)


def write(
    directory: Path,
    port: int,
    token: str = TOKEN,
    spec: Mapping[str, Any] = MappingProxyType({}),
    **rest: Any,
) -> None:
    api = "tubepost.io/v1alpha1"
    documents = [
        {
            "apiVersion": api,
            "kind": "PushDomain",
            "metadata": {"name": "alerts"},
            "spec": {
                "domains": [{"name": "apn_example.com"}],
                "routes": ["apns"],
                "workers": 2,
                "rest": {"port": 8080, "tokens": {"secretName": "rest"}, **rest},
                **spec,
            },
        },
        {
            "apiVersion": api,
            "kind": "ApnRoute",
            "metadata": {"name": "apns"},
            "spec": {
                "endpoint": f"https://localhost:{port}",
                "certificate": {"secretName": "apns-certificate"},
                "tls": {"ca": {"secretName": "simulator-ca", "key": "ca.crt"}},
            },
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "rest"}, "stringData": {"app": token}},
    ]
    scratch = directory / ".push.new"
    scratch.write_text(yaml.safe_dump_all(documents))
    scratch.replace(directory / "push.yaml")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("rest")
    assert tubepost("credentials", "make", "-o", str(directory)).returncode == 0
    with Simulator(directory) as simulator:
        write(directory, simulator.port)
        files = [directory / "push.yaml", directory / "secrets.yaml"]
        with RestDispatcher(files, "--rest-port", "0") as dispatcher:
            yield Stack(directory, simulator, dispatcher)


def examples() -> list[str]:
    page = (REPOSITORY / "docs/rest.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def run(stack: Stack, example: str, token: str = TOKEN) -> Any:
    environment = {**os.environ, "URL": stack.dispatcher.url, "TOKEN": token, "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-c", example], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(done.stdout)


def test_the_examples_of_the_page(served: Stack) -> None:
    one, refused, batch, repeated, description = examples()
    answer = run(served, one)
    assert (answer["status"], answer["outcome"]) == (200, "delivered")
    (got,) = [n for n in served.simulator.notifications() if n["apnsId"] == answer["apnsId"]]
    assert got["payload"] == {"aps": {"alert": "You have mail", "badge": 9}}
    assert got["priority"] == 10
    page = (REPOSITORY / "docs/rest.md").read_text()
    shown = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    assert shown[0].keys() == answer.keys()
    problem = run(served, refused)
    assert problem == {**shown[1], "id": problem["id"]}
    results = run(served, batch)["notifications"]
    assert [one["status"] for one in results] == [200, 422]
    first, second = run(served, repeated), run(served, repeated)
    assert first["apnsId"] == second["apnsId"]
    assert len([n for n in served.simulator.notifications() if n["apnsId"] == first["apnsId"]]) <= 2
    assert run(served, description)["openapi"].startswith("3.1")


def test_the_logger_of_outcomes_and_the_metrics_know_it(served: Stack) -> None:
    def total() -> float:
        return sum(
            value
            for name, value in served.dispatcher.metrics().items()
            if name.startswith("tubepost_rest_requests_total")
        )

    before = total()
    run(served, examples()[0])
    wait_until(lambda: total() == before + 1)


def test_a_reload_changes_tokens_and_limits_and_leaves_connections_open(served: Stack) -> None:
    body = {"domain": "apn_example.com", "deviceToken": DEVICE, "payload": {"aps": {"alert": "x"}}}
    with httpx.Client(base_url=served.dispatcher.url, trust_env=False, timeout=30) as client:

        def post(document: Any, token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return client.post("/v1/notifications", json=document, headers=headers).status_code

        assert post(body, TOKEN) == 200
        served.write("another-token-of-the-app", maxBatch=1)
        wait_until(lambda: post(body, "another-token-of-the-app") == 200)
        assert post(body, TOKEN) in {401, 429}
        assert post({"notifications": [body, body]}, "another-token-of-the-app") == 413
        served.write()
        wait_until(lambda: post(body, TOKEN) == 200)


def test_requests_under_way_at_the_end_have_their_answer(tmp_path: Path) -> None:
    assert tubepost("credentials", "make", "-o", str(tmp_path)).returncode == 0
    with Simulator(tmp_path, "--chaos", '{"latencyMs": 1500}') as simulator:
        write(tmp_path, simulator.port)
        files = [tmp_path / "push.yaml", tmp_path / "secrets.yaml"]
        with RestDispatcher(files, "--rest-port", "0") as dispatcher:
            example = examples()[0]
            environment = {**os.environ, "URL": dispatcher.url, "TOKEN": TOKEN, "no_proxy": "*"}
            with subprocess.Popen(["bash", "-c", example], env=environment, stdout=subprocess.PIPE) as curl:
                wait_until(simulator.notifications)
                assert dispatcher.stop() == 0
                assert curl.stdout is not None
                assert json.loads(curl.stdout.read())["outcome"] == "delivered"


def test_what_got_202_is_on_the_disk_and_outlives_the_dispatcher(tmp_path: Path) -> None:
    assert tubepost("credentials", "make", "-o", str(tmp_path)).returncode == 0
    queued = {"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}
    files = [tmp_path / "push.yaml", tmp_path / "secrets.yaml"]
    options = ("--rest-port", "0", "--queue-dir", str(tmp_path / "queue"))
    one = {"domain": "apn_example.com", "deviceToken": DEVICE, "payload": {"aps": {"alert": "x"}}}
    with Simulator(tmp_path) as simulator:
        write(tmp_path, simulator.port, spec={**queued, "delivery": {"mode": "Suspend"}})
        with RestDispatcher(files, *options) as dispatcher:
            answer = httpx.post(
                f"{dispatcher.url}/v1/notifications",
                json={"notifications": [one] * 3},
                headers={"Authorization": f"Bearer {TOKEN}"},
                trust_env=False,
                timeout=30,
            )
            assert answer.status_code == 202, answer.text
            results = answer.json()["notifications"]
            assert [result["outcome"] for result in results] == ["queued"] * 3
            listed = tubepost("queue", "list", "--port", dispatcher.found["admin"], "--json")
            assert {json.loads(line)["id"] for line in listed.stdout.splitlines()} == {
                result["id"] for result in results
            }
            os.kill(dispatcher.pid, 9)
        write(tmp_path, simulator.port, spec=queued)
        with RestDispatcher(files, *options) as dispatcher:
            ids = {result["apnsId"] for result in results}
            wait_until(lambda: {n["apnsId"] for n in simulator.notifications()} == ids)
            traced = tubepost("queue", "trace", "--port", dispatcher.found["admin"], results[0]["id"])
            assert "delivered" in traced.stdout
            assert "user app" in traced.stdout


def test_a_channel_by_request(served: Stack) -> None:
    files = ("-f", str(served.directory / "push.yaml"), "-f", str(served.directory / "secrets.yaml"))
    made = tubepost("channels", "create", "--route", "apns", *files)
    assert made.returncode == 0, made.stderr
    channel = made.stdout.strip()
    answer = httpx.post(
        f"{served.dispatcher.url}/v1/notifications",
        json={"domain": "apn_example.com", "apnsChannelId": channel, "payload": {"aps": {"event": "update"}}},
        headers={"Authorization": f"Bearer {TOKEN}"},
        trust_env=False,
        timeout=30,
    )
    assert answer.json()["outcome"] == "delivered", answer.text
    (got,) = [n for n in served.simulator.notifications() if n["channelId"] == channel]
    assert got["apnsId"] == answer.json()["apnsId"]


def test_the_listener_comes_and_goes_with_the_configuration(tmp_path: Path) -> None:
    assert tubepost("credentials", "make", "-o", str(tmp_path)).returncode == 0
    one = {"domain": "apn_example.com", "deviceToken": DEVICE, "payload": {"aps": {"alert": "x"}}}
    with Simulator(tmp_path) as simulator:
        write(tmp_path, simulator.port, spec={"rest": None})
        files = [tmp_path / "push.yaml", tmp_path / "secrets.yaml"]
        with Dispatcher(files, "--rest-port", "0") as dispatcher:
            assert dispatcher.status()["rest"] is None
            for _ in range(2):
                write(tmp_path, simulator.port)
                listening = wait_until(lambda: dispatcher.status()["rest"])
                url = f"http://127.0.0.1:{listening['port']}/v1/notifications"

                def post(url: str = url) -> int:
                    try:
                        answer = httpx.post(
                            url,
                            json=one,
                            headers={"Authorization": f"Bearer {TOKEN}"},
                            trust_env=False,
                            timeout=10,
                        )
                    except httpx.TransportError:
                        return 0
                    return answer.status_code

                wait_until(lambda: post() == 200)
                write(tmp_path, simulator.port, spec={"rest": None})
                wait_until(lambda: dispatcher.status()["rest"] is None)
                wait_until(lambda: post() == 0)
