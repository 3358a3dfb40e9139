"""`kubectl tubepost suspend`: delivery stops for a while, by the PushDomain's spec, with a reason."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from typing import Any, Final

import click

from tubepost_api.config import DeliveryMode
from tubepost_api.durations import parse_duration
from tubepost_cli.kubectl.cluster import Cluster
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.resume import resume
from tubepost_cli.kubectl.suspension import Suspension, mode_of, own_modes, read, suspending
from tubepost_cli.kubectl.targets import PUSH_DOMAINS
from tubepost_cli.queue_change import user
from tubepost_cli.queue_text import moment, span, stamp_of

_MOST_REASON: Final = 200


@click.command(short_help="Stop delivery for a while, with a reason.")
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why; `status` shows it.")
@click.option(
    "--for",
    "duration",
    metavar="DURATION",
    help="How long, such as 30m: the command waits, and resumes delivery.  [default: until `resume`]",
)
@click.option("--by", metavar="NAME", help="Who does it.  [default: the user]")
@cluster_options
def command(name: str, reason: str, duration: str | None, by: str | None, **options: Any) -> None:
    """Stop delivery of a PushDomain: spec.delivery.mode becomes Suspend, for its domains too.

    Nothing is sent. With a queue, messages are taken and kept; without one, senders are told 451 and keep
    them. Who, why and until when stands in the annotation tubepost.io/suspended; `status` shows it.

    With --for, the command waits for the end and resumes delivery itself. It has to stay: nothing in the
    cluster ends a suspension. Interrupted, it resumes delivery at once.

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
    if until is None:
        click.echo(
            f"Delivery of PushDomain {name} is suspended until `kubectl tubepost resume {name}`;"
            " nothing ends it by itself."
        )
        return
    click.echo(
        f"Delivery of PushDomain {name} is suspended until {moment(stamp_of(until))}. This command has to"
        f" stay until then ({span(until - time.time())}): it resumes delivery; Ctrl-C does so at once."
    )
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        while (left := until - time.time()) > 0:
            time.sleep(min(left, 1.0))
    except KeyboardInterrupt:
        click.echo("")
    finally:
        # Whatever ended the wait: a suspension that nobody ends is what --for is there against.
        click.echo(resume(cluster, name))


def suspend(cluster: Cluster, name: str, reason: str, by: str, until: float | None) -> None:
    """Suspend a PushDomain; one that is suspended already gets the new reason, and keeps what was before.

    Raises:
        ClusterFailed: the API server does not do it.
    """
    push_domain = cluster.object(PUSH_DOMAINS, name)
    now = stamp_of(time.time())
    end = stamp_of(until) if until is not None else ""
    suspension = Suspension(by, reason, now, end, mode_of(push_domain), own_modes(push_domain))
    earlier = read(push_domain)
    if earlier is not None and mode_of(push_domain) == DeliveryMode.SUSPEND:
        suspension = replace(suspension, mode=earlier.mode, domains=earlier.domains)
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
