from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.kubectl.situation import MESSAGE, event, situation
from tubepost_cli.kubectl.main import COMMANDS, plugin
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page(name: str) -> None:
    done = CliRunner().invoke(plugin, [name, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith("Usage:")


def test_help_lists_every_command_and_an_unknown_one_is_refused() -> None:
    output = CliRunner().invoke(plugin, ["--help"]).output
    assert all(f"  {name} " in output for name in COMMANDS)
    assert CliRunner().invoke(plugin, ["serve"]).exit_code == 2
    assert "Did you mean 'status'?" in CliRunner().invoke(plugin, ["sttus"]).output


def test_the_queue_commands_ask_the_cluster() -> None:
    cluster = situation(event())
    done = CliRunner().invoke(plugin, ["queue", "summary", "pushdomain/alerts"], obj=cluster)
    assert done.exit_code == 0, done.output
    assert "6 notifications: 0 due, 6 held" in done.output
    done = CliRunner().invoke(plugin, ["queue", "trace", MESSAGE], obj=cluster)
    assert "delivered, attempt 2 by apns" in done.output


def test_a_change_of_a_whole_push_domain_has_to_be_said() -> None:
    done = CliRunner().invoke(plugin, ["queue", "flush", "pushdomain/alerts"], obj=situation())
    assert done.exit_code == 2
    assert "or --all" in done.output


ALL = [
    ["status"],
    ["status", "alerts", "-o", "json"],
    ["trace", MESSAGE],
    ["queue", "summary"],
    ["queue", "list", "pushdomain/alerts"],
    ["queue", "hold", "--all", "--reason", "x"],
    ["suspend", "alerts", "--reason", "x"],
    ["resume", "alerts"],
    ["logs", "alerts"],
    ["report", "-f", "report.tar.gz"],
]
SEND = ["send", "alerts", "--token", "ab" * 32, "--alert", "x"]
RIGHTS = [
    "pods",
    "events",
    PUSH_DOMAINS,
    f"patch {PUSH_DOMAINS}",
    "pods/portforward",
    "pods/log",
    "everywhere",
]


@pytest.mark.parametrize(
    ("words", "right"),
    [
        *((words, right) for words in ALL for right in (*RIGHTS, "")),
        *((SEND, right) for right in ("pods", PUSH_DOMAINS, "pods/portforward", "")),  # else it would send
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value[:2]),
)
def test_whoever_lacks_a_right_is_told_which(
    words: list[str], right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command without each right alone, and without any."""
    monkeypatch.chdir(tmp_path)
    cluster = situation(event())
    cluster.forbidden = {right} if right else set(RIGHTS)
    done = CliRunner().invoke(plugin, words, obj=cluster)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    if not right:
        assert done.exit_code in {3, 77}
    if done.exit_code in {3, 77}:
        assert "not allowed: " in done.stderr
        assert done.stderr.count("not allowed: ") == len(set(done.stderr.split("not allowed: ")[1:]))
