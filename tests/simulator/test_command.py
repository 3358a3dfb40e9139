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

from tubepost_credentials.throwaway import make_token_key
from tubepost_simulator.command import simulator

BARE = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def test_runs_until_terminated(tmp_path: Path) -> None:
    (tmp_path / "key.p8").write_bytes(make_token_key())
    arguments = ["--port", "0", "--api-port", "0", "--token-key", f"K:T:{tmp_path / 'key.p8'}"]
    arguments += ["--ca-out", str(tmp_path / "ca.pem"), "--chaos", '{"latencyMs": 5}']
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "tubepost_simulator", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=BARE,
    )
    try:
        assert process.stdout is not None
        assert "https://127.0.0.1:" in process.stdout.readline()
        address = process.stdout.readline().split()[-1]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address + "chaos", timeout=20) as answer:
            assert json.load(answer)["latencyMs"] == 5
        assert (tmp_path / "ca.pem").read_text().startswith("-----BEGIN CERTIFICATE")
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (0, "stopped\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--chaos", "{"], "Expecting"),
        (["--chaos", "[]"], "not a JSON object"),
        (["--chaos", '{"stall": 1}'], "stall"),
        (["--token-key", "K:T"], "KEYID:TEAMID:FILE"),
        (["--token-key", "K:T:/nowhere.p8"], "nowhere"),
        (["--environment", "Moon"], "Moon"),
        (["--host", "192.0.2.1"], "192.0.2.1"),
    ],
)
def test_mistakes_are_explained(arguments: list[str], text: str) -> None:
    result = CliRunner().invoke(simulator, arguments)
    assert result.exit_code != 0
    assert text in result.output
    assert "Traceback" not in result.output
