from __future__ import annotations

import inspect
import json
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import tubepost_policy
from tests.policy.facts import DEAD, message, request_facts
from tubepost_cli.policy import command
from tubepost_dispatcher.policy.wire import HOOKS

SEED = Path(__file__).resolve().parents[2] / "examples" / "seed-message.eml"

MODULE = """
from tubepost_policy import DONE

def apn_request_eval(req, msg):
    req.priority = 5
    msg.context["seen"] = "yes"

def generic_delivery_msg_dispose(msg):
    if msg.outcome.status == 410:
        msg.send_mail("u@x.example", "Missed", msg.json["aps"]["alert"])
        return DONE
    if msg.outcome.status == 400:
        raise ValueError("no")
"""


def run(tmp_path: Path, *options: str, module: str = MODULE, message: Path = SEED) -> tuple[int, str]:
    file = tmp_path / "policy.py"
    file.write_text(module)
    result = CliRunner().invoke(command, ["test", str(file), str(message), *options])
    return result.exit_code, result.output


def test_hooks_are_shown_at_work(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--outcome", "410:Unregistered")
    assert code == 0
    assert "hooks: apn_request_eval, generic_delivery_msg_dispose" in output
    assert "request.priority = 5" in output
    assert "context: seen=yes" in output
    assert "mail to u@x.example, bounces to <alerts@sender.example>:" in output
    assert "Subject: Missed" in output


def test_as_json(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--outcome", "410:Unregistered", "-o", "json")
    found: dict[str, Any] = json.loads(output)
    assert code == 0
    ((first, second),) = [one["steps"] for one in found["notifications"]]
    assert first["request"] == {"priority": 5}
    assert second["mail"]["recipient"] == "u@x.example"
    assert second["milliseconds"] > 0
    assert found["hooks"] == ["apn_request_eval", "generic_delivery_msg_dispose"]


def test_a_hook_that_fails_is_shown_with_its_line(tmp_path: Path) -> None:
    code, output = run(tmp_path, "--outcome", "400:BadDeviceToken")
    assert code == 1
    assert "failed: generic_delivery_msg_dispose: policy.py, line 13: ValueError: no" in output


@pytest.mark.parametrize(
    ("options", "module", "text"),
    [
        (["--outcome", "410"], MODULE, "behind a colon"),
        ([], "import nowhere\n", "policy.py, line 1: ModuleNotFoundError"),
        (["--to", "nobody"], MODULE, "say --to ADDRESS"),
    ],
)
def test_what_cannot_be_tried(tmp_path: Path, options: list[str], module: str, text: str) -> None:
    code, output = run(tmp_path, *options, module=module)
    assert code == 2
    assert text in output


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"From: a@b.example\nTo: c@d.example\n\nHello\n", "has no push part"),
        (SEED.read_bytes().replace(b'"aps"', b"aps"), "the message is refused: 554"),
    ],
)
def test_a_message_that_is_none(tmp_path: Path, content: bytes, text: str) -> None:
    message = tmp_path / "message.eml"
    message.write_bytes(content)
    code, output = run(tmp_path, message=message)
    assert code == 2
    assert text in output


# -- docs/policy.md -----------------------------------------------------------------------------------

PAGE = (SEED.parents[1] / "docs" / "policy.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"((?:^    from tubepost_policy .*\n)(?:^    .*\n|\n(?=    ))*?)\n^    \$ (tubepost policy test .*)\n"
    r"((?:^    .*\n|\n(?= {8}))+)",
    PAGE,
    re.MULTILINE,
)


def comparable(text: str) -> str:
    return re.sub(r"[0-9.]+ ms|Date: .*|Message-ID: .*", "...", textwrap.dedent(text)).strip()


def test_every_hook_and_every_field_is_on_the_page() -> None:
    shown = "".join(module for module, _, _ in EXAMPLES)
    assert {name for name in HOOKS if f"def {name}(" not in shown} == set()
    outcome = tubepost_policy.Outcome(DEAD)
    what = message(DEAD)
    given = [what, tubepost_policy.Request(request_facts()), outcome, tubepost_policy.Response(DEAD, what)]
    for one in given:
        public = [name for name, _ in inspect.getmembers(one) if not name.startswith("_")]
        missing = [name for name in public if not re.search(rf"`(message\.)?{name}[`(]", PAGE)]
        assert missing == [], type(one)


@pytest.mark.parametrize(("module", "line", "output"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_of_the_page(tmp_path: Path, module: str, line: str, output: str) -> None:
    program, group, verb, name, path, *options = shlex.split(line)
    assert (program, group, verb, name) == ("tubepost", "policy", "test", "policy.py")
    code, shown = run(tmp_path, *options, module=textwrap.dedent(module), message=SEED.parents[1] / path)
    assert code == 0
    assert comparable(shown) == comparable(output)


def test_there_is_an_example_for_each_hook() -> None:
    assert len(EXAMPLES) == 5
