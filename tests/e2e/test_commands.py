"""The commands, as a user types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import ClassVar

import pytest

from tests.e2e.app import REPOSITORY, TUBEPOST, Command, Dispatcher, children, get, tubepost, wait_until
from tests.e2e.conftest import Stack

pytestmark = pytest.mark.xdist_group("e2e")

TOKEN = "ab" * 32


def _send(stack: Stack, *arguments: str, domain: str = "apn_example.com") -> tuple[int, dict[str, object]]:
    done = tubepost(
        "send", "--port", str(stack.dispatcher.port), "--domain", domain, "-o", "json", *arguments
    )
    return done.returncode, json.loads(done.stdout)


def test_the_demo_ends_by_itself_and_shows_the_whole_way() -> None:
    done = tubepost("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    for said in (
        "123acb90ffa0978cbade354ddffee76665a",
        "250 2.0.0 Delivered apns-id=",
        '"alert": "You have mail"',
        "@D@",
        'tubepost_attempts_total{outcome="delivered",reason="",route="apns"} 0 -> 1',
    ):
        assert said in done.stdout


class Demo(Command):
    patterns: ClassVar = {
        "inbox": r"(http://127\.0\.0\.1:\d+/)\n",
        "end": r"(Ctrl-C)",
        "port": r"send --port (\d+)",
    }


def test_the_demo_goes_on_where_it_is_told_to_and_shows_its_inbox() -> None:
    with Demo("demo", "--keep") as demo:
        assert b"<title>Inbox" in get(demo.found["inbox"])
        how = ("--port", demo.found["port"], "--domain", "apn_example.com")
        assert tubepost("send", *how, "--token", TOKEN, "--alert", "Another").returncode == 0
        records = json.loads(get(demo.found["inbox"] + "api/v1/notifications"))["notifications"]
        assert [record["payload"]["aps"]["alert"] for record in records] == ["You have mail", "Another"]
        assert demo.stop() == 0


@pytest.mark.parametrize(
    ("domain", "auth"), [("apn_example.com", "certificate"), ("token.example.com", "token")]
)
def test_one_dispatcher_serves_domains_with_different_credentials(
    stack: Stack, domain: str, auth: str
) -> None:
    alert = str(uuid.uuid4())
    code, result = _send(stack, "--token", TOKEN, "--alert", alert, domain=domain)
    assert (code, result["outcome"]) == (0, "delivered")
    (got,) = [n for n in stack.simulator.notifications() if alert in json.dumps(n["payload"])]
    assert got["auth"] == auth
    assert got["topic"] == "com.example.app"


def test_a_pattern_with_an_override(stack: Stack) -> None:
    code, result = _send(stack, "--token", TOKEN, "--alert", "x", domain="any.beta.example.com")
    assert code == 0
    assert "Blackhole" in str(result["reply"])
    code, result = _send(stack, "--token", TOKEN, "--alert", "x", domain="any.gamma.example.com")
    assert (code, result["code"]) == (1, 550)


def test_send_tells_the_three_outcomes_apart(stack: Stack) -> None:
    assert _send(stack, "--token", TOKEN, "--title", "T", "--alert", "B", "--badge", "1")[0] == 0
    code, result = _send(stack, "--token", "xyz", "--alert", "x")
    assert (code, result["outcome"]) == (1, "permanent")
    done = tubepost("send", "--port", "1", "--domain", "apn_example.com", "--token", TOKEN, "--alert", "x")
    assert done.returncode == 75
    assert "Is `tubepost run` serving there?" in done.stdout
    done = tubepost("send", "--domain", "apn_example.com")
    assert done.returncode == 2
    assert "--alert" in done.stderr


def test_log_files_have_a_line_for_each_in_both_formats(stack: Stack) -> None:
    alert = str(uuid.uuid4())
    _send(stack, "--token", TOKEN, "--alert", alert, "--from", "li@nes.example")
    line = wait_until(
        lambda: next(
            (
                text
                for text in (stack.directory / "lines.log").read_text().splitlines()
                if "li@nes.example" in text
            ),
            None,
        )
    )
    fields = line.split('@"li@nes.example"@')
    assert fields[0].split("@")[1] == "D"
    document = wait_until(
        lambda: next(
            (
                found
                for found in map(json.loads, (stack.directory / "json.log").read_text().splitlines())
                if "li@nes.example" in found.values()
            ),
            None,
        )
    )
    assert TOKEN not in json.dumps(document)


def test_endpoints(stack: Stack) -> None:
    http = f"http://127.0.0.1:{stack.dispatcher.found['http']}"
    assert get(f"{http}/livez").startswith(b"ok")
    assert get(f"{http}/readyz").startswith(b"ok")
    status = stack.dispatcher.status()
    assert status["pushDomain"] == "alerts"
    assert status["ready"] is True
    assert stack.dispatcher.metrics()["tubepost_config_generation"] >= 1


def test_validate_speaks_text_and_json(stack: Stack, tmp_path: Path) -> None:
    done = tubepost("validate", "-f", str(stack.manifests), "-f", str(stack.directory / "secrets.yaml"))
    assert done.returncode == 0, done.stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        stack.manifests.read_text().replace("routes: [by-certificate]", "routes: [by-certifikate]")
    )
    done = tubepost("validate", "-f", str(broken), "-o", "json")
    assert done.returncode == 2
    problems = json.loads(done.stdout)["problems"]
    assert any("by-certifikate" in problem["message"] and problem["remedy"] for problem in problems)


def test_validate_finds_a_key_that_does_not_match(stack: Stack, tmp_path: Path, credentials: Path) -> None:
    other = tmp_path / "other"
    tubepost("credentials", "make", "-o", str(other))
    text = (credentials / "secrets.yaml").read_text()
    pick = lambda body: body.split("tls.key: ")[1].split("\n")[0]  # noqa: E731 - two lines, one use
    mixed = tmp_path / "secrets.yaml"
    mixed.write_text(text.replace(pick(text), pick((other / "secrets.yaml").read_text())))
    done = tubepost("validate", "-f", str(stack.manifests), "-f", str(mixed))
    assert done.returncode == 2
    assert "ApnRoute default/by-certificate" in done.stderr
    assert "does not belong" in done.stderr
    assert "PRIVATE" not in done.stderr


def test_credentials_inspect(credentials: Path) -> None:
    done = tubepost(
        "credentials",
        "inspect",
        str(credentials / "client.crt"),
        "--key",
        str(credentials / "client.key"),
        "-o",
        "json",
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["topics"] == ["com.example.app"]
    assert found["environments"] == ["Production", "Sandbox"]
    done = tubepost(
        "credentials", "inspect", str(credentials / "client.crt"), "--key", str(credentials / "server.key")
    )
    assert done.returncode == 1
    assert "does not belong" in done.stdout
    assert tubepost("credentials", "inspect", str(credentials / "secrets.yaml")).returncode in (0, 1)


@pytest.mark.parametrize("command", ["run", "send", "validate", "simulator", "credentials", "demo"])
def test_help_teaches(command: str) -> None:
    done = tubepost(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 8 or command == "demo"


def test_run_refuses_to_start_with_an_explanation(tmp_path: Path) -> None:
    done = tubepost("run", "-f", str(REPOSITORY / "examples/seed"), "--port", "0")
    assert done.returncode == 2
    assert "apns-certificate" in done.stderr
    assert "Remedy" in done.stderr


@pytest.mark.parametrize(("how", "workers"), [(("--workers", "2"), 2), (("--in-process",), 0)])
def test_sigterm_drains_and_ends_with_status_0(how: tuple[str, ...], workers: int) -> None:
    with Dispatcher([REPOSITORY / "examples/seed"], "--simulator", *how) as dispatcher:
        assert len(_workers(dispatcher.pid)) == workers
        done = tubepost(
            "send",
            "--port",
            str(dispatcher.port),
            "--domain",
            "apn_example.com",
            "--token",
            TOKEN,
            "--alert",
            "x",
        )
        assert done.returncode == 0, done.stdout
        assert dispatcher.stop(signal.SIGTERM) == 0


def _workers(pid: int) -> list[int]:
    return children(pid, "tubepost-worker")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_sigterm_while_it_starts_ends_it_in_order(tmp_path: Path) -> None:
    command = [TUBEPOST, "run", "-f", str(REPOSITORY / "examples/seed"), "--simulator", "--workers", "2"]
    ports = ["--port", "0", "--http-port", "0", "--admin-port", "0"]
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen([*command, *ports], stdout=output, stderr=output)
        try:
            workers = wait_until(lambda: _workers(process.pid))
            process.send_signal(signal.SIGTERM)
            code = process.wait(40)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    said = (tmp_path / "output").read_text()
    assert code == 0, said
    assert "is served" not in said
    assert "Traceback" not in said
    assert not any(_alive(pid) for pid in workers)


def test_workers_of_a_supervisor_that_was_killed_end_by_themselves() -> None:
    with Dispatcher([REPOSITORY / "examples/seed"], "--simulator", "--workers", "2") as dispatcher:
        assert len(_workers(dispatcher.pid)) == 2
        below = children(dispatcher.pid)
        assert len(below) == 3  # and the zygote
        dispatcher.stop(signal.SIGKILL)
        wait_until(lambda: not any(_alive(pid) for pid in below))


def test_without_its_zygote_a_dispatcher_goes_on() -> None:
    send = ("send", "--domain", "apn_example.com", "--token", TOKEN, "--alert", "x")
    with Dispatcher([REPOSITORY / "examples/seed"], "--simulator", "--workers", "1") as dispatcher:
        (zygote,) = children(dispatcher.pid, "tubepost-zygote")
        (first,) = _workers(dispatcher.pid)
        os.kill(zygote, signal.SIGKILL)
        wait_until(lambda: not _alive(zygote))
        assert _alive(first)
        assert tubepost(*send, "--port", str(dispatcher.port)).returncode == 0
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: dispatcher.status()["ready"] and dispatcher.status()["workers"][0]["pid"] != first)
        assert "workers are started as programs from now on" in dispatcher.output()
        assert tubepost(*send, "--port", str(dispatcher.port)).returncode == 0
        assert dispatcher.stop(signal.SIGTERM) == 0


def test_secrets_are_neither_in_arguments_nor_in_the_log(stack: Stack, credentials: Path) -> None:
    pids = [stack.dispatcher.pid, *children(stack.dispatcher.pid)]
    arguments = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids).decode()
    said = stack.dispatcher.output() + arguments + json.dumps(stack.dispatcher.status())
    for name in ("client.key", "token.p8", "server.key"):
        for line in (credentials / name).read_text().splitlines()[1:-1]:
            assert line not in said
