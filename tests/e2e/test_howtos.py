"""The pages for senders, word for word but for host, port and authority, against a running dispatcher."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.e2e.app import Dispatcher, get, tubepost, wait_until
from tests.peers.postfix import Postfix
from tests.peers.tools import require
from tests.support.pages import fences, put

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("e2e"), pytest.mark.timeout(180)]

HOST = "alerts.shop.svc"
TOKENS = ["ab" * 32, "cd" * 32]
GONE = "dead4101" + "ab" * 28
PASSWORD = "throw-away"
BEARER = "throw-away-token-of-app"


class Served(Dispatcher):
    patterns: ClassVar = {
        **Dispatcher.patterns,
        "rest": r"requests +https?://127\.0\.0\.1:(\d+)",
        "inbox": r"inbox: http://127\.0\.0\.1:(\d+)",
    }

    def arrived(self, count: int, **wanted: Any) -> list[dict[str, Any]]:
        """Notifications at the simulated APNs whose members are these, once there are so many."""

        def found() -> list[dict[str, Any]]:
            url = f"http://127.0.0.1:{self.found['inbox']}/api/v1/notifications?limit=1000"
            every = json.loads(get(url))["notifications"]
            return [one for one in every if all(one[name] == value for name, value in wanted.items())]

        wait_until(lambda: len(found()) >= count, 60.0)
        return found()


@dataclass
class Stack:
    dispatcher: Any
    directory: Path

    def run(self, *command: str, cwd: Path, text: str = "", **environment: str) -> str:
        """What a program prints that succeeds."""
        done = subprocess.run(
            command, cwd=cwd, input=text, capture_output=True, text=True, timeout=120, check=False,
            env={
                **os.environ, "PUSH_PASSWORD": PASSWORD, "no_proxy": "*",
                "SSL_CERT_FILE": str(self.directory / "ca.crt"),
                "NODE_EXTRA_CA_CERTS": str(self.directory / "ca.crt"), **environment,
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("howtos")
    assert tubepost("credentials", "make", "-o", str(directory)).returncode == 0
    manifests = list(yaml.safe_load_all(fences("gorush.md", "yaml")[0]))
    (domain,) = [one for one in manifests if one["kind"] == "PushDomain"]
    # Its domains, routes and listener for requests; the senders want a verdict.
    spec = domain["spec"]
    for name in ("acceptance", "queue", "loggers"):
        del spec[name]
    spec["listener"] = {
        "startTls": {"mode": "Optional", "secretName": "smtp-tls"},
        "auth": {"secretName": "users", "required": False},
    }
    spec["workers"] = 1
    secrets = [("rest-tokens", {"shop": BEARER}), ("users", {"users": f"shop:{PASSWORD}"})]
    manifests += [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        for name, data in secrets
    ]
    file = directory / "push.yaml"
    file.write_text(yaml.safe_dump_all(one for one in manifests if one["kind"] != "ApnLogger"))
    options = ("--simulator", "--inbox-port", "0", "--rest-port", "0")
    with Served([file, directory / "secrets.yaml"], *options) as dispatcher:
        yield Stack(dispatcher, directory)


# -- from Python and Django -----------------------------------------------------------------------------


def python(tmp_path: Path, stack: Stack) -> list[str]:
    """Snippets of the page, with the module that the others import in its place."""
    module, *others = fences("python.md", "python")
    (tmp_path / "push.py").write_text(module)
    return others


def test_smtplib(stack: Stack, tmp_path: Path) -> None:
    program, *_ = python(tmp_path, stack)
    text = put(program, (f'"{HOST}", 25', f'"localhost", {stack.dispatcher.port}'))
    (tmp_path / "send.py").write_text(text)
    said = stack.run(sys.executable, "send.py", TOKENS[0], GONE, "xyz", cwd=tmp_path).splitlines()
    assert said[:2] == ["sent", "gone"]
    assert said[2].startswith("refused: 5")
    payload = {"aps": {"alert": "Your parcel is here"}}
    assert stack.dispatcher.arrived(1, payload=payload, token=TOKENS[0])[0]["collapseId"] == "parcel"


def test_django(stack: Stack, tmp_path: Path) -> None:
    _, message, notify = python(tmp_path, stack)
    (tmp_path / "notifications.py").write_text(message)
    port = ("port=25,", f"port={stack.dispatcher.port},")
    text = put(notify, (f'host="{HOST}"', 'host="localhost"'), port)
    alert = f"django {uuid.uuid4()} \N{SNOWMAN}"
    settings = "from django.conf import settings\nsettings.configure()\n"
    call = f"print(notify({TOKENS!r}, {alert!r}))\n"
    said = stack.run(sys.executable, "-c", f"{settings}{text}\n{call}", cwd=tmp_path)
    assert said == "2\n"
    got = stack.dispatcher.arrived(2, payload={"aps": {"alert": alert}})
    assert sorted(one["token"] for one in got) == TOKENS


# -- from Node.js ---------------------------------------------------------------------------------------


def test_nodemailer(stack: Stack, tmp_path: Path) -> None:
    (program,) = fences("nodemailer.md", "js")
    port = ("port: 25,", f"port: {stack.dispatcher.port},")
    (tmp_path / "push.js").write_text(put(program, (f"host: '{HOST}'", "host: 'localhost'"), port))
    modules = str(require("nodemailer"))
    command = (str(require("node")), "push.js", TOKENS[1], GONE, "xyz")
    said = stack.run(*command, cwd=tmp_path, NODE_PATH=modules).splitlines()
    assert said[:2] == ["sent", "gone"]
    assert said[2].startswith("refused: 5")
    payload = {"aps": {"alert": "Dein Päckchen ist da \N{PACKAGE}"}}
    assert stack.dispatcher.arrived(1, payload=payload, token=TOKENS[1])[0]["collapseId"] == "parcel"


# -- from scripts ---------------------------------------------------------------------------------------


@pytest.fixture
def scripts(tmp_path: Path) -> tuple[Path, list[str]]:
    """A directory with `push-mail` in it, and the commands of the page."""
    script, *commands = fences("scripts.md", "sh")
    (tmp_path / "push-mail").write_text(script)
    (tmp_path / "push-mail").chmod(0o755)
    return tmp_path, commands


def shell(stack: Stack, directory: Path, command: str, **environment: str) -> str:
    path = f"{directory}{os.pathsep}{require('swaks').parent}{os.pathsep}{os.environ['PATH']}"
    return stack.run(
        "bash", "-o", "pipefail", "-c", command, cwd=directory, **{"TOKEN": TOKENS[0], "PATH": path, **environment}
    )  # fmt: skip


@pytest.mark.parametrize("number", [0, 1], ids=["curl", "swaks"])
def test_scripts(stack: Stack, scripts: tuple[Path, list[str]], number: int) -> None:
    directory, commands = scripts
    alert, port = str(uuid.uuid4()), str(stack.dispatcher.port)
    here = [f"smtp://{HOST}:25", f"--server {HOST} --port 25"]
    there = [f"smtp://127.0.0.1:{port}", f"--server 127.0.0.1 --port {port}"]
    command = put(commands[number], (here[number], there[number]), ("The backup is done", alert))
    shell(stack, directory, command)
    assert stack.dispatcher.arrived(1, payload={"aps": {"alert": alert}})[0]["token"] == TOKENS[0]
    with pytest.raises(AssertionError):  # as its exit status says
        shell(stack, directory, command, TOKEN=GONE)


def test_the_cron_job_runs_the_same_command(scripts: tuple[Path, list[str]]) -> None:
    _, commands = scripts
    (_, job) = (yaml.safe_load(text) for text in fences("scripts.md", "yaml"))
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    assert script.replace("sh /scripts/push-mail", "push-mail").split() == commands[0].split()


# -- from Postfix ---------------------------------------------------------------------------------------


def test_postfix_and_sendmail(stack: Stack, scripts: tuple[Path, list[str]]) -> None:
    directory, commands = scripts
    table, master, main = fences("postfix.md")
    transport = directory / "transport"
    port = str(stack.dispatcher.port)
    transport.write_text(put(table, (f"{HOST}.cluster.local]:25", f"127.0.0.1]:{port}")))
    changed = put(main, ("/etc/postfix/transport", str(transport)))
    with Postfix(("example.com",), main=changed, master=master) as relay:
        alert = str(uuid.uuid4())
        command = put(
            commands[2], ("The backup is done", alert), ("sendmail -f", f"{relay.commands}/sendmail -f")
        )
        shell(stack, directory, command, **relay.environment())
        stack.dispatcher.arrived(1, payload={"aps": {"alert": alert}})
        shell(stack, directory, command, TOKEN=GONE, **relay.environment())
        (report,) = relay.mails_when(1, 60.0)
        log = relay.log()
    assert re.search(r"status=sent \(250 2\.0\.0 Delivered apns-id=", log), log
    assert "550 5.1.6 APNs: Unregistered" in report.as_string().replace("\n    ", " ")


# -- from gorush ----------------------------------------------------------------------------------------


def test_gorush(stack: Stack, tmp_path: Path) -> None:
    (program,) = fences("gorush.md", "python")
    (body,) = fences("gorush.md", "json")
    (command,) = fences("gorush.md", "sh")
    (tmp_path / "from_gorush.py").write_text(program)
    (tmp_path / "push.json").write_text(body)
    url = f"http://127.0.0.1:{stack.dispatcher.found['rest']}"
    answer = json.loads(stack.run("bash", "-c", command, cwd=tmp_path, URL=url, TOKEN=BEARER))
    assert [one["status"] for one in answer["notifications"]] == [200, 200]
    first, second = stack.dispatcher.arrived(2, collapseId="order-4711")
    assert {first["token"], second["token"]} == set(TOKENS)
    assert first["priority"] == 10
    assert first["payload"] == {
        "order": 4711,
        "aps": {
            "alert": {"title": "Order 4711", "body": "Your parcel is here"},
            "badge": 3,
            "sound": {"name": "default", "volume": 0.5},
        },
    }


@pytest.mark.parametrize(
    ("one", "made"),
    [
        ({"message": "a"}, {"payload": {"aps": {"alert": "a"}}}),
        ({"alert": {"loc-key": "K"}}, {"payload": {"aps": {"alert": {"loc-key": "K"}}}}),
        ({"sound": "ding", "volume": 1.0}, {"payload": {"aps": {"sound": {"name": "ding", "volume": 1.0}}}}),
        (
            {"content_available": True, "priority": "normal", "push_type": "background"},
            {"payload": {"aps": {"content-available": 1}}, "apnsPriority": 5, "apnsPushType": "background"},
        ),
        (
            {"development": True, "message": "a", "notif_id": "7"},
            {
                "domain": "sandbox.push.example.com",
                "payload": {"aps": {"alert": "a"}},
                "context": {"notif_id": "7"},
            },
        ),
    ],
)
def test_what_gorush_is_given_is_converted(one: dict[str, Any], made: dict[str, Any]) -> None:
    (program,) = fences("gorush.md", "python")
    body = json.dumps({"notifications": [{"platform": 1, "tokens": ["t"], **one}]})
    done = subprocess.run(
        [sys.executable, "-c", program], input=body, capture_output=True, text=True, timeout=60, check=True
    )
    expected = {"domain": "push.example.com", "deviceToken": "t", **made}
    assert json.loads(done.stdout) == {"notifications": [expected]}


# -- behind a load balancer -----------------------------------------------------------------------------


def test_a_sender_that_the_load_balancer_names(tmp_path: Path) -> None:
    _, domain = (yaml.safe_load(text) for text in fences("load-balancer.md", "yaml"))
    (command,) = fences("load-balancer.md", "sh")
    listener = domain["spec"]["listener"]
    assert listener["proxyProtocol"]["trustedNetworks"] == ["10.0.0.0/16"]
    listener["proxyProtocol"]["trustedNetworks"] = ["127.0.0.0/8"]
    domain["spec"] |= {"routes": ["production"], "workers": 1}
    routes = [
        one
        for one in yaml.safe_load_all(fences("gorush.md", "yaml")[0])
        if one["metadata"]["name"] == "production"
    ]
    file = tmp_path / "push.yaml"
    file.write_text(yaml.safe_dump_all([domain, *routes]))
    with Dispatcher([file], "--simulator", "--inbox-port", "0") as dispatcher:
        stack = Stack(dispatcher, tmp_path)
        here = (f"--server {HOST} --port 25", f"--server 127.0.0.1 --port {dispatcher.port}")
        assert "<-  250" in shell(stack, tmp_path, put(command, here))
        with pytest.raises(AssertionError, match=r"\*\* +5"):
            shell(stack, tmp_path, put(command, here, ("203.0.113.7", "198.51.100.7")))
