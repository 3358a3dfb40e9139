from __future__ import annotations

from tubepost_cli.kubectl.complete import candidates
from tubepost_cli.kubectl.main import COMMANDS


def test_commands_and_their_help() -> None:
    lines = candidates([""])
    assert [line.partition("\t")[0] for line in lines] == [*COMMANDS, ":4"]
    assert candidates(["sta"]) == [f"status\t{COMMANDS['status'][1]}", ":4"]
    assert len(candidates([])) == len(COMMANDS) + 1


def test_sub_commands_options_and_choices() -> None:
    assert candidates(["queue", "rel"])[0].startswith("release\t")
    assert any(line.startswith("--for\t") for line in candidates(["suspend", "--"]))
    assert candidates(["status", "-o", "j"]) == ["json", ":4"]


def test_files_are_the_shells() -> None:
    assert candidates(["report", "-f", "re"]) == [":0"]
