"""docs/convert-and-reroute.md, word for word but for the ports, with a real Postfix as the relay."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest
import yaml

from tests.e2e.app import REPOSITORY, Dispatcher, tubepost, wait_until
from tests.peers.postfix import Postfix

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue")]

PAGE = (REPOSITORY / "docs" / "convert-and-reroute.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    """Indented blocks, without the indentation."""
    found = re.findall(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)", PAGE)
    return [textwrap.dedent(block) for block in found]


def manifests() -> str:
    (found,) = [block for block in blocks() if block.startswith("apiVersion:")]
    return found


def dialogues() -> list[tuple[list[str], str]]:
    """Each command with what it prints."""
    found = []
    for block in blocks():
        for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$).+\n)*)", block, re.MULTILINE):
            found.append((shlex.split(command), output))
    return found


def without_ids(text: str) -> str:
    return re.sub(r"\([0-9.]+ s\)", "(S s)", re.sub(r"id=[0-9a-f-]+", "id=ID", text))


@pytest.mark.parametrize("queued", [False, True], ids=["direct", "queued"])
def test_an_unregistered_device_gets_a_mail_instead(tmp_path: Path, queued: bool) -> None:
    with Postfix() as relay:
        file = tmp_path / "push.yaml"
        assert PAGE.count("2526") == 2
        text = manifests().replace("2526", str(relay.port))
        options = []
        if queued:
            documents = list(yaml.safe_load_all(text))
            documents[0]["spec"] |= {"acceptance": {"mode": "Queued"}, "queue": {"disk": {}}}
            text = yaml.safe_dump_all(documents)
            options = ["--queue-dir", str(tmp_path / "queue")]
        file.write_text(text)
        checked = tubepost("validate", "-f", str(file))
        assert checked.returncode == 0, checked.stderr
        with Dispatcher([file], "--simulator", *options) as dispatcher:
            for (program, *arguments), output in dialogues():
                assert program == "tubepost"
                said = tubepost(*arguments, "--port", str(dispatcher.port))
                assert said.returncode == 0, said.stdout + said.stderr
                if not queued:
                    assert without_ids(said.stdout) == without_ids(output)
            (mail,) = relay.mails_when(1)
            name = 'tubepost_bounces_total{kind="reroute",result="sent"}'
            wait_until(lambda: dispatcher.metrics().get(name) == 1)
            assert dispatcher.metrics().get('tubepost_policy_actions_total{action="mail"}') == 1
            ended = 'tubepost_policy_calls_total{point="dispose"}'
            assert dispatcher.metrics().get(ended) == 2
        assert len(relay.mails()) == 1
    (expected,) = [block for block in blocks() if block.startswith("From:")]
    head, _, body = expected.partition("\n\n")
    for line in head.splitlines():
        field, _, value = line.partition(": ")
        assert mail[field] == value
    assert mail.get_content().strip() == body.strip()
    assert mail["Return-Path"] == "<tubepost@localhost>"
    assert not mail.is_multipart()
