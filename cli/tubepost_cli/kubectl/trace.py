"""`kubectl tubepost trace`: one message from SMTP to its outcome, over all pods."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import click

from tubepost_cli import queue_text as text
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.pods_client import client_of_pods
from tubepost_cli.kubectl.targets import find
from tubepost_cli.output_format import output_format
from tubepost_cli.queue_options import echo, end, one_id, print_json
from tubepost_dispatcher.queue_request import MOST_LISTED
from tubepost_dispatcher.reasons.catalogue import lookup
from tubepost_dispatcher.reasons.spec import ReasonSpec
from tubepost_runtime.words import counted

EX_NOT_FOUND: Final = 1
_WIDTH: Final = 100
Document = Mapping[str, Any]


@click.command(short_help="Explain one message, from SMTP to its outcome.")
@click.argument("words", nargs=-1, metavar="ID [pushdomain/NAME]...")
@output_format
@cluster_options
def command(words: Sequence[str], output: str, **options: Any) -> None:
    """Explain one message, from SMTP to its outcome.

    Received from whom, every attempt, its outcome, where it is now, and what the reasons mean. All pods of
    the namespace's PushDomains are asked, or those that are named.

    ID is the message id that the 250 named, and logs have. What ended is in each pod's journal, which has a
    bounded size and, without a volume, lasts as long as the pod.

    \b
    kubectl tubepost trace 018bcfe568000000a1b2c3d4e
    kubectl tubepost trace 018bcfe568000000a1b2c3d4e -n shop pushdomain/alerts

    Exit status 1: no pod knows the message; 3: some pods could not be asked.
    """
    message_id = one_id(words)
    cluster = cluster_of(options)
    pods = find(cluster, [word for word in words if "/" in word])
    client = client_of_pods(cluster, pods, lambda _: None)
    documents = list(client.read("/queue/trace", [("id", message_id), ("limit", str(MOST_LISTED))]))
    events = sorted((one for document in documents for one in document["events"]), key=lambda one: one["at"])
    queued = [one for document in documents for one in document["notifications"]]
    specs = meanings((*events, *queued))
    if output == "json":
        reasons = {one.reason: {"means": one.help, "remedy": one.remedy} for one in specs}
        print_json({"id": message_id, "events": events, "notifications": queued, "reasons": reasons})
    elif events or queued:
        echo([*text.life(events, queued, time.time()), *explained(specs)])
    if events or queued:
        end(client)
    missing = f"; {len(client.problems)} of them could not be asked" if client.problems else ""
    click.echo(
        f"Message {text.shown(message_id)} is in no queue and no journal of"
        f" {counted(len(pods), 'pod')}{missing}. Ids are those of Tubepost's replies and logs. A journal"
        " without a volume ends with its pod; an ApnLogger keeps outcomes for as long as you like.",
        err=True,
    )
    end(client, EX_NOT_FOUND)


def meanings(documents: Iterable[Document]) -> list[ReasonSpec]:
    """The rows of the catalogue for the reasons in events and queued notifications, each once."""
    found: dict[str, ReasonSpec] = {}
    for one in documents:
        reason = one.get("reason") or one.get("lastReason")
        if reason and reason not in found:
            found[reason] = lookup(one.get("status") or 0, reason)
    return list(found.values())


def explained(specs: Iterable[ReasonSpec]) -> list[str]:
    """What reasons mean and what to do about them, for people."""
    lines = []
    for spec in specs:
        words = f"{spec.reason}: {spec.help} {spec.remedy}".strip()
        lines += ["", *textwrap.wrap(text.shown(words, 600), _WIDTH, subsequent_indent="  ")]
    return lines
