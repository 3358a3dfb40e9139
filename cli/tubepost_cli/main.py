"""`tubepost`: one command, its sub-commands loaded when they are used."""

from __future__ import annotations

import importlib
import keyword

import click
from click.shell_completion import CompletionItem

from tubepost_cli.program import Program, unknown_command

_COMMANDS = {
    "run": "Serve PushDomains from manifests: SMTP in, APNs out.",
    "demo": "Show the whole way of one message on this machine, and end.",
    "send": "Inject one push notification over SMTP and print its outcome.",
    "validate": "Check manifests without a cluster.",
    "import": "Convert the configuration of a Momentum mail server.",
    "policy": "Try hooks out, without a dispatcher.",
    "queue": "Look at the queue of a running dispatcher, and change it.",
    "channels": "List, make, show and delete broadcast channels.",
    "simulator": "Run an APNs to develop against.",
    "credentials": "Make throw-away credentials, inspect real ones.",
    "completion": "Print what a shell needs to complete this command.",
}


class _LazyGroup(Program):
    """Imports a sub-command's module only when it is run: `tubepost --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            if ctx.resilient_parsing:
                return None
            raise click.UsageError(unknown_command(cmd_name, _COMMANDS), ctx)
        # A name that Python keeps for itself, such as import, has an underscore after it.
        module = importlib.import_module(f"tubepost_cli.{cmd_name}{'_' * keyword.iskeyword(cmd_name)}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Called by click; without importing every sub-command."""
        names = [name for name in _COMMANDS if name.startswith(incomplete)]
        found = [CompletionItem(name, help=_COMMANDS[name]) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from tubepost_dispatcher import build_info  # noqa: PLC0415 - help stays quick

        click.echo(f"tubepost, version {build_info.line()}")
        ctx.exit()


@click.command(
    cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version, and whether hot modules are compiled, and exit.",
)
def main() -> None:
    """Mail in at one end, push notifications out at the other.

    Tubepost takes MCMT messages (mail with a message/vnd.msys.apn part) by SMTP and hands them to Apple's
    push service. On a laptop it reads the same manifests that a cluster takes by `kubectl apply`.

    \b
    See it work, without credentials or a cluster:
      tubepost demo
    Serve manifests against a simulated APNs, and send something:
      tubepost run -f examples/ --simulator
      tubepost send --domain apn_example.com --token $(printf 'ab%.0s' {1..32}) --alert 'Hello'
    """
