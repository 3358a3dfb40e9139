"""The manual page of the command, from the commands themselves: `man tubepost` where pip has installed it.

Source of the form: man-pages(7) and groff_man(7).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from tubepost_cli.main import main

_SEE_ALSO = "https://github.com/tubepost/tubepost"
_EXIT = (
    ("0", "done: delivered or queued, valid, converted"),
    ("1", "not done: a permanent failure, something is wrong with a credential, a port is taken"),
    ("2", "the command line, the manifests or the configuration have errors"),
    ("75", "a transient failure: try again later (send)"),
)


def outputs() -> dict[str, str]:
    """The page."""
    return {"cli/man/tubepost.1": page()}


def page() -> str:
    """The whole text."""
    lines = [
        '.\\" Generated from the commands: make generate',
        '.TH TUBEPOST 1 "" Tubepost "User Commands"',
        ".SH NAME",
        "tubepost \\- mail in at one end, push notifications out at the other",
        ".SH SYNOPSIS",
        ".B tubepost",
        ".I COMMAND",
        "[\\fIOPTIONS\\fR]",
        ".SH DESCRIPTION",
        *_prose(main.help or ""),
        ".SH COMMANDS",
    ]
    context = click.Context(main, info_name="tubepost")
    for words, command in _commands(main, ("tubepost",), context):
        lines += _section(words, command)
    lines.append(".SH EXIT STATUS")
    for status, meaning in _EXIT:
        lines += [".TP", f".B {status}", escaped(meaning)]
    lines += [
        ".SH ENVIRONMENT",
        ".TP",
        ".B TUBEPOST_PASSWORD",
        "Password of tubepost send.",
        ".SH SEE ALSO",
        escaped(_SEE_ALSO),
    ]
    return "\n".join(lines) + "\n"


def _commands(
    group: click.Group, words: tuple[str, ...], context: click.Context
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield (*words, name), command
            yield from _commands(command, (*words, name), context)
        else:
            yield (*words, name), command


def _section(words: tuple[str, ...], command: click.Command) -> list[str]:
    context = click.Context(command, info_name=" ".join(words))
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f".SS {escaped(' '.join(words))}", f".B {escaped(' '.join(words))}", escaped(usage), ".PP"]
    lines += _prose(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[0] != "-h, --help":
            lines += [".TP", f".B {escaped(record[0])}", escaped(" ".join(record[1].split()))]
    return lines


def _prose(text: str) -> list[str]:
    """Paragraphs; those after a backspace keep their lines."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            kept = [escaped(line) for line in paragraph.splitlines()[1:]]
            lines += [".PP", ".nf", *kept, ".fi"]
        else:
            lines += [".PP", *(escaped(line.strip()) for line in paragraph.splitlines())]
    return lines[1:] if lines[:1] == [".PP"] else lines


def escaped(text: str) -> str:
    """A line of text as roff takes it."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.lstrip(" ")[:1] in {".", "'"} else text
