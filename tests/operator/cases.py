"""Reads the situations of data/input, and writes down plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.operator.objects import owned, secret_of
from tubepost_operator.actions import Plan
from tubepost_operator.gather import read_config_map
from tubepost_operator.kinds import CHILDREN, WORKLOADS
from tubepost_operator.metadata import read_meta
from tubepost_operator.names import Names
from tubepost_operator.observed import (
    Child,
    ConfigMap,
    Document,
    Key,
    LiveStatus,
    Meta,
    Pod,
    PodReport,
    Secret,
)
from tubepost_operator.plan.logger import plan_logger
from tubepost_operator.plan.push_domain import decide, plan_push_domain
from tubepost_operator.plan.route import plan_route
from tubepost_operator.settings import ReleaseSettings, Settings
from tubepost_operator.snapshot import PushDomainSnapshot, ReferencedSnapshot

DATA = Path(__file__).parent / "data"
NOW = "2026-11-23T12:00:00Z"


@dataclass(frozen=True)
class Case:
    header: Document
    objects: list[Document]
    secrets: dict[str, Secret]
    config_maps: dict[str, ConfigMap]

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(str(self.header.get("now", NOW))).astimezone(UTC)


def names() -> list[str]:
    return sorted(path.stem for path in (DATA / "input").glob("*.yaml"))


_SECRETS: dict[str, Secret] = {}


def read(name: str) -> Case:
    text = (DATA / "input" / f"{name}.yaml").read_text(encoding="utf-8")
    header, *objects = [item for item in yaml.safe_load_all(text) if item]
    secrets = {}
    for item in objects:
        if item["kind"] == "Secret":
            # One Secret for all cases that describe it alike: configurations before and after share it.
            known = _SECRETS.setdefault(yaml.safe_dump(item), secret_of(item))
            secrets[known.name] = known
    texts = [item for item in objects if item["kind"] == "ConfigMap" and "labels" not in item["metadata"]]
    config_maps = {item["metadata"]["name"]: read_config_map(item) for item in texts}
    own = [owned(item) for item in objects if item["kind"] != "Secret" and item not in texts]
    return Case(header, own, secrets, config_maps)


def snapshot(name: str) -> PushDomainSnapshot:
    case = read(name)
    header = case.header
    document = next(item for item in case.objects if item["kind"] == "PushDomain")
    release = ReleaseSettings(**header.get("settings", {}).get("release", {}))
    settings = Settings(
        release=release, network_policies=header.get("settings", {}).get("networkPolicies", False)
    )
    result = PushDomainSnapshot(
        now=case.now,
        settings=settings,
        document=document,
        routes={item["metadata"]["name"]: item for item in case.objects if item["kind"] == "ApnRoute"},
        loggers={item["metadata"]["name"]: item for item in case.objects if item["kind"] == "ApnLogger"},
        secrets=case.secrets,
        config_maps=case.config_maps,
        unconfirmed_for=header.get("unconfirmedFor", 0.0),
        may_upgrade=header.get("mayUpgrade", True),
        rejected={Key(*item[:3]): item[3] for item in header.get("rejected", [])},
        live=_live(header.get("live"), case.now),
    )
    children: dict[Key, Child] = {}
    if "before" in header:
        before = snapshot(header["before"])
        children = applied(before, header.get("deployment"))
        if header.get("previous", True):
            then = replace(before, children=applied(before, None))
            then = replace(then, pods=_pods(header.get("podsBefore", []), then))
            status = plan_push_domain(then).status
            document = {**document, "status": status}
            result = replace(result, document=document)
    for item in header.get("children", []):
        meta = read_meta(owned(item, uid=item["metadata"].get("uid", "other")), item["kind"])
        children[meta.key] = Child(meta, item)
    result = replace(result, children=children)
    return replace(result, pods=_pods(header.get("pods", []), result))


def applied(before: PushDomainSnapshot, deployment: Document | None) -> dict[Key, Child]:
    """The children as they are after the plan of a situation was carried out and rolled out."""
    children = {}
    for number, (key, manifest) in enumerate(decide(before).manifests.items()):
        metadata = {**manifest["metadata"], "uid": f"uid-{key.kind}", "resourceVersion": str(100 + number)}
        body = {**manifest, "metadata": metadata}
        if key.kind in {*WORKLOADS, "PodDisruptionBudget", "NetworkPolicy"}:
            metadata["generation"] = 1
        if key.kind in WORKLOADS:
            replicas = manifest["spec"]["replicas"]
            body["status"] = {
                "observedGeneration": 1,
                "replicas": replicas,
                "updatedReplicas": replicas,
                "availableReplicas": replicas,
                **(deployment or {}),
            }
        children[key] = Child(read_meta(body, key.kind), body)
    return children


def _pods(pods: list[Document], observed: PushDomainSnapshot) -> tuple[Pod, ...]:
    digest = decide(observed).digest
    return tuple(_pod(item, digest, observed) for item in pods)


def _pod(item: Document, digest: str, observed: PushDomainSnapshot) -> Pod:
    report = None
    if "report" in item:
        given = dict(item["report"])
        says = given.pop("digest", "DIGEST")
        report = PodReport(
            digest=digest if says == "DIGEST" else says,
            held=frozenset(given.pop("held", [])),
            **given,
        )
    refreshed = item.get("refresh", "DIGEST")
    meta = Meta(
        key=Key("Pod", observed.namespace, item["name"]),
        uid=f"uid-{item['name']}",
        version="1",
        generation=0,
        labels={},
        annotations={
            Names.REFRESH_ANNOTATION: str(refreshed).replace("DIGEST", digest),
            Names.CONFIG_ANNOTATION: item.get("config", ""),
        },
        owner=None,
        owner_name=None,
        created="",
        deleting=item.get("deleting", False),
    )
    return Pod(meta, item.get("sidecar", False), item.get("ready", True), item.get("trouble", ""), report)


def _live(given: Document | None, now: datetime) -> LiveStatus | None:
    return LiveStatus(at=now, **given) if given is not None else None


def plan(name: str) -> Document:
    """The plan of a situation, as a document."""
    case = read(name)
    about = case.header.get("about", "PushDomain")
    if about == "PushDomain":
        observed = snapshot(name)
        decision = decide(observed)
        document = written(plan_push_domain(observed, decision))
        published = document.get("status", {}).get("config", {}).get("hash", "")
        return _masked(_masked(document, decision.digest), published)
    document = next(item for item in case.objects if item["kind"] == about)
    users = tuple(item["metadata"]["name"] for item in case.objects if item["kind"] == "PushDomain")
    part = ReferencedSnapshot(now=case.now, document=document, secrets=case.secrets, users=users)
    return written(plan_route(part) if about == "ApnRoute" else plan_logger(part))


def written(decided: Plan) -> Document:
    result: Document = {
        "apply": [apply.manifest for apply in decided.apply],
        "scale": {"replicas": decided.scale.replicas} if decided.scale else None,
        "delete": [str(meta.key) for meta in decided.delete],
        "refresh": [f"{refresh.key}: {refresh.digest}" for refresh in decided.refresh],
        "status": decided.status,
        "events": [f"{event.type} {event.reason}: {event.message}" for event in decided.events],
        "again": decided.again,
        "upgrade": decided.upgrade if decided.upgrade != "none" else None,
    }
    for manifest in result["apply"]:
        assert manifest["kind"] in CHILDREN
    return {key: value for key, value in result.items() if value not in (None, [])}


def _masked(value: Any, digest: str) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item, digest) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, digest) for item in value]
    if isinstance(value, str) and digest:
        return value.replace(digest, "DIGEST")
    return value
