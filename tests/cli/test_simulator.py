from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from tubepost_cli.simulator import command
from tubepost_credentials.throwaway import make_token_key

BARE = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def test_runs_until_terminated(tmp_path: Path) -> None:
    (tmp_path / "key.p8").write_bytes(make_token_key())
    arguments = ["--port", "0", "--inbox-port", "0", "--token-key", f"K:T:{tmp_path / 'key.p8'}"]
    arguments += ["--ca-file", str(tmp_path / "ca.pem"), "--chaos", '{"latencyMs": 5}', "--retain", "7"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", "from tubepost_cli.main import main; main()", "simulator", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=BARE,
    )
    try:
        assert process.stdout is not None
        assert "https://127.0.0.1:" in process.stdout.readline()
        address = process.stdout.readline().split()[-1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address + "api/v1/chaos", timeout=60) as answer:
            assert json.load(answer)["latencyMs"] == 5
        with opener.open(address, timeout=60) as answer:
            assert b"<title>Inbox" in answer.read()
        assert (tmp_path / "ca.pem").read_text().startswith("-----BEGIN CERTIFICATE")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=50)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--chaos", "{"], "not JSON"),
        (["--chaos", "[]"], "not a JSON object"),
        (["--chaos", '{"stall": 1}'], "stall"),
        (["--chaos", '{"latencyMz": 1}'], "latencyMs"),
        (["--token-key", "K:T"], "KEYID:TEAMID:FILE"),
        (["--token-key", "K:T:/nowhere.p8"], "nowhere"),
        (["--environment", "Moon"], "Moon"),
        (["--host", "192.0.2.1"], "--inbox-port"),
        (["--server-key", __file__], "go together"),
        (["--client-ca", __file__, "--port", "0", "--inbox-port", "0"], "cannot be read"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    assert text in result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
