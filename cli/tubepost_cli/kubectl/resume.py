"""`kubectl tubepost resume`: delivery goes on as it was before it was suspended."""

from __future__ import annotations

from typing import Any

import click

from tubepost_api.config import DeliveryMode
from tubepost_cli.kubectl.cluster import Cluster
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.suspension import mode_of, own_modes, read, resuming
from tubepost_cli.kubectl.targets import PUSH_DOMAINS


@click.command(short_help="Let delivery go on.")
@click.argument("name")
@cluster_options
def command(name: str, **options: Any) -> None:
    """Let delivery of a PushDomain go on, in the mode that it had before `suspend`.

    What the queue has kept is due at once. What an operator holds stays held until `kubectl tubepost queue
    release`.

    \b
    kubectl tubepost resume alerts
    """
    click.echo(resume(cluster_of(options), name.removeprefix("pushdomain/")))


def resume(cluster: Cluster, name: str) -> str:
    """Do it; what was done, for people.

    Raises:
        ClusterFailed: the API server does not do it.
    """
    push_domain = cluster.object(PUSH_DOMAINS, name)
    suspended = DeliveryMode.SUSPEND in {mode_of(push_domain), *own_modes(push_domain).values()}
    if not suspended and read(push_domain) is None:
        return f"Delivery of PushDomain {name} is not suspended: its mode is {mode_of(push_domain)}."
    cluster.patch(PUSH_DOMAINS, name, resuming(push_domain))
    after = cluster.object(PUSH_DOMAINS, name)
    left = [
        str(domain.get("name") or domain.get("pattern"))
        for index, domain in enumerate(after["spec"]["domains"])
        if own_modes(after).get(str(index)) == DeliveryMode.SUSPEND
    ]
    more = f" Suspended by its own spec, and left so: {', '.join(left)}." if left else ""
    return f"Delivery of PushDomain {name} goes on: its mode is {mode_of(after)}.{more}"
