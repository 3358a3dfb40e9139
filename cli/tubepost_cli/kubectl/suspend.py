"""`kubectl tubepost suspend`: delivery stops for a while, by an annotation, with a reason."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from tubepost_api.durations import parse_duration
from tubepost_api.suspension import Suspension, suspending
from tubepost_cli.kubectl.cluster import Cluster
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.targets import PUSH_DOMAINS, named
from tubepost_cli.queue_change import user
from tubepost_cli.queue_text import moment, span, stamp_of

_MOST_REASON: Final = 200


@click.command(short_help="Stop delivery for a while, with a reason.")
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; `status` shows it.")
@click.option(
    "--for", "duration", metavar="DURATION", help="How long, such as 30m.  [default: until `resume`]"
)
@click.option("--by", metavar="NAME", help="Who does it.  [default: the user]")
@cluster_options
def command(name: str, reason: str, duration: str | None, by: str | None, **options: Any) -> None:
    """Stop delivery of a PushDomain, as spec.delivery.mode Suspend does, for all of its domains.

    Nothing is sent. With a queue, messages are taken and kept; without one, senders are told 451 and keep
    them. The spec stays as it is: who, why and until when stands in the annotation tubepost.io/suspended;
    `status` and the condition Delivering show it.

    With --for, the operator ends it at that time; `resume` does so sooner, and another `suspend` names
    another end.

    \b
    kubectl tubepost suspend alerts --reason 'wrong text, see INC-7'
    kubectl tubepost suspend alerts --reason 'wrong text, see INC-7' --for 30m

    What is in the queue already and should wait alone: `kubectl tubepost queue hold`.
    """
    seconds = _seconds(duration)
    if not reason.strip():
        raise click.UsageError("--reason TEXT is needed: it says why to whoever asks later.")
    cluster = cluster_of(options)
    name = name.removeprefix("pushdomain/")
    until = time.time() + seconds if seconds else None
    suspend(cluster, name, reason[:_MOST_REASON], by or user(), until)
    sooner = f"`kubectl tubepost resume {name}`"
    if until is None:
        click.echo(f"Delivery of PushDomain {name} is suspended until {sooner}; nothing ends it by itself.")
    else:
        click.echo(
            f"Delivery of PushDomain {name} is suspended until {moment(stamp_of(until))}"
            f" ({span(until - time.time())}): the operator ends it then, {sooner} sooner."
        )


def suspend(cluster: Cluster, name: str, reason: str, by: str, until: float | None) -> None:
    """Suspend a PushDomain; one that is suspended already gets the new reason and end.

    Raises:
        ClusterFailed: the API server does not do it.
    """
    push_domain = named(cluster, name)
    end = stamp_of(until) if until is not None else ""
    suspension = Suspension(by, reason, stamp_of(time.time()), end)
    cluster.patch(PUSH_DOMAINS, name, suspending(push_domain, suspension))


def _seconds(duration: str | None) -> float:
    if duration is None:
        return 0.0
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise click.BadParameter(f"{error}, such as 30m or 1h30m", param_hint="--for") from None
    if seconds <= 0:
        raise click.BadParameter("it has to be longer than that", param_hint="--for")
    return seconds
