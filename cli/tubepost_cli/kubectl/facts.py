"""What `status` knows of PushDomains: their objects, and what their pods say of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed, Document
from tubepost_cli.kubectl.pods_client import forwarded
from tubepost_cli.kubectl.refusals import once
from tubepost_cli.kubectl.targets import (
    INJECT_LABEL,
    PUSH_DOMAIN_LABEL,
    PUSH_DOMAINS,
    ROUTES,
    DispatcherPod,
    named,
    pods_of,
)
from tubepost_cli.queue_client import QueueClient, Refused, Unavailable
from tubepost_runtime import pod_metrics

_TIMEOUT: Final = 15.0
"""Seconds for a pod's metrics."""
_DUE: Final = "tubepost_queue_due"
_OLDEST: Final = "tubepost_queue_oldest_age_seconds"
_HELD: Final = "tubepost_queue_held"
_CONNECTIONS: Final = "tubepost_apns_connections"
_READ: Final = (*pod_metrics.NAMES, _DUE, _OLDEST, _HELD, _CONNECTIONS)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a pod has counted since it started, and what is in it now.

    Attributes:
        sessions: open SMTP sessions.
        connections: open connections to APNs.
        queued, due, held: notifications in the queue.
        oldest: seconds since the oldest of them was accepted.
        attempts: by route, outcome (`delivered`, `transient`, `permanent`) and reason.
        held_routes: routes that take no requests for the moment.
    """

    sessions: int = 0
    connections: int = 0
    queued: int = 0
    due: int = 0
    held: int = 0
    oldest: float = 0.0
    attempts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    held_routes: frozenset[str] = frozenset()

    def sum(self, outcome: str, route: str | None = None) -> int:
        """Attempts with this outcome, of one route or of all."""
        return sum(
            count for (of, kind, _), count in self.attempts.items() if kind == outcome and route in (None, of)
        )


def read_counts(text: str) -> Counts:
    """Read a pod's metrics in Prometheus' text format.

    Raises:
        ValueError: this is no such text.
    """
    lines = [line for line in text.splitlines() if line.startswith(_READ)]
    sums: dict[str, float] = {}
    oldest = 0.0
    attempts: dict[tuple[str, str, str], int] = {}
    held: set[str] = set()
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        for sample in family.samples:
            labels = sample.labels
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
            if sample.name == pod_metrics.ATTEMPTS_TOTAL:
                key = (labels["route"], labels["outcome"], labels["reason"])
                attempts[key] = attempts.get(key, 0) + int(sample.value)
            elif sample.name == pod_metrics.ROUTE_HELD and sample.value:
                held.add(labels["route"])
            elif sample.name == _OLDEST:
                oldest = max(oldest, sample.value)
    names = (pod_metrics.SMTP_SESSIONS, _CONNECTIONS, pod_metrics.QUEUE_ENTRIES, _DUE, _HELD)
    sessions, connections, queued, due, waiting = (int(sums.get(name, 0)) for name in names)
    return Counts(sessions, connections, queued, due, waiting, oldest, attempts, frozenset(held))


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a pod says of itself: its counts, its configuration, and what operators hold in its queue."""

    counts: Counts
    config: Mapping[str, Any]
    holds: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it.

    Attributes:
        push_domains, routes, events: the objects.
        pods: the dispatchers.
        live: what they say, by their names.
        problems: what is missing, and why.
    """

    push_domains: Sequence[Document]
    routes: Sequence[Document] = ()
    events: Sequence[Document] = ()
    pods: Sequence[DispatcherPod] = ()
    live: Mapping[str, PodFacts] = field(default_factory=dict)
    problems: Sequence[str] = ()


def gather(cluster: Cluster, name: str | None) -> Facts:
    """Ask the API server, and the pods through it. What one may not see is missing, and said to be.

    Raises:
        ClusterFailed: there are no PushDomains to be seen, or not this one.
    """
    push_domains = [named(cluster, name)] if name else cluster.objects(PUSH_DOMAINS)
    failures: list[ClusterFailed] = []
    problems: list[str] = []

    def some(kind: str, selector: str = "") -> list[Document]:
        try:
            return cluster.objects(kind, selector=selector)
        except ClusterFailed as error:
            failures.append(error)
            return []

    routes = some(ROUTES)
    names = {document["metadata"]["name"] for document in push_domains}
    pods = [
        pod
        for pod in pods_of([*some("pods", PUSH_DOMAIN_LABEL), *some("pods", INJECT_LABEL)])
        if pod.push_domain in names
    ]
    wanted = {("PushDomain", one) for one in names}
    wanted |= {("ApnRoute", route["metadata"]["name"]) for route in routes}
    wanted |= {("Pod", pod.name) for pod in pods}
    events = [
        event
        for event in some("events")
        if event.get("type") == "Warning"
        and (event["involvedObject"].get("kind"), event["involvedObject"].get("name")) in wanted
    ]
    live: dict[str, PodFacts] = {}
    if pods:
        try:
            with forwarded(cluster, pods, metrics=True) as (ports, missing):
                problems += missing
                for pod in pods:
                    if pod.name in ports:
                        _look(pod, ports[pod.name], live, problems)
        except ClusterFailed as error:
            failures.append(error)
    return Facts(push_domains, routes, events, pods, live, list(dict.fromkeys([*problems, *once(failures)])))


def _look(
    pod: DispatcherPod, ports: Mapping[int, int], live: dict[str, PodFacts], problems: list[str]
) -> None:
    admin = f"http://127.0.0.1:{ports[pod.admin_port]}"
    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            metrics = client.get(f"http://127.0.0.1:{ports[pod.http_port]}/metrics").raise_for_status().text
            status = client.get(f"{admin}/status").raise_for_status().json()
        counts = read_counts(metrics)
        queue = QueueClient(admin)
        holds: dict[str, int] = {}
        for document in queue.read("/queue/summary", [("held", "true")]) if counts.held else ():
            for group in document["groups"]:
                if group["hold"]:
                    holds[group["hold"]] = holds.get(group["hold"], 0) + group["notifications"]
        live[pod.name] = PodFacts(counts, status.get("config", {}), holds)
        problems += [f"pod {pod.name}: {one}" for one in queue.problems]
    except (httpx.HTTPError, ValueError, Unavailable, Refused) as error:
        text = error.message if isinstance(error, Unavailable | Refused) else str(error)
        problems.append(f"pod {pod.name} does not answer: {text}")
