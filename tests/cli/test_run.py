from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.api.manifests import compiled, push_domain, route
from tubepost_cli.run import command, send_options
from tubepost_dispatcher.config.bundle import ConfigBundle, Prepared, prepare


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name manifests with -f FILE"),
        (["-f", ".", "--config", "x"], "Name manifests with -f FILE"),
        (["-f", ".", "--in-process", "--workers", "2"], "--in-process runs one worker"),
        (["-f", ".", "--workers", "65"], "0<=x<=64"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 2
    assert message in done.output


def prepared(listener: dict[str, Any], *secrets: dict[str, Any]) -> Prepared:
    config = compiled(push_domain(listener=listener), route(), *secrets).config
    assert config is not None
    users = {"smtp-auth": {"username": b"sender", "password": b"horses-eat-hay"}}
    return prepare(ConfigBundle(config, users))[0]


@pytest.mark.parametrize(
    ("listener", "host", "options"),
    [
        ({}, "127.0.0.1", ""),
        ({}, "::", ""),
        ({}, "10.0.0.7", " --host 10.0.0.7"),
        ({"startTls": {"mode": "Optional", "secretName": "tls"}}, "127.0.0.1", ""),
        ({"startTls": {"mode": "Required", "secretName": "tls"}}, "127.0.0.1", " --starttls --insecure"),
        (
            {"startTls": {"mode": "Optional", "secretName": "tls"}, "auth": {"secretName": "smtp-auth"}},
            "127.0.0.1",
            " --starttls --insecure --user sender --password PASSWORD",
        ),
        (
            {"auth": {"secretName": "smtp-auth", "requireTls": False}},
            "127.0.0.1",
            " --user sender --password PASSWORD",
        ),
        ({"auth": {"secretName": "smtp-auth", "requireTls": False, "required": False}}, "127.0.0.1", ""),
        (
            {"auth": {"secretName": "other", "requireTls": False}},
            "127.0.0.1",
            " --user NAME --password PASSWORD",
        ),
    ],
)
def test_the_hint_fits_the_listener(listener: dict[str, Any], host: str, options: str) -> None:
    assert send_options(prepared(listener), host) == options


UNUSED = (
    "httpx",
    "jsonschema",
    "kopf",
    "kubernetes",
    "multiprocessing",
    "nats",
    "sqlite3",
    "tubepost_api.compile",
    "tubepost_api.pushdomain",
    "tubepost_simulator",
    "yaml",
)
"""What a dispatcher in a pod does not need, or only when its configuration says so."""


def test_what_processes_are_forked_from_has_opened_nothing_and_holds_what_is_used() -> None:
    script = (
        "import json, os, sys, threading\n"
        "import tubepost_cli.run\n"
        "modules = sorted(sys.modules)\n"
        "print(json.dumps([modules, threading.active_count(), sorted(map(int, os.listdir('/proc/self/fd')))[:-1]]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=120)
    modules, threads, descriptors = json.loads(done.stdout)
    assert threads == 1
    assert descriptors == [0, 1, 2]
    assert not set(UNUSED) & set(modules)
