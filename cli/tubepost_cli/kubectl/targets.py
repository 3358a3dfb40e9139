"""Which pods are meant, and where in them a dispatcher listens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tubepost_api.listener import ADMIN_PORT, HTTP_PORT
from tubepost_api.read import suggestion
from tubepost_api.resource import GROUP
from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed, NotFound

PUSH_DOMAINS: Final = f"pushdomains.{GROUP}"
"""The kind as kubectl has it."""
ROUTES: Final = f"apnroutes.{GROUP}"
LOGGERS: Final = f"apnloggers.{GROUP}"
PUSH_DOMAIN_LABEL: Final = f"{GROUP}/push-domain"
"""On a dispatcher's pods, by the operator: the name of their PushDomain."""
INJECT_LABEL: Final = f"{GROUP}/inject"
"""On pods that have a dispatcher as a sidecar: likewise."""
SIDECAR: Final = "tubepost-dispatcher"
"""Name of the container in those."""
_SIDECAR_HTTP: Final = 2590
_HTTP_ANNOTATION: Final = f"{GROUP}/sidecar-http-port"
_SMTP_ANNOTATION: Final = f"{GROUP}/sidecar-smtp-port"
_KINDS: Final = frozenset({"pushdomain", "pushdomains", "pd", PUSH_DOMAINS})
_POD_KINDS: Final = frozenset({"pod", "pods", "po"})
_SHOWN: Final = 5
"""Names in a hint."""
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DispatcherPod:
    """A pod with a dispatcher.

    Attributes:
        name, push_domain: what they say.
        container: that of the dispatcher.
        sidecar: whether it is an app's pod.
        running: whether the container runs: only then can it be asked.
        ready: whether it takes mail.
        restarts: of the container.
        admin_port, http_port: on the pod's loopback, and on its network.
        smtp_port: an app's wish; None: the PushDomain's.
        created: time as the API server writes it.
    """

    name: str
    push_domain: str
    container: str
    sidecar: bool
    running: bool
    ready: bool
    restarts: int
    admin_port: int
    http_port: int
    smtp_port: int | None
    created: str


def pods_of(documents: Iterable[Document]) -> list[DispatcherPod]:
    """The dispatchers among pods, by name; those that are over are left out."""
    return sorted(
        (
            pod
            for document in documents
            if document.get("status", {}).get("phase") not in {"Succeeded", "Failed"}
            and (pod := _pod(document)) is not None
        ),
        key=lambda pod: (pod.push_domain, pod.name),
    )


def _pod(document: Document) -> DispatcherPod | None:
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    spec = document["spec"]
    boxes = [box["name"] for box in (*spec.get("initContainers", ()), *spec.get("containers", ()))]
    own = labels.get(PUSH_DOMAIN_LABEL)
    injected = labels.get(INJECT_LABEL)
    name = own or injected
    container = "dispatcher" if own else SIDECAR
    if not name or container not in boxes:
        return None
    status = document.get("status", {})
    states = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    state: Document = next((one for one in states if one["name"] == container), {})
    annotations = metadata.get("annotations") or {}
    http = HTTP_PORT if own else _number(annotations.get(_HTTP_ANNOTATION)) or _SIDECAR_HTTP
    return DispatcherPod(
        metadata["name"],
        name,
        container,
        not own,
        "running" in state.get("state", {}),
        bool(state.get("ready")),
        int(state.get("restartCount", 0)),
        ADMIN_PORT if own else http + 1,
        http,
        None if own else _number(annotations.get(_SMTP_ANNOTATION)),
        metadata["creationTimestamp"],
    )


def _number(text: object) -> int | None:
    return int(text) if isinstance(text, str) and text.isdecimal() else None


