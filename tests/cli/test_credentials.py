from __future__ import annotations

import contextlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tubepost_api.compile import compile_manifests
from tubepost_cli.credentials import command
from tubepost_cli.examples import example
from tubepost_credentials.throwaway import make_apns_certificate, make_ca
from tubepost_dispatcher.config.manifests import load_manifests


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("credentials")
    assert run("make", "-o", directory, "--topic", "com.example.one").exit_code == 0
    return directory


def test_what_is_made_can_be_inspected(made: Path) -> None:
    result = run("inspect", "-o", "json", made / "secrets.yaml")
    assert result.exit_code == 0
    assert json.loads(result.output)[0]["topics"] == ["com.example.one"]
    assert run("inspect", made / "client.crt", "--key", made / "client.key").exit_code == 0


def test_a_certificate_alone_needs_its_key_named(made: Path) -> None:
    result = run("inspect", made / "client.crt")
    assert result.exit_code == 1
    assert "--key FILE" in result.output


def test_a_key_whose_ids_are_not_known_shows_none(made: Path) -> None:
    (found,) = json.loads(run("inspect", "-o", "json", made / "token.p8").output)
    assert (found["usable"], found["keyId"], found["teamId"]) == (True, None, None)
    assert len(found["warnings"]) == 2
    path = made / "AuthKey_ABC1234567.p8"
    path.write_bytes((made / "token.p8").read_bytes())
    (found,) = json.loads(run("inspect", "-o", "json", path, "--team-id", "DEF1234567").output)
    assert (found["keyId"], found["teamId"], found["warnings"]) == ("ABC1234567", "DEF1234567", [])


def test_a_key_with_escaped_line_ends_is_shown_and_told_of(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "AuthKey_ABC1234567.p8"
    path.write_bytes((made / "token.p8").read_bytes().strip().replace(b"\n", b"\\n"))
    (found,) = json.loads(run("inspect", "-o", "json", path, "--team-id", "DEF1234567").output)
    assert (found["usable"], found["keyId"]) == (True, "ABC1234567")
    (warning,) = found["warnings"]
    assert "the two characters \\n in place of line ends" in warning
    shown = run("inspect", path).output
    assert "ok" in shown
    assert [line.split()[0] for line in shown.splitlines()].count("warning:") == 2


def test_which_of_two_certificates_is_used_is_told(tmp_path: Path) -> None:
    ca = make_ca()
    old = make_apns_certificate(ca, ("com.example.old",), days=10, start=datetime(2020, 1, 1, tzinfo=UTC))
    new = make_apns_certificate(ca, ("com.example.new",), days=20)
    path = tmp_path / "both.pem"
    path.write_bytes(
        b"".join((old.certificate_pem, new.certificate_pem, old.private_key_pem, new.private_key_pem))
    )
    result = run("inspect", "-o", "json", path)
    (found,) = json.loads(result.output)
    assert (result.exit_code, found["topics"]) == (0, ["com.example.new"])
    chosen, _keys, soon = found["warnings"]
    assert "Of the 2 certificates" in chosen
    assert soon == "The certificate expires soon, in 20 days."


def test_a_file_without_a_secret_is_said_to_be_one(made: Path) -> None:
    result = run("inspect", made / "token.json")
    assert result.exit_code == 1
    assert "holds no Secret" in result.output


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--topic", "no topic!", "bundle identifier"),
        ("--host", "", "--host"),
        ("-o", "/proc/none", "/proc/none"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(tmp_path: Path, option: str, value: str, text: str) -> None:
    result = run("make", "-o", tmp_path, option, value)
    assert result.exit_code in {1, 2}
    assert text in result.output
    assert "Traceback" not in result.output


def test_what_is_there_is_not_overwritten_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("make", "-o", tmp_path).exit_code == 0
    before = (tmp_path / "token.p8").read_bytes()
    refused = run("make", "-o", tmp_path)
    assert refused.exit_code == 2
    assert "already holds ca.crt" in refused.output
    assert "--force" in refused.output
    assert (tmp_path / "token.p8").read_bytes() == before
    assert run("make", "-o", tmp_path, "--force").exit_code == 0
    assert (tmp_path / "token.p8").read_bytes() != before


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_who_is_there_is_asked(tmp_path: Path, answer: str, code: int) -> None:
    class Terminal(CliRunner):
        def isolation(self, *arguments: Any, **options: Any) -> Any:
            isolated = super().isolation(*arguments, **options)

            @contextlib.contextmanager
            def with_a_terminal() -> Any:
                with isolated as streams:
                    sys.stdin.isatty = lambda: True  # type: ignore[method-assign]
                    yield streams

            return with_a_terminal()

    (tmp_path / "ca.crt").write_text("mine")
    result = Terminal().invoke(command, ["make", "-o", str(tmp_path)], input=answer)
    assert result.exit_code == code
    assert "Overwrite them? [y/N]" in result.output
    assert ((tmp_path / "ca.crt").read_text() == "mine") == (code == 1)


def test_authorities_need_no_key(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = json.loads(run("inspect", "-o", "json", made / "ca.crt").output)
    assert (found["usable"], found["kind"], found["validity"]) == (True, "authorities", "valid")
    assert found["subjects"] == ["commonName=Tubepost throw-away CA"]
    assert "tls.ca" in found["use"]
    both = tmp_path / "both.crt"
    both.write_bytes((made / "ca.crt").read_bytes() + (made / "client.crt").read_bytes())
    assert "--key FILE" in run("inspect", both).output
    monkeypatch.setattr("tubepost_cli.credentials.time.time", lambda: 4e9)
    result = run("inspect", made / "ca.crt")
    assert (result.exit_code, "expired" in result.output) == (1, True)


def test_the_examples_need_no_secret_that_is_not_made(made: Path) -> None:
    kinds = {d["metadata"]["name"] for d in yaml.safe_load_all((made / "secrets.yaml").read_text())}
    directories = [path.parent for path in example("README.md").parent.glob("*/manifests.yaml")]
    assert len(directories) > 7
    for directory in directories:
        manifests, _ = load_manifests([directory])
        config = compile_manifests(manifests).config
        assert config is not None
        # Those of a NATS server are made by its own tools.
        wanted = {name for name in config.secret_names() if not name.startswith("nats-")}
        assert wanted <= kinds, directory
