"""`tubepost queue flush|hold|release|drop`: counts first, then the change."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

from tubepost_cli import queue_text as text
from tubepost_cli.queue_client import Document
from tubepost_cli.queue_options import (
    chosen_by,
    client_of,
    collect,
    connection,
    echo,
    end,
    filters,
    print_json,
)
from tubepost_dispatcher.queue_request import Action

F = TypeVar("F", bound=Callable[..., Any])


def _change_options(function: F) -> F:
    for option in (
        click.option("--by", metavar="NAME", help="Who does it, for the log.  [default: the user]"),
        click.option("--reason", default="", metavar="TEXT", help="Why, for the log."),
        click.option(
            "--all", "everything", is_flag=True, help="Everything in the queue, instead of a filter."
        ),
    ):
        function = option(function)
    return click.argument("ids", nargs=-1, metavar="[ID | pushdomain/NAME]...")(filters(function))


@click.command(short_help="Try notifications now that wait for their next attempt.")
@_change_options
@click.option("--dry-run", is_flag=True, help="Count only.")
@connection
def flush(**options: Any) -> None:
    """Make notifications due now, which wait for their next attempt; those that are held stay held.

    They are tried in turns with the rest: a route that takes nothing is not flooded.

    \b
    tubepost queue flush --last-reason ServiceUnavailable
    tubepost queue flush 018bcfe568000000a1b2c3d4e
    """
    _change(Action.FLUSH, options)


@click.command(short_help="Keep notifications, and do not try them until they are released.")
@_change_options
@click.option("--dry-run", is_flag=True, help="Count only.")
@connection
def hold(**options: Any) -> None:
    """Keep notifications and do not try them until they are released; needs --reason.

    A hold survives restarts, and what is held does not expire: it keeps a pod that is to go until it is
    released or dropped. `show` and `summary` say who holds what, since when and why. What is being sent just
    then is held should that attempt fail.

    \b
    tubepost queue hold --sender news@example.com --reason 'wrong text, see INC-7'
    """
    _change(Action.HOLD, options)


@click.command(short_help="Let go what is held.")
@_change_options
@click.option("--dry-run", is_flag=True, help="Count only.")
@connection
def release(**options: Any) -> None:
    """Let go what is held: it is due at once, and what has expired meanwhile ends as Expired.

    \b
    tubepost queue release --sender news@example.com
    tubepost queue release --all
    """
    _change(Action.RELEASE, options)


@click.command(short_help="Give notifications up for good; a dry run without --yes.")
@_change_options
@click.option("--yes", is_flag=True, help="Do it; else it is counted only.")
@connection
def drop(**options: Any) -> None:
    """Give notifications up: they end as Dropped, a permanent failure, which cannot be undone.

    A dry run that counts, unless --yes is given; with it, --reason is needed and logged with the counts.
    ApnLoggers, metrics and the journal hear each end. What is being sent just then is left alone.

    \b
    tubepost queue drop --domain apn_example.com --older-than 48h
    tubepost queue drop --domain apn_example.com --older-than 48h --yes --reason 'no use any more, INC-7'
    """
    options["dry_run"] = not options["yes"]
    _change(Action.DROP, options)


_PAST: Final = {
    Action.FLUSH: "made due",
    Action.HOLD: "held",
    Action.RELEASE: "released",
    Action.DROP: "dropped",
}


def _change(action: Action, options: Mapping[str, Any]) -> None:
    chosen = chosen_by(options)
    if not chosen and not options["everything"]:
        raise click.UsageError("Say what: ids, a filter such as --domain NAME, or --all.")
    if chosen and options["everything"]:
        raise click.UsageError("--all is everything: leave the filter and the ids out, or --all.")
    dry_run = options["dry_run"]
    if action in {Action.HOLD, Action.DROP} and not dry_run and not options["reason"].strip():
        raise click.UsageError("--reason TEXT is needed: it is logged, and says why to whoever asks later.")
    body = {
        **({"filter": chosen} if chosen else {"all": True}),
        "by": options["by"] or user(),
        "reason": options["reason"],
    }
    client = client_of(options, "counted")
    before = collect(client.change(action, {**body, "dryRun": True}))
    groups = before.groups
    if not options["as_json"]:
        echo(text.counts(groups, time.time()))
    if dry_run or not groups:
        _report(action, options, groups, [], 0)
        end(client)
    doing = client_of(options, _PAST[action])
    # From the moment at which they were counted: what has come since is not concerned.
    after = collect(doing.change(action, {**body, "dryRun": False}, before.last["start"]))
    _report(action, options, groups, after.groups, after.under_way)
    doing.problems = [*client.problems, *(one for one in doing.problems if one not in client.problems)]
    end(doing)


def _report(
    action: Action,
    options: Mapping[str, Any],
    counted: Sequence[Document],
    changed: Sequence[Document],
    under_way: int,
) -> None:
    done = sum(one["notifications"] for one in changed)
    if options["as_json"]:
        print_json(
            {
                "action": action.value,
                "dryRun": options["dry_run"],
                "counted": counted,
                "changed": changed,
                "underWay": under_way,
            }
        )
    elif options["dry_run"]:
        if counted:
            how = "--yes --reason TEXT does it" if action is Action.DROP else "without --dry-run it is done"
            click.echo(f"Dry run: nothing was changed; {how}.")
    elif counted:
        click.echo(f"{done:,} {_PAST[action]}.")
        if under_way:
            click.echo(
                f"Being sent meanwhile: {under_way:,}, "
                + ("held should that fail." if action is Action.HOLD else "left alone.")
            )


def user() -> str:
    """Who runs the command, for logs."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return f"uid {os.getuid()}"
