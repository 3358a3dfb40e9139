"""`kubectl tubepost status`: one screen about PushDomains."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click

from tubepost_api.suspension import in_force
from tubepost_cli.kubectl.facts import Facts, gather
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.status_text import screen
from tubepost_cli.kubectl.targets import elsewhere
from tubepost_cli.output_format import output_format
from tubepost_cli.queue_client import EX_PARTLY
from tubepost_cli.queue_text import shown


@click.command(short_help="Show PushDomains on one screen.")
@click.argument("name", required=False)
@output_format
@cluster_options
def command(name: str | None, output: str, **options: Any) -> None:
    """Show PushDomains on one screen.

    That is: domains, routes, credentials and their expiry, sessions, rates, queue, holds, last errors.

    \b
    kubectl tubepost status
    kubectl tubepost status alerts -n shop
    kubectl tubepost status alerts -o json

    LATER counts attempts that failed for now; DELIVERED, FAILED and LATER are since the pod started. Exit
    status 3: something could not be seen; standard error says what.
    """
    cluster = cluster_of(options)
    facts = gather(cluster, name.removeprefix("pushdomain/") if name else None)
    if output == "json":
        click.echo(json.dumps(_public(facts), indent=2))
    else:
        for line in screen(facts, time.time(), _paint):
            click.echo(line)
        if not facts.push_domains:
            click.echo(elsewhere(cluster))
    for problem in facts.problems:
        click.echo(f"{click.style('missing', fg='yellow')}: {shown(problem, 600)}", err=True)
    sys.exit(EX_PARTLY if facts.problems else 0)


def _paint(text: str, colour: str) -> str:
    return click.style(text, bold=True) if colour == "bold" else click.style(text, fg=colour)


def _public(facts: Facts) -> dict[str, Any]:
    return {
        "pushDomains": [
            {
                "name": one["metadata"]["name"],
                "namespace": one["metadata"]["namespace"],
                "spec": one["spec"],
                "status": one.get("status", {}),
                "suspended": _suspension(one),
                "pods": [
                    {
                        "name": pod.name,
                        "sidecar": pod.sidecar,
                        "running": pod.running,
                        "ready": pod.ready,
                        "restarts": pod.restarts,
                        "created": pod.created,
                        "live": _pod(facts, pod.name),
                    }
                    for pod in facts.pods
                    if pod.push_domain == one["metadata"]["name"]
                ],
            }
            for one in facts.push_domains
        ],
        "routes": [
            {"name": one["metadata"]["name"], "status": one.get("status", {})} for one in facts.routes
        ],
        "warnings": [
            {
                "kind": one["involvedObject"].get("kind"),
                "name": one["involvedObject"].get("name"),
                "reason": one.get("reason"),
                "message": one.get("message"),
                "at": one.get("lastTimestamp") or one.get("eventTime"),
            }
            for one in facts.events
        ],
        "problems": list(facts.problems),
    }


def _suspension(push_domain: dict[str, Any]) -> dict[str, str] | None:
    found = in_force(push_domain, datetime.now(UTC))
    if found is None:
        return None
    return {"by": found.by, "reason": found.reason, "since": found.since, "until": found.until}


def _pod(facts: Facts, name: str) -> dict[str, Any] | None:
    live = facts.live.get(name)
    if live is None:
        return None
    counts = live.counts
    return {
        "sessions": counts.sessions,
        "connections": counts.connections,
        "queued": counts.queued,
        "due": counts.due,
        "held": counts.held,
        "oldestSeconds": counts.oldest,
        "attempts": [
            {"route": route, "outcome": outcome, "reason": reason, "count": count}
            for (route, outcome, reason), count in sorted(counts.attempts.items())
        ],
        "heldRoutes": sorted(counts.held_routes),
        "holds": dict(live.holds),
        "config": dict(live.config),
    }
