from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from tubepost_cli.main import main

TUBEPOST = Path(sys.executable).with_name("tubepost")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_for_the_command(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_TUBEPOST_COMPLETE={shell}_complete" in done.output


def test_another_shell_is_refused() -> None:
    assert CliRunner().invoke(main, ["completion", "csh"]).exit_code == 2


def completed(before: list[str], incomplete: str) -> list[str]:
    completer = BashComplete(main, {}, "tubepost", "_TUBEPOST_COMPLETE")
    return [item.value for item in completer.get_completions(before, incomplete)]


def test_commands_options_and_known_values_are_completed() -> None:
    assert completed([], "va") == ["validate"]
    assert {"run", "import", "queue"} <= set(completed([], ""))
    assert completed([], "--ver") == ["--version"]
    assert completed(["import"], "--acc") == ["--acceptance"]
    assert completed(["import", "--acceptance"], "Q") == ["Queued"]
    assert completed(["completion"], "z") == ["zsh"]
    assert completed(["credentials"], "ins") == ["inspect"]


def test_commands_are_completed_without_being_imported() -> None:
    code = (
        "import sys; from click.shell_completion import BashComplete; from tubepost_cli.main import main\n"
        "BashComplete(main, {}, 'tubepost', 'X').get_completions([], 'r')\n"
        "assert 'tubepost_cli.run' not in sys.modules, 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_bash_completes_by_the_script() -> None:
    script = """
        eval "$(tubepost completion bash)"
        COMP_WORDS=(tubepost val); COMP_CWORD=1
        _tubepost_completion tubepost val tubepost
        echo "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{TUBEPOST.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120, env=environment
    )
    assert done.stdout == "validate\n", done.stderr
