"""`tubepost queue`: look at the queue of a running dispatcher, and change it."""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Final

import click

from tubepost_cli import queue_change
from tubepost_cli import queue_text as text
from tubepost_cli.queue_options import (
    chosen_by,
    client_of,
    collect,
    connection,
    echo,
    end,
    filters,
    one_id,
    pairs_of,
    print_json,
)
from tubepost_dispatcher.queue_request import MOST_LISTED
from tubepost_runtime.words import counted

EX_NOT_FOUND: Final = 1
"""Exit status: no such message."""


class _InOrder(click.Group):
    """Lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)


@click.group(cls=_InOrder)
def command() -> None:
    """Look at the queue of a running dispatcher, and change it.

    \b
    What is queued, and why:
      tubepost queue summary
      tubepost queue list --last-reason ServiceUnavailable --older-than 2h
    One message, by the id that the 250 named:
      tubepost queue show 018bcfe568000000a1b2c3d4e
      tubepost queue trace 018bcfe568000000a1b2c3d4e
    Try now what waits for its next attempt:
      tubepost queue flush --domain apn_example.com
    Keep messages and do not try them, until they are released:
      tubepost queue hold --sender news@example.com --reason 'wrong text, see INC-7'
      tubepost queue release --sender news@example.com
    Give messages up. A dry run, unless it is told to do it:
      tubepost queue drop --sender news@example.com --older-than 24h
      tubepost queue drop --sender news@example.com --older-than 24h --yes --reason INC-7

    The dispatcher is asked on its admin port, which it opens on loopback only. In a cluster each pod has a
    queue of its own; all pods of a PushDomain, or of a namespace, are asked through the API server:

    \b
      tubepost queue summary -n shop pushdomain/alerts
      kubectl tubepost queue summary -n shop

    Filters choose what matches all of them. They choose what is in the queue now: what is accepted later is
    not concerned. For that, set spec.delivery.mode to Suspend.

    \b
    Exit status:
      0   done
      1   no such message (show, trace)
      2   wrong usage, or the dispatcher refused the request; its words say why
      3   done in part: standard error says what could not be reached
      69  no dispatcher answers
    """


# -- reading -----------------------------------------------------------------------------------------------


@command.command(short_help="Count what is queued, by domain and by reason.")
@click.argument("ids", nargs=-1, metavar="[pushdomain/NAME]...")
@filters
@connection
def summary(**options: Any) -> None:
    """Count what is queued: by domain, by reason of the last attempt, what is due, what is held.

    \b
    tubepost queue summary
    tubepost queue summary --domain apn_example.com --json
    """
    client = client_of(options)
    found = collect(client.read("/queue/summary", pairs_of(chosen_by(options))))
    partitions = found.last["partitions"]
    if options["as_json"]:
        print_json({"asOf": found.first["asOf"], "partitions": partitions, "groups": found.groups})
    else:
        echo(text.summary(partitions, found.groups, time.time()))
        lost = found.last["journal"]["linesLost"]
        if lost:
            click.echo(f"The journal has lost {counted(lost, 'line')}: trace will not find what they told.")
    end(client)


@command.command("list", short_help="List notifications in the queue.")
@click.argument("ids", nargs=-1, metavar="[ID | pushdomain/NAME]...")
@filters
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(0), help="At most so many; 0: all of them."
)
@connection
def list_(**options: Any) -> None:
    """List notifications in the queue, the ones that came first at the top; with --json one object a line.

    \b
    tubepost queue list --sender news@example.com
    tubepost queue list --last-reason TooManyRequests --older-than 1h --limit 0 --json > queued.jsonl
    """
    client = client_of(options)
    left = options["limit"] or sys.maxsize
    page = [("limit", str(min(left, MOST_LISTED)))]
    shown = 0
    for document in client.read("/queue/notifications", pairs_of(chosen_by(options)) + page):
        found = document["notifications"][:left]
        left -= len(found)
        if options["as_json"]:
            for one in found:
                click.echo(json.dumps(one))
        elif found:
            lines = text.listed(found, time.time())
            echo(lines if not shown else lines[1:])
        shown += len(found)
        if not left:
            if document["next"] is not None:
                click.echo(
                    f"The first {shown:,}; --limit 0 lists all, `tubepost queue summary` counts.", err=True
                )
            break
    if not shown and not options["as_json"]:
        click.echo("Nothing in the queue matches.")
    end(client)


@command.command(short_help="Show one message in the queue.")
@click.argument("ids", nargs=-1, metavar="ID [pushdomain/NAME]...")
@connection
def show(**options: Any) -> None:
    """Show one message in the queue: all its notifications, without payload and with short device tokens.

    \b
    tubepost queue show 018bcfe568000000a1b2c3d4e
    """
    message_id = one_id(options["ids"])
    client = client_of(options)
    pairs = [("id", message_id), ("limit", str(MOST_LISTED))]
    found = [
        one for document in client.read("/queue/notifications", pairs) for one in document["notifications"]
    ]
    if options["as_json"]:
        print_json(found)
    else:
        for number, one in enumerate(found):
            echo([*([""] if number else []), *text.one_notification(one, time.time())])
    if not found:
        click.echo(
            f"Message {text.shown(message_id)} is not in this queue. `tubepost queue trace` says what became"
            " of it; each pod has a queue of its own.",
            err=True,
        )
    end(client, 0 if found else EX_NOT_FOUND)


@command.command(short_help="Tell one message's life, from SMTP to its outcome.")
@click.argument("ids", nargs=-1, metavar="ID [pushdomain/NAME]...")
@connection
def trace(**options: Any) -> None:
    """Tell one message's life from SMTP to its outcome, also some time after it has ended.

    What ended is in a journal of bounded size: 64 MiB for each worker beside the queue, about 200,000
    notifications, which outlives the worker. Without a queue (`tubepost run` without --queue-dir) the journal
    is in memory: the last 5,000 of each worker, until it ends.

    \b
    tubepost queue trace 018bcfe568000000a1b2c3d4e
    """
    message_id = one_id(options["ids"])
    client = client_of(options)
    documents = list(client.read("/queue/trace", [("id", message_id), ("limit", str(MOST_LISTED))]))
    events = sorted((one for document in documents for one in document["events"]), key=lambda one: one["at"])
    queued = [one for document in documents for one in document["notifications"]]
    if options["as_json"]:
        print_json({"id": message_id, "events": events, "notifications": queued})
    elif events or queued:
        echo(text.life(events, queued, time.time()))
    if not events and not queued:
        journal = documents[0]["journal"]
        kept = "beside the queue" if journal["outlivesWorkers"] else "in memory, until a worker ends"
        click.echo(
            f"Message {text.shown(message_id)} is neither in this queue nor in its journal (kept {kept})."
            " Each pod has its own; an ApnLogger keeps outcomes for as long as you like.",
            err=True,
        )
    end(client, 0 if events or queued else EX_NOT_FOUND)


for _command in (queue_change.flush, queue_change.hold, queue_change.release, queue_change.drop):
    command.add_command(_command)
