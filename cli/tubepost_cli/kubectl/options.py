"""Options that say which cluster, and which pods of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from tubepost_cli.kubectl.cluster import Cluster
from tubepost_cli.kubectl.command import Kubectl

F = TypeVar("F", bound=Callable[..., Any])
_PASSED_ON: Final = ("context", "kubeconfig", "as_user")


def cluster_options(function: F) -> F:
    """Kubectl's own, for where and who."""
    for option in (
        click.option("--as", "as_user", metavar="USER", help="Act as this user (kubectl's --as)."),
        click.option("--kubeconfig", metavar="FILE", help="The kubeconfig.  [default: kubectl's]"),
        click.option("--context", metavar="NAME", help="Context of the kubeconfig.  [default: the current]"),
        click.option("-n", "--namespace", metavar="NAME", help="Namespace.  [default: the context's]"),
    ):
        function = option(function)
    return function


def cluster_of(options: Mapping[str, Any]) -> Cluster:
    """The cluster that the options name."""
    given = click.get_current_context().find_root().obj
    if isinstance(given, Cluster):
        return given
    names = {"as_user": "as"}
    return Kubectl(
        [
            f"--{names.get(name, name)}={options[name]}"
            for name in _PASSED_ON
            if options.get(name) is not None
        ],
        namespace=options.get("namespace") or "",
    )


def in_cluster(options: Mapping[str, Any], places: object) -> bool:
    """Whether a command that can do both is about a cluster: by its options, or as a plugin of kubectl's."""
    root = click.get_current_context().find_root()
    plugin = bool(root.meta.get("tubepost.plugin")) or isinstance(root.obj, Cluster)
    return plugin or bool(places) or any(options.get(name) is not None for name in ("namespace", *_PASSED_ON))
