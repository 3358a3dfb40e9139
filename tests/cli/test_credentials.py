from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tubepost_cli.credentials import command


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
