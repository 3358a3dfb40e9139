"""What the commands of `tubepost queue` share: options, and answers put together."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

import click

from tubepost_cli.kubectl.options import cluster_of, cluster_options, in_cluster
from tubepost_cli.kubectl.pods_client import client_of_pods
from tubepost_cli.kubectl.targets import find
from tubepost_cli.queue_client import EX_PARTLY, Document, QueueClient
from tubepost_cli.queue_text import seconds_of, shown, stamp_of
from tubepost_dispatcher.queue_request import Group, add_up

F = TypeVar("F", bound=Callable[..., Any])

MOST_GROUPS: Final = 1_000
"""Groups of a summary; beyond, the smallest are put together."""
_LOOPBACK: Final = "http://127.0.0.1:{port}"


def connection(function: F) -> F:
    """Options that say which dispatchers are asked, and how it is shown."""
    function = cluster_options(function)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs."),
        click.option(
            "--port", default=9091, show_default=True, type=click.IntRange(1, 65535), help="The admin port."
        ),
        click.option(
            "--admin",
            metavar="URL",
            envvar="TUBEPOST_ADMIN",
            help="The admin API, instead of --port on this machine (behind kubectl port-forward, say).",
        ),
    ):
        function = option(function)
    return function


def filters(function: F) -> F:
    """Options that say which notifications are meant."""
    for option in (
        click.option(
            "--held/--not-held", "held", default=None, help="Only what an operator holds, or the rest."
        ),
        click.option("--younger-than", metavar="DURATION", help="Accepted at most so long ago."),
        click.option(
            "--older-than", metavar="DURATION", help="Accepted at least so long ago, such as 90s or 2h30m."
        ),
        click.option(
            "--last-reason", metavar="WORD", help="Reason of the last attempt; '' for what was not tried yet."
        ),
        click.option("--sender", metavar="ADDRESS", help="MAIL FROM; '' or '<>' for the null sender."),
        click.option("--route", metavar="NAME", help="ApnRoute of the last attempt."),
        click.option("--domain", metavar="NAME", help="Domain of the recipient."),
    ):
        function = option(function)
    return function


_FILTERS: Final = {
    "domain": "domain",
    "route": "route",
    "sender": "sender",
    "last_reason": "lastReason",
    "older_than": "olderThan",
    "younger_than": "youngerThan",
    "held": "held",
}


def chosen_by(options: Mapping[str, Any]) -> dict[str, Any]:
    """The filter as the admin API has it. Words with a slash are pods and PushDomains, not ids."""
    chosen = {name: options[key] for key, name in _FILTERS.items() if options.get(key) is not None}
    ids = [word for word in options.get("ids", ()) if "/" not in word]
    return {**chosen, **({"id": ids} if ids else {})}


def pairs_of(chosen: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The filter as parameters of the admin API."""
    pairs = [(name, value) for name, value in chosen.items() if name != "id"]
    pairs += [("id", one) for one in chosen.get("id", ())]
    return [(name, str(value).lower() if isinstance(value, bool) else value) for name, value in pairs]


def one_id(words: Sequence[str]) -> str:
    """The message that a command is about, beside pods and PushDomains."""
    ids = [word for word in words if "/" not in word]
    if len(ids) != 1:
        raise click.UsageError("Give one message id, as the 250 named it.")
    return ids[0]


def client_of(options: Mapping[str, Any], verb: str = "looked at") -> QueueClient:
    """The dispatchers that the options name; `verb`: what is done, for the progress on a terminal."""
    places = [word for word in options.get("ids", ()) if "/" in word]
    if options["admin"] is None and in_cluster(options, places):
        cluster = cluster_of(options)
        return client_of_pods(cluster, find(cluster, places), _Progress(verb))
    url = options["admin"] or _LOOPBACK.format(port=options["port"])
    if "://" not in url:
        raise click.BadParameter(f"{url!r} is no URL, such as http://127.0.0.1:9091.", param_hint="--admin")
    return QueueClient(url, _Progress(verb))


class _Progress:
    """Says on a terminal how far long work is."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._count = 0
        self._shown = sys.stderr.isatty()

    def __call__(self, document: Document) -> None:
        if not self._shown or "groups" not in document:
            return
        self._count += document.get("lookedAt", sum(one["notifications"] for one in document["groups"]))
        if document["next"] is not None:
            click.echo(f"\r{self._count:,} {self._verb} ...", nl=False, err=True)
        elif self._count:
            click.echo("\r" + " " * 60 + "\r", nl=False, err=True)


def end(client: QueueClient, status: int = 0) -> NoReturn:
    """Say what is missing, and end with the exit status."""
    for problem in client.problems:
        click.echo(f"{click.style('missing', fg='yellow')}: {shown(problem, 300)}", err=True)
    raise SystemExit(EX_PARTLY if client.problems and status == 0 else status)


@dataclass
class Collected:
    """Several answers to one request, added up.

    Attributes:
        first, last: the first answer, and the latest.
        groups: those of all of them.
        under_way: notifications that were left alone, since they are being sent.
    """

    first: Document
    last: Document
    groups: list[Document] = field(default_factory=list)
    under_way: int = 0


def collect(documents: Iterable[Document]) -> Collected:
    """Add up answers as they come; there is at least one."""
    found: Collected | None = None
    groups: list[Group] = []
    for document in documents:
        found = found or Collected(document, document)
        found.last = document
        found.under_way += document.get("underWay", 0)
        groups = add_up([*groups, *map(_group, document["groups"])], MOST_GROUPS)
    assert found is not None
    found.groups = [_shown(one) for one in groups]
    return found


def _group(one: Document) -> Group:
    return Group(
        one["domain"],
        one["route"],
        one["lastReason"],
        one["hold"],
        one["notifications"],
        one["due"],
        seconds_of(one["oldest"]),
        one["bytes"],
    )


def _shown(one: Group) -> Document:
    return {
        "domain": one.domain,
        "route": one.route,
        "lastReason": one.reason,
        "hold": one.hold,
        "notifications": one.queued,
        "due": one.due,
        "oldest": stamp_of(one.oldest),
        "bytes": one.size,
    }


def print_json(document: object) -> None:
    """For programs."""
    click.echo(json.dumps(document, indent=2))


def echo(lines: Sequence[str]) -> None:
    """For people."""
    for line in lines:
        click.echo(line)
