"""`kubectl-tubepost`, which kubectl runs as `kubectl tubepost`: sub-commands loaded when they are used."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import Final

import click

from tubepost_cli.program import Program, unknown_command

COMMANDS: Final = {
    "status": ("kubectl.status", "Show PushDomains on one screen."),
    "trace": ("kubectl.trace", "Explain one message, from SMTP to its outcome."),
    "queue": ("queue", "Look at the queues, and change them."),
    "suspend": ("kubectl.suspend", "Stop delivery for a while, with a reason."),
    "resume": ("kubectl.resume", "Let delivery go on."),
    "send": ("kubectl.send", "Inject one push notification, and print its outcome."),
    "logs": ("kubectl.logs", "Show the logs of all pods, put together."),
    "report": ("kubectl.report", "Write a support bundle; secrets are left out."),
}
"""Commands: their modules below tubepost_cli, and what they do."""


class _LazyGroup(Program):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:
                return None
            raise click.UsageError(unknown_command(cmd_name, COMMANDS), ctx)
        command = importlib.import_module(f"tubepost_cli.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])


@click.command(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(version("tubepost"), prog_name="kubectl-tubepost")
@click.pass_context
def plugin(ctx: click.Context) -> None:
    """Tubepost in a cluster: see what it does, steer it, find out why.

    Everything goes through the API server, with your own rights and kubectl's own ways to log in; pods are
    asked by port-forward.

    \b
    kubectl tubepost status
    kubectl tubepost trace 018bcfe568000000a1b2c3d4e -n shop
    kubectl tubepost suspend alerts --reason 'wrong text, see INC-7' --for 30m
    """
    ctx.meta["tubepost.plugin"] = True


def main() -> None:
    """The program's entry."""
    plugin(prog_name="kubectl tubepost")
