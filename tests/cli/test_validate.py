from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from tests.api.manifests import config_map, push_domain, route
from tubepost_cli.examples import example
from tubepost_cli.validate import command
from tubepost_credentials.throwaway import make_apns_certificate, make_ca


def secret(name: str, **keys: bytes) -> dict[str, Any]:
    strings = {key.replace("_", "."): value.decode() for key, value in keys.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": strings}


def validated(tmp_path: Path, *documents: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    file = tmp_path / "push.yaml"
    file.write_text(yaml.safe_dump_all(documents))
    result = CliRunner().invoke(command, ["-f", str(file), "-o", "json"])
    return result.exit_code, json.loads(result.output)


def pair(days: float = 30) -> dict[str, Any]:
    made = make_apns_certificate(make_ca(), ("com.example.app",), days=days)
    return secret("cert", tls_crt=made.certificate_pem, tls_key=made.private_key_pem)


def test_a_secret_that_is_not_among_the_files_is_told_once_as_a_warning(tmp_path: Path) -> None:
    code, found = validated(tmp_path, push_domain(), route())
    assert (code, found["valid"]) == (0, True)
    (problem,) = found["problems"]
    assert (problem["severity"], problem["field"]) == ("warning", "spec.certificate.secretName")
    assert set(problem) == {
        "severity",
        "origin",
        "kind",
        "namespace",
        "name",
        "field",
        "message",
        "remedy",
    }


def test_a_sound_credential_is_no_problem(tmp_path: Path) -> None:
    assert validated(tmp_path, push_domain(), route(), pair()) == (
        0,
        {"valid": True, "pushDomains": ["alerts"], "problems": []},
    )


def test_hooks_are_looked_at(tmp_path: Path) -> None:
    domain = push_domain(policy={"configMapName": "hooks"})
    broken = config_map(**{"policy.py": "def apn_response_eval(:\n"})
    code, found = validated(tmp_path, domain, route(), pair(), broken)
    (problem,) = found["problems"]
    assert (code, problem["severity"], problem["field"]) == (2, "error", "spec.policy.configMapName")
    assert "(line 1)" in problem["message"]
    assert validated(tmp_path, domain, route(), pair(), config_map())[0] == 0


def test_an_expired_certificate_is_a_warning(tmp_path: Path) -> None:
    code, found = validated(tmp_path, push_domain(), route(), pair(days=0.01))
    assert code == 0
    (problem,) = found["problems"]
    assert (problem["severity"], problem["name"], problem["field"]) == ("warning", "apns", "spec.certificate")
    assert "expired" in problem["message"]
    assert problem["origin"] == str(tmp_path / "push.yaml")


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path) -> None:
    code, found = validated(tmp_path, push_domain(), route(), pair(days=10))
    assert (code, found["valid"]) == (0, True)
    (problem,) = found["problems"]
    assert (problem["severity"], problem["name"], problem["field"]) == ("warning", "apns", "spec.certificate")
    assert "the certificate expires on " in problem["message"]
    assert problem["message"].endswith(" in 9 days")
    assert problem["origin"] == str(tmp_path / "push.yaml")


def test_a_key_with_escaped_line_ends_is_a_warning(tmp_path: Path) -> None:
    made = make_apns_certificate(make_ca(), ("com.example.app",))
    escaped = made.private_key_pem.replace(b"\n", b"\\n")
    code, found = validated(
        tmp_path, push_domain(), route(), secret("cert", tls_crt=made.certificate_pem, tls_key=escaped)
    )
    assert (code, found["valid"]) == (0, True)
    (problem,) = found["problems"]
    assert "key 'tls.key': the client certificate's private key has the two characters" in problem["message"]


@pytest.mark.parametrize("users", [b"a:1\n:2", b"a:1\nb"])
def test_a_line_that_is_no_user_is_an_error(tmp_path: Path, users: bytes) -> None:
    domain = push_domain(listener={"auth": {"secretName": "auth", "requireTls": False}})
    code, found = validated(tmp_path, domain, route(), pair(), secret("auth", users=users))
    assert code == 2
    errors = [problem for problem in found["problems"] if problem["severity"] == "error"]
    assert [problem["message"] for problem in errors] == [
        "Secret 'auth', key 'users': a line is not NAME:PASSWORD"
    ]


def test_in_words_for_people() -> None:
    result = CliRunner().invoke(command, ["-f", str(example("seed"))])
    assert result.exit_code == 0
    assert "valid: 0 errors" in result.output


def test_hooks_are_loaded_as_a_dispatcher_would(tmp_path: Path) -> None:
    domain = push_domain(policy={"configMapName": "hooks"})
    broken = config_map(**{"policy.py": "import nowhere\n"})
    code, found = validated(tmp_path, domain, route(), pair(), broken)
    (problem,) = found["problems"]
    assert (code, problem["severity"], problem["field"]) == (2, "error", "spec.policy.configMapName")
    assert "policy.py, line 1: ModuleNotFoundError" in problem["message"]
    doubtful = config_map(**{"policy.py": "def apn_status_clasifier(status): pass\n"})
    code, found = validated(tmp_path, domain, route(), pair(), doubtful)
    assert code == 0
    assert any("apn_status_clasifier is no hook" in problem["message"] for problem in found["problems"])


def test_standard_input_is_a_file_too() -> None:
    document = yaml.safe_dump_all([push_domain(), route(), pair()])
    for form in (document, json.dumps({"kind": "List", "items": [push_domain(), route(), pair()]})):
        result = CliRunner().invoke(command, ["-f", "-", "-o", "json"], input=form)
        assert (result.exit_code, json.loads(result.output)["pushDomains"]) == (0, ["alerts"])
    result = CliRunner().invoke(command, ["-f", "-"], input="{")
    assert (result.exit_code, "error: standard input: " in result.output) == (2, True)


def test_which_push_domains_can_run_is_told_in_json() -> None:
    second = push_domain(name="other")
    broken = push_domain(name="broken", routes=["nowhere"])
    document = yaml.safe_dump_all([push_domain(), second, route(), pair()])
    result = CliRunner().invoke(command, ["-f", "-", "-o", "json"], input=document)
    assert json.loads(result.output)["pushDomains"] == ["alerts", "other"]
    document = yaml.safe_dump_all([broken, route(), pair()])
    result = CliRunner().invoke(command, ["-f", "-", "-o", "json"], input=document)
    assert (result.exit_code, json.loads(result.output)["pushDomains"]) == (2, [])
