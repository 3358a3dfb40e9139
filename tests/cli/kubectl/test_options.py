from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.testing import CliRunner

from tests.cli.kubectl.recorded import Recorded
from tubepost_cli.kubectl.options import cluster_of, cluster_options, in_cluster

seen: list[tuple[object, bool]] = []


def command(places: object = ()) -> click.Command:
    def body(**options: Any) -> None:
        seen.append((cluster_of(options), in_cluster(options, places)))

    made: Callable[..., Any] = cluster_options(body)
    return click.command()(made)


def run(*arguments: str, places: object = (), **given: Any) -> tuple[object, bool]:
    assert CliRunner().invoke(command(places), [*arguments], **given).exit_code == 0
    return seen.pop()


def test_options_are_kubectls() -> None:
    cluster, inside = run("-n", "shop", "--context", "prod", "--kubeconfig", "f", "--as", "alice")
    options = cluster._options  # type: ignore[attr-defined]
    assert options == ("--context=prod", "--kubeconfig=f", "--as=alice")
    assert cluster.namespace == "shop"  # type: ignore[attr-defined]
    assert inside


def test_a_cluster_is_asked_when_something_says_so() -> None:
    assert not run()[1]
    assert run(places=["pushdomain/alerts"])[1]
    given = Recorded({})
    assert run(obj=given) == (given, True)
