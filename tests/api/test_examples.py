from __future__ import annotations

from pathlib import Path

import pytest

from tubepost_api.compile import compile_manifests
from tubepost_api.config import DispatcherConfig
from tubepost_api.problems import ProblemCode
from tubepost_dispatcher.config.manifests import load_manifests

ROOT = Path(__file__).parents[2] / "examples"
EXAMPLES = [ROOT, *sorted(path for path in ROOT.iterdir() if path.is_dir())]


def config_of(directory: Path) -> DispatcherConfig:
    manifests, problems = load_manifests([directory])
    result = compile_manifests(manifests)
    assert problems == []
    # Secrets are not in the repository; nothing else may be worth a word.
    assert [str(p) for p in result.problems if p.code is not ProblemCode.SECRET_NOT_FOUND] == []
    assert result.config is not None
    return result.config


@pytest.mark.parametrize("directory", EXAMPLES, ids=lambda path: path.name)
def test_every_example_compiles(directory: Path) -> None:
    config = config_of(directory)
    text = "".join(path.read_text(encoding="utf-8") for path in directory.glob("*.yaml"))
    for name in config.secret_names():
        assert f" {name} " in text.replace("\n", " "), "a comment says how to make each Secret"
    assert "PRIVATE KEY" not in text


def test_the_page_names_every_example() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in EXAMPLES[1:] if f"`{path.name}`" not in page] == []


def test_the_sample_of_the_manual() -> None:
    config = config_of(ROOT / "seed")
    (entry,) = config.entries
    assert entry.name == "apn_example.com"
    assert entry.delivery.max_outbound_connections == 20
    assert entry.delivery.response_timeout == 1.0
    assert config.routes["apns"].host == "api.push.apple.com"
    assert config.routes["apns"].tls.ciphers == "DEFAULT"
    assert config.loggers[0].name == "apn-logger1"
    assert config.loggers[0].heartbeat == 60.0


def test_overrides_and_patterns() -> None:
    config = config_of(ROOT / "several-credentials")
    names = [entry.name or entry.pattern for entry in config.entries]
    assert names == ["shop.example.com", "news.example.com", r"[a-z0-9-]+\.beta\.example\.com"]
    assert config.entries[1].delivery.expiry == 3_600.0
    assert config.entries[1].delivery.response_timeout == 5.0
    assert config.routes["by-certificate"].certificate
    assert config.routes["by-token"].token


def test_the_message_of_the_manual_has_the_line_ends_of_mail() -> None:
    data = (ROOT / "seed-message.eml").read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") > 20
    assert b"To: subscriber@apn_example.com\r\n" in data
    assert data.endswith(b'"app-key" : "bar",\r\n}\r\n--MCMT_BOUNDARY--\r\n')