def find(cluster: Cluster, places: Sequence[str] = ()) -> list[DispatcherPod]:
    """The pods that are named, by `pushdomain/NAME`, `pod/NAME` or a PushDomain's name; else all of them.

    Raises:
        NotFound: there is none, in words.
    """
    names: set[str] = set()
    chosen: set[str] = set()
    for place in places:
        kind, slash, name = place.partition("/")
        if slash and kind.lower() in _POD_KINDS:
            chosen.add(name)
        elif not slash or kind.lower() in _KINDS:
            names.add(name or kind)
        else:
            raise NotFound(f"{place!r}: name a PushDomain or a pod, as pushdomain/NAME or pod/NAME")
    everything = pods_of(
        [
            *cluster.objects("pods", selector=PUSH_DOMAIN_LABEL),
            *cluster.objects("pods", selector=INJECT_LABEL),
        ]
    )
    found = [pod for pod in everything if not places or pod.push_domain in names or pod.name in chosen]
    for name in sorted(names - {pod.push_domain for pod in found}):
        named(cluster, name)  # or there is not even that
        raise NotFound(f"PushDomain {name} has no pods; `kubectl tubepost status {name}` says why")
    if lost := sorted(chosen - {pod.name for pod in found}):
        near = suggestion(lost[0], [pod.name for pod in everything])
        hint = f". Did you mean pod/{near}?" if near else "; `kubectl tubepost status` lists them"
        raise NotFound(f"pod {lost[0]} has no dispatcher, or does not exist in this namespace{hint}")
    if not found:
        here = _seen(cluster, PUSH_DOMAINS)
        hint = "`kubectl tubepost status` says why" if here else elsewhere(cluster)
        raise NotFound(f"no pods with a dispatcher in this namespace. {hint}")
    return found


def named(cluster: Cluster, name: str) -> dict[str, Any]:
    """The PushDomain of this name.

    Raises:
        NotFound: there is none; it says which one may have been meant.
    """
    try:
        return cluster.object(PUSH_DOMAINS, name)
    except NotFound as error:
        try:
            known = _names(cluster.objects(PUSH_DOMAINS))
        except ClusterFailed:
            raise error from None
        raise NotFound(
            f"PushDomain {name} not found in this namespace. {_meant(cluster, name, known)}"
        ) from None


def _meant(cluster: Cluster, name: str, known: Sequence[str]) -> str:
    if near := suggestion(name, known):
        return f"Did you mean {near}?"
    for kind, title in ((ROUTES, "ApnRoute"), (LOGGERS, "ApnLogger")):
        if name in _names(_seen(cluster, kind)):
            users = _names(one for one in _seen(cluster, PUSH_DOMAINS) if name in _used(one["spec"]))
            of = f" of PushDomain {', '.join(users)}" if users else ""
            return f"It is an {title}{of}: `kubectl describe {kind} {name}`."
    if known:
        more = f", and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        return f"There are {', '.join(known[:_SHOWN])}{more}." if len(known) > 1 else f"There is {known[0]}."
    return elsewhere(cluster, name)


def elsewhere(cluster: Cluster, name: str = "") -> str:
    """Where PushDomains are when there are none here, as far as the user may see that.

    Args:
        cluster: is asked.
        name: only those of this name.
    """
    places = [
        one["metadata"]["namespace"]
        for one in _seen(cluster, PUSH_DOMAINS, everywhere=True)
        if name in {"", one["metadata"]["name"]}
    ]
    found = sorted(set(places))
    if near := suggestion(cluster.namespace, found):
        return f"Did you mean -n {near}?"
    if found:
        return f"There are some in other namespaces: -n {', -n '.join(found[:_SHOWN])}."
    return "Another namespace (-n), or another cluster (--context)?"


def _seen(cluster: Cluster, kind: str, *, everywhere: bool = False) -> list[dict[str, Any]]:
    try:
        return cluster.objects(kind, everywhere=everywhere)
    except ClusterFailed:  # for a hint only
        return []


def _used(spec: Document) -> set[str]:
    """Names of the ApnRoutes and ApnLoggers that a PushDomain uses."""
    routes = [name for domain in spec["domains"] for name in domain.get("routes") or ()]
    return {*routes, *(spec.get("routes") or ()), *(spec.get("loggers") or ())}


def _names(documents: Iterable[Document]) -> list[str]:
    return [one["metadata"]["name"] for one in documents]


def asked(pods: Iterable[DispatcherPod]) -> tuple[list[DispatcherPod], list[str]]:
    """Pods that can be asked, and what is to be said of the others."""
    able: list[DispatcherPod] = []
    problems: list[str] = []
    for pod in pods:
        if pod.running:
            able.append(pod)
        else:
            problems.append(f"pod {pod.name}: its dispatcher does not run; `kubectl describe pod {pod.name}`")
    return able, problems
