"""An API server to test against, at the operator's own boundary: `api.ClusterApi`, in memory.

It keeps objects, versions and generations, tells watches, and counts requests. It knows no schema: what is
applied is what is there.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from tubepost_operator.api import ApiError, WatchEvent, WatchSource
from tubepost_operator.kinds import Kind
from tubepost_operator.observed import Document, PodReport

COUNTED = {
    "Deployment",
    "StatefulSet",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "PushDomain",
    "ApnRoute",
    "ApnLogger",
}


class FakeCluster:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Document] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.events: list[Document] = []
        self.default: Callable[[Document], None] = lambda _: None
        """The server's defaults: fills in what is not there."""
        self.mutate: Callable[[Document], None] = lambda _: None
        """A policy of the cluster: changes what is applied on its way in."""
        self.fail: Callable[[str, str, str], ApiError | None] = lambda *_: None
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)
        self._watches: list[tuple[WatchSource, Callable[[WatchEvent], None]]] = []
        self._told: dict[int, set[str]] = {}
        self.owns: dict[str | None, Callable[[bool, Document], None]] = {}
        self.own_watches: list[tuple[str | None, list[str]]] = []
        self._stops: dict[str | None, asyncio.Event] = {}
        self.refused: dict[tuple[str, str | None], ApiError] = {}

    # -- for tests ------------------------------------------------------------------------------------

    def put(self, document: Document) -> Document:
        """What somebody else writes."""
        metadata = document["metadata"]
        key = (document["kind"], metadata.get("namespace", "default"), metadata["name"])
        return self._store(key, copy.deepcopy(document))

    def edit(
        self, kind: str, name: str, change: Callable[[Document], None], namespace: str = "default"
    ) -> None:
        document = copy.deepcopy(self.objects[kind, namespace, name])
        change(document)
        self._store((kind, namespace, name), document)

    def remove(self, kind: str, name: str, namespace: str = "default") -> None:
        document = self.objects.pop((kind, namespace, name))
        self._tell("Gone", document)
        # The garbage collector.
        for key, other in list(self.objects.items()):
            owners = other["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == document["metadata"]["uid"] for owner in owners):
                self.remove(key[0], key[2], key[1])

    def roll_out(self, name: str = "alerts", available: int | None = None, kind: str = "Deployment") -> None:
        """The workload's controller and the kubelet: all replicas run."""

        def finish(document: Document) -> None:
            replicas = document["spec"]["replicas"]
            document["status"] = {
                "observedGeneration": document["metadata"]["generation"],
                "replicas": replicas,
                "updatedReplicas": replicas,
                "availableReplicas": replicas if available is None else available,
            }

        self.edit(kind, name, finish)

    def start_pod(self, name: str, push_domain: str = "alerts", *, ip: str = "10.0.0.1") -> Document:
        template = self.objects["Deployment", "default", push_domain]["spec"]["template"]
        return self.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, **copy.deepcopy(template["metadata"])},
                "spec": template["spec"],
                "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
            }
        )

    def writes(self) -> list[tuple[str, str, str]]:
        return [request for request in self.requests if request[0] not in {"GET", "LIST", "WATCH", "TRY"}]

    def get_now(self, kind: str, name: str, namespace: str = "default") -> Document:
        return self.objects[kind, namespace, name]

    def condition(self, name: str, kind: str = "Ready", of: str = "PushDomain") -> tuple[str, str]:
        conditions = self.objects[of, "default", name].get("status", {}).get("conditions", [])
        return next(
            ((item["status"], item["reason"]) for item in conditions if item["type"] == kind), ("", "")
        )

    # -- api.ClusterApi -------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Document | None:
        self._request("GET", kind, name)
        await asyncio.sleep(0)
        self._check(kind.name, namespace)
        found = self.objects.get((kind.name, namespace or "", name))
        return copy.deepcopy(found) if found else None

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> list[Document]:
        self._request("LIST", kind, selector)
        await asyncio.sleep(0)
        self._check(kind.name, namespace)
        return [
            copy.deepcopy(document)
            for (name, space, _), document in self.objects.items()
            if name == kind.name
            and namespace in {None, space}
            and _selected(document, selector)
            and all(_value(document, *field.split("=")) for field in filter(None, fields.split(",")))
        ]

    async def apply(
        self, kind: Kind, manifest: Document, *, force: bool = True, dry_run: bool = False
    ) -> Document:
        metadata = manifest["metadata"]
        self._request("TRY" if dry_run else "APPLY", kind, metadata["name"])
        await asyncio.sleep(0)
        key = (kind.name, metadata.get("namespace", ""), metadata["name"])
        known = self.objects.get(key)
        if known is not None and not force:
            raise ApiError(409, "conflict")
        merged = _merged(known or {}, copy.deepcopy(manifest))
        self.mutate(merged)
        if dry_run:
            return merged
        if known is not None and merged == known:
            return copy.deepcopy(known)
        return copy.deepcopy(self._store(key, merged))

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Document, subresource: str | None = None
    ) -> Document | None:
        self._request("PATCH", kind, f"{name}/{subresource}" if subresource else name)
        await asyncio.sleep(0)
        known = self.objects.get((kind.name, namespace, name))
        if known is None:
            return None
        version = patch.get("metadata", {}).get("resourceVersion")
        if version is not None and version != known["metadata"]["resourceVersion"]:
            raise ApiError(409, "the object has been modified")
        merged = _patched(copy.deepcopy(known), patch)
        return copy.deepcopy(
            self._store((kind.name, namespace, name), merged, status=subresource == "status")
        )

    async def remove_fields(
        self, kind: Kind, document: Document, places: Sequence[str], *, dry_run: bool = False
    ) -> Document:
        metadata = document["metadata"]
        self._request("TRY" if dry_run else "REMOVE", kind, metadata["name"])
        await asyncio.sleep(0)
        key = (kind.name, metadata.get("namespace", ""), metadata["name"])
        known = copy.deepcopy(self.objects[key])
        if known["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
            raise ApiError(409, "the object has been modified")
        for place in places:
            *parents, last = place.strip("/").split("/")
            parent: Any = known
            for step in parents:
                parent = parent[int(step)] if isinstance(parent, list) else parent[step]
            del parent[int(last) if isinstance(parent, list) else last]
        self.default(known)
        if known.get("spec") != self.objects[key].get("spec"):
            # The server forgets whoever owned nothing else.
            known["metadata"].pop("managedFields", None)
        if dry_run:
            return known
        return copy.deepcopy(self._store(key, known))

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        self._request("DELETE", kind, name)
        await asyncio.sleep(0)
        known = self.objects.get((kind.name, namespace, name))
        if known is not None and known["metadata"]["uid"] == uid:
            self.remove(kind.name, name, namespace)

    async def create(self, kind: Kind, namespace: str, manifest: Document) -> Document:
        self._request("CREATE", kind, manifest["metadata"]["name"])
        await asyncio.sleep(0)
        self.events.append(manifest)
        return manifest

    async def watch(self, source: WatchSource, tell: Callable[[WatchEvent], None]) -> None:
        self.requests.append(("WATCH", source.kind.name, source.selector))
        entry = (source, tell)
        self._watches.append(entry)
        try:
            self._begin(source, tell)
            await asyncio.Event().wait()
        finally:
            self._watches.remove(entry)

    def _begin(self, source: WatchSource, tell: Callable[[WatchEvent], None]) -> None:
        error = self.refused.get((source.kind.name, source.namespace))
        if error is not None:
            tell(WatchEvent("Refused", {"status": error.status, "message": error.message}))
            return
        for (kind, space, _), document in list(self.objects.items()):
            if (
                kind == source.kind.name
                and source.namespace in {None, space}
                and _selected(document, source.selector)
            ):
                self._told.setdefault(id(tell), set()).add(document["metadata"]["uid"])
                tell(WatchEvent("Put", _metadata(document)))
        tell(WatchEvent("Sync", {}))

    def refuse(self, kind: str, namespace: str | None, error: ApiError) -> None:
        """The API server lets nobody see a kind any more."""
        self.refused[kind, namespace] = error
        for source, tell in list(self._watches):
            if (source.kind.name, source.namespace) == (kind, namespace):
                tell(WatchEvent("Refused", {"status": error.status, "message": error.message}))
        stop = self._stops.pop(namespace, None)
        if stop is not None:
            stop.set()

    def permit(self, kind: str, namespace: str | None) -> None:
        """It does again."""
        del self.refused[kind, namespace]
        for source, tell in list(self._watches):
            if (source.kind.name, source.namespace) == (kind, namespace):
                self._begin(source, tell)
                tell(WatchEvent("Restored", {}))

    async def watch_own(
        self,
        namespace: str | None,
        kinds: Sequence[Kind],
        tell: Callable[[bool, Document], None],
        begun: Callable[[str], None],
        noted: Callable[[str], None],
        refused: Callable[[str], None],
    ) -> None:
        """Tell of all that are there, then of what changes, as kopf does; end when one kind is refused.

        The operator lists its kinds itself before it begins this watch, and relies on being told of what
        changed in between.
        """
        self.own_watches.append((namespace, [kind.name for kind in kinds]))
        if any((kind.name, namespace) in self.refused for kind in kinds):
            return
        self.owns[namespace] = tell
        stop = self._stops[namespace] = asyncio.Event()
        for kind in kinds:
            begun(kind.plural)
            noted(kind.plural)
        for document in list(self.objects.values()):
            if _is_own(document) and namespace in {None, document["metadata"]["namespace"]}:
                tell(False, copy.deepcopy(document))
        try:
            await stop.wait()
        finally:
            if self.owns.get(namespace) is tell:
                del self.owns[namespace]

    # -- inside ---------------------------------------------------------------------------------------

    def _check(self, kind: str, namespace: str | None) -> None:
        error = self.refused.get((kind, namespace)) or self.refused.get((kind, None))
        if error is not None:
            raise error

    def _request(self, verb: str, kind: Kind, name: str) -> None:
        self.requests.append((verb, kind.name, name))
        error = self.fail(verb, kind.name, name)
        if error is not None:
            raise error

    def _store(self, key: tuple[str, str, str], document: Document, *, status: bool = False) -> Document:
        known = self.objects.get(key)
        metadata = dict(document["metadata"])
        metadata.setdefault("namespace", key[1])
        before = known["metadata"] if known else {}
        metadata["uid"] = before.get("uid") or metadata.get("uid") or f"uid-{next(self._uids)}"
        metadata["resourceVersion"] = str(next(self._versions))
        metadata.setdefault("creationTimestamp", "2026-11-23T12:00:00Z")
        if key[0] in COUNTED:
            generation = before.get("generation", 0)
            changed = known is None or known.get("spec") != document.get("spec")
            metadata["generation"] = generation + 1 if changed and not status else max(generation, 1)
        stored = {**document, "metadata": metadata}
        self.objects[key] = stored
        self._tell("Put", stored)
        return stored

    def _tell(self, what: Any, document: Document) -> None:
        kind = document["kind"]
        if _is_own(document):
            for namespace, tell_own in list(self.owns.items()):
                if namespace in {None, document["metadata"]["namespace"]}:
                    tell_own(what == "Gone", copy.deepcopy(document))
            return
        for source, tell in list(self._watches):
            if source.kind.name != kind or source.namespace not in {None, document["metadata"]["namespace"]}:
                continue
            if (kind, source.namespace) in self.refused:
                continue
            uid = document["metadata"]["uid"]
            told = self._told.setdefault(id(tell), set())
            if what == "Put" and _selected(document, source.selector):
                told.add(uid)
                tell(WatchEvent("Put", _metadata(document)))
            elif uid in told:
                # Also of what is not selected any more.
                told.discard(uid)
                tell(WatchEvent("Gone", _metadata(document)))


class FakePods:
    """Pods that say what the test wants; by address."""

    def __init__(self) -> None:
        self.reports: dict[str, PodReport] = {}
        self.asked: list[str] = []

    async def ask(self, url: str) -> PodReport:
        self.asked.append(url)
        await asyncio.sleep(0)
        return self.reports.get(url.split("//")[1].split(":", maxsplit=1)[0], PodReport())


def _value(document: Document, path: str, value: str) -> bool:
    found: Any = document
    for step in path.split("."):
        found = found.get(step, {})
    return bool(found == value)


def _is_own(document: Document) -> bool:
    return bool(document["apiVersion"].startswith("tubepost.io/"))


def _metadata(document: Document) -> Document:
    return {"metadata": copy.deepcopy(document["metadata"])}


def _selected(document: Document, selector: str) -> bool:
    labels = document["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        key, equals, value = part.partition("=")
        if key.endswith("!"):
            if labels.get(key[:-1]) == value:
                return False
        elif key not in labels or (equals and labels[key] != value):
            return False
    return True


def _merged(known: Any, given: Any) -> Any:
    if isinstance(known, dict) and isinstance(given, dict):
        return {**known, **{key: _merged(known.get(key), value) for key, value in given.items()}}
    return given


def _patched(document: Document, patch: Document) -> Document:
    for key, value in patch.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            _patched(document[key], value)
        elif isinstance(value, dict):
            document[key] = _patched({}, value)
        else:
            document[key] = value
    return document
