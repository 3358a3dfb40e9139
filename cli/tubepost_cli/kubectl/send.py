"""`kubectl tubepost send`: one push notification, through a port-forward to a pod's listener."""

from __future__ import annotations

from typing import Any, Final

import click

from tubepost_cli import send as local
from tubepost_cli.kubectl.cluster import ClusterFailed
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.targets import find, named

_OWN: Final = frozenset({"host", "port", "domain"})
"""Options of `tubepost send` that a PushDomain answers."""
_LISTENER_PORT: Final = 2525


@click.command(
    short_help="Inject one push notification, and print its outcome.",
    params=[one for one in local.command.params if one.name not in _OWN],
)
@click.argument("name")
@click.option("--domain", metavar="NAME", help="Domain of the recipient.  [default: the first exact one]")
@cluster_options
def command(name: str, domain: str | None, **options: Any) -> None:
    """Inject one push notification into a PushDomain and print what became of it.

    The listener sees it come from the pod's loopback, whatever `listener.allowedNetworks` says of others.

    \b
    kubectl tubepost send alerts --token 123abc... --alert 'You have mail'

    Exit status: 0 delivered or queued (250), 1 permanent failure (5xx), 75 transient failure (4xx, or no
    connection).
    """
    cluster = cluster_of(options)
    name = name.removeprefix("pushdomain/")
    push_domain = named(cluster, name)
    pods = [pod for pod in find(cluster, [name]) if pod.running]
    if not pods:
        raise ClusterFailed(f"no dispatcher of PushDomain {name} runs; `kubectl tubepost status {name}`")
    pod = max(pods, key=lambda one: (one.ready, not one.sidecar))
    port = pod.smtp_port or push_domain["spec"].get("listener", {}).get("port", _LISTENER_PORT)
    recipient = domain or _first(push_domain["spec"]["domains"])
    inject = local.command.callback
    assert inject is not None
    with cluster.forward(pod.name, (port,)) as ports:
        kept = {key: value for key, value in options.items() if key in _KEPT}
        inject(**kept, domain=recipient, host="127.0.0.1", port=ports[port])


_KEPT: Final = frozenset(str(one.name) for one in local.command.params) - _OWN


def _first(domains: list[dict[str, Any]]) -> str:
    for domain in domains:
        if "name" in domain:
            return str(domain["name"])
    raise click.UsageError("The PushDomain has patterns only: name a domain with --domain.")
