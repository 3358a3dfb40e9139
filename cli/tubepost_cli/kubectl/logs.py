"""`kubectl tubepost logs`: the logs of all pods of a PushDomain, put together by time."""

from __future__ import annotations

import heapq
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.targets import DispatcherPod, find
from tubepost_cli.queue_client import EX_PARTLY

Line = tuple[str, str, str]
"""Time, pod and text."""
_MOST_WAITING: Final = 10_000
"""Lines that wait to be printed; beyond, pods wait."""


@click.command(short_help="Show the logs of all pods, put together.")
@click.argument("places", nargs=-1, metavar="[NAME | pod/NAME]...")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("--since", metavar="DURATION", help="Only what is younger, such as 10m.")
@click.option("--tail", default=-1, metavar="N", help="At most so many lines of each pod.  [default: all]")
@click.option("--previous", is_flag=True, help="Of the containers before the last restart.")
@cluster_options
def command(places: Sequence[str], follow: bool, since: str | None, tail: int, **options: Any) -> None:
    """Show the logs of all pods of PushDomains, put together by time, each line with its pod before it.

    \b
    kubectl tubepost logs alerts --since 10m
    kubectl tubepost logs alerts --follow --tail 20
    kubectl tubepost logs alerts -n shop | grep 018bcfe568000000a1b2c3d4e
    """
    cluster = cluster_of(options)
    pods = find(cluster, places)
    wanted = [f"--tail={tail}"]
    wanted += [f"--since={since}"] if since else []
    wanted += ["--previous"] if options["previous"] else []
    problems: list[str] = []
    streams = [_of(cluster, pod, wanted, problems, follow=follow) for pod in pods]
    for _, pod_name, text in _as_they_come(streams) if follow else heapq.merge(*streams):
        click.echo(f"{click.style(pod_name, fg='cyan')} {text}")
    for problem in problems:
        click.echo(f"{click.style('missing', fg='yellow')}: {problem}", err=True)
    if problems:
        raise SystemExit(EX_PARTLY)


def _of(
    cluster: Cluster, pod: DispatcherPod, wanted: Sequence[str], problems: list[str], *, follow: bool
) -> Iterator[Line]:
    try:
        for line in cluster.logs(pod.name, pod.container, follow=follow, options=wanted):
            stamp, _, text = line.partition(" ")
            yield stamp, pod.name, text
    except ClusterFailed as error:
        problems.append(f"pod {pod.name}: {error.message}")


def _as_they_come(streams: Sequence[Iterator[Line]]) -> Iterator[Line]:
    lines: queue.Queue[Line | None] = queue.Queue(_MOST_WAITING)

    def pump(stream: Iterator[Line]) -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    for stream in streams:
        threading.Thread(target=pump, args=(stream,), daemon=True).start()
    left = len(streams)
    while left:
        line = lines.get()
        if line is None:
            left -= 1
        else:
            yield line
