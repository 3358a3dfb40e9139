from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tubepost_cli.main import main
from tubepost_dispatcher import build_info


def test_help_lists_every_command() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    for name in ("run", "demo", "send", "validate", "queue", "simulator", "credentials"):
        assert f"  {name} " in output


@pytest.mark.parametrize("name", ["run", "demo", "send", "validate", "queue", "simulator", "credentials"])
def test_every_command_has_a_help_page(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_an_unknown_command() -> None:
    assert CliRunner().invoke(main, ["serve"]).exit_code == 2


def test_the_version_says_whether_hot_modules_are_compiled() -> None:
    output = CliRunner().invoke(main, ["--version"]).output
    assert output == f"tubepost, version {build_info.line()}\n"
    assert build_info.modules() in output


def test_help_loads_no_command() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from tubepost_cli.main import main;"
        "CliRunner().invoke(main, ['--help']);"
        "sys.exit('tubepost_cli.run' in sys.modules or 'tubepost_dispatcher' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
