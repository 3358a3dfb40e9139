from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest
from click.testing import CliRunner

from tests.cli.kubectl.recorded import Recorded
from tests.cli.kubectl.situation import situation
from tubepost_cli.kubectl.send import command
from tubepost_cli.kubectl.targets import PUSH_DOMAINS

TOKEN = "ab" * 32


class Listener(Recorded):
    """Its pods' listener takes one message, and says what it is told to."""

    reply = b"250 2.0.0 Queued as 1a214b66f6e0000005bd18937, 1 notification"

    @contextlib.contextmanager
    def forward(self, pod: str, ports: Sequence[int]) -> Iterator[Mapping[int, int]]:
        self.asked = (pod, *ports)
        self.heard: list[bytes] = []
        outer = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 ready\r\n")
                for line in self.rfile:
                    outer.heard.append(line.strip())
                    if line.upper().startswith(b"DATA"):
                        self.wfile.write(b"354 go on\r\n")
                        while (part := self.rfile.readline()) and part != b".\r\n":
                            outer.heard.append(part.strip())
                        self.wfile.write(outer.reply + b"\r\n")
                    elif line.upper().startswith(b"QUIT"):
                        self.wfile.write(b"221 bye\r\n")
                        return
                    else:
                        self.wfile.write(b"250 ok\r\n")

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield dict.fromkeys(ports, server.server_address[1])
            finally:
                server.shutdown()


@pytest.fixture
def cluster() -> Listener:
    return Listener(situation().kinds)


def test_one_message_through_a_pods_listener(cluster: Listener) -> None:
    done = CliRunner().invoke(
        command, ["alerts", "--token", TOKEN, "--alert", "Hello", "-o", "json"], obj=cluster
    )
    assert done.exit_code == 0, done.output
    assert '"outcome": "queued"' in done.output
    assert cluster.asked[1] == 2525
    domain = cluster.kinds[PUSH_DOMAINS][0]["spec"]["domains"][0]["name"]
    assert f"rcpt TO:<device@{domain}>".encode() in cluster.heard


def test_a_refusal_is_in_the_exit_status(cluster: Listener) -> None:
    cluster.reply = b"550 5.1.1 no"
    done = CliRunner().invoke(command, ["alerts", "--token", TOKEN, "--alert", "x"], obj=cluster)
    assert done.exit_code == 1


def test_the_port_is_the_push_domains_and_the_domain_can_be_named(cluster: Listener) -> None:
    spec = cluster.kinds[PUSH_DOMAINS][0]["spec"]
    spec["listener"]["port"] = 2600
    spec["domains"] = [{"pattern": "x+"}]
    arguments = ["alerts", "--token", TOKEN, "--alert", "x"]
    done = CliRunner().invoke(command, arguments, obj=cluster)
    assert done.exit_code == 2
    assert "name a domain with --domain" in done.output
    done = CliRunner().invoke(command, [*arguments, "--domain", "xx"], obj=cluster)
    assert done.exit_code == 0, done.output
    assert cluster.asked[1] == 2600


def test_without_a_pod_that_runs_it_is_said(cluster: Listener) -> None:
    for pod in cluster.kinds["pods"]:
        pod["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
    done = CliRunner().invoke(command, ["alerts", "--token", TOKEN, "--alert", "x"], obj=cluster)
    assert done.exit_code == 69
    assert "no dispatcher of PushDomain alerts runs" in done.output
