from __future__ import annotations

import pytest
from click.testing import CliRunner

from tests.cli.kubectl.situation import MESSAGE, event, situation
from tubepost_cli.kubectl.main import COMMANDS, plugin


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
