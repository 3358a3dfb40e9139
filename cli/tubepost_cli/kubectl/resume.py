"""`kubectl tubepost resume`: delivery goes on as it was before it was suspended."""

from __future__ import annotations

from typing import Any

import click

from tubepost_api.config import DeliveryMode
from tubepost_api.suspension import mode_of, read, resuming
from tubepost_cli.kubectl.cluster import Cluster
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.targets import PUSH_DOMAINS, named


@click.command(short_help="Let delivery go on.")
@click.argument("name")
@cluster_options
def command(name: str, **options: Any) -> None:
    """Let delivery of a PushDomain go on, in the mode that its spec says.

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
    push_domain = named(cluster, name)
    mode = mode_of(push_domain)
    suspended = read(push_domain) is not None
    if suspended:
        cluster.patch(PUSH_DOMAINS, name, resuming(push_domain))
    if mode == DeliveryMode.SUSPEND:
        return (
            f"Delivery of PushDomain {name} stays suspended by its own spec. Remedy: set spec.delivery.mode:"
            " Deliver where its manifest is kept."
        )
    goes_on = "goes on" if suspended else "is not suspended"
    return f"Delivery of PushDomain {name} {goes_on}: its mode is {mode}."
