"""The dispatcher's container and the volumes that it mounts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from tubepost_api.listener import ADMIN_PORT, HTTP_PORT
from tubepost_api.podtemplate import NO_LIMIT
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.quantities import amount
from tubepost_operator.resources import queue
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.queue import QueueVolume
from tubepost_runtime.addresses import ALL

NAME: Final = "dispatcher"
REST_PORT: Final = "rest"
"""Name of the port of the listener for requests, of containers and of the Service."""
CONFIG_DIRECTORY: Final = "/etc/tubepost/config"
SECRETS_DIRECTORY: Final = "/etc/tubepost/secrets"

PRE_STOP: Final = 5
"""Seconds between a pod's notice and SIGTERM: endpoints have to be withdrawn on all nodes before the listener
closes."""
_READY_EVERY: Final = 5
_READY_MISSES: Final = 2
RETIRE_AFTER: Final = _READY_EVERY * _READY_MISSES + PRE_STOP
"""Seconds for which a pod still takes mail when others are to take it: until its probe has failed often
enough, and its address is withdrawn."""
LINGER: Final = 15
"""Seconds more for which a pod serves those who are led to it all the same: a busy node may be late to
withdraw an address, and whoever is refused then has nowhere else to go. Over as soon as nobody comes."""
LINGER_VARIABLE: Final = "TUBEPOST_LINGER"
"""How it is told; not by an argument, which an older image than the operator's would stumble over."""
SPARE: Final = 5
"""Seconds of the grace period that are left when the drain is over."""

LOG_DIRECTORY: Final = "/var/log/tubepost"
"""Where ApnLoggers may write files: all else is read-only. Always there, so that a logger needs no roll."""

DEFAULT_CPU: Final = {"requests": "100m", "limits": "1"}
"""Where the spec names none. A tenth of a CPU is 700 messages a second; the limit also sets the number of
worker processes to one."""
DEFAULT_MEMORY: Final = {"requests": (128, 32), "limits": (512, 128)}
"""MiB for a pod with one worker, and for each further one. Measured are 77 for a pod at rest and 12 for each
further worker, which shares most of its memory with the others, and 15 for 1,000 sessions with a message each
(docs/sizing.md); the limit leaves room for large messages, hooks, and what a queue has in memory."""
ROOM: Final = 2
"""Without a limit in the spec, it is at least this many times the request: a request is what is needed on
average, and a limit of the same would hold every burst up. Not unlimited unless the spec says so, since the
CPU limit decides on the number of worker processes, and these fill the memory."""
CA_DIRECTORY: Final = "/etc/tubepost/ca"
_CA_VOLUME: Final = "ca-bundle"
_CA_FILE: Final = "ca.crt"

_SECURITY: Final[Document] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_FILE_MODE: Final = 0o444
"""Mode of mounted files: whoever the pod runs as reads them. Nobody but this container mounts them, and which
user and group that is the namespace may decide (OpenShift)."""


def container(source: Source) -> Document:
    """Build the dispatcher's container."""
    template = source.pod_template
    release = source.settings.release
    grace = queue.grace(template.termination_grace_period_seconds, source.queue) - PRE_STOP - SPARE
    place = source.queue
    built: Document = {
        "name": NAME,
        "image": template.image or release.image,
        "imagePullPolicy": release.pull_policy,
        "args": [
            "run",
            *("--config", CONFIG_DIRECTORY),
            *("--secrets", SECRETS_DIRECTORY),
            *("--host", ALL),  # a pod's addresses, and their families, are not known beforehand
            # A new port in the configuration must not move the listener of a pod that is about to go: the
            # Service reaches each pod by the port that its own template names.
            *("--port", str(source.config.listener.port)),
            *_rest_arguments(source),
            *("--http-host", ALL),
            *("--http-port", str(HTTP_PORT)),
            *("--admin-port", str(ADMIN_PORT)),
            *("--grace", str(grace)),
            *("--log-format", "json"),
            "--lenient",
            *(queue.arguments(place, RETIRE_AFTER) if place else ()),
            *_worker_arguments(source),
        ],
        "ports": [
            {"name": "smtp", "containerPort": source.config.listener.port, "protocol": "TCP"},
            *(
                [{"name": REST_PORT, "containerPort": source.config.rest.port, "protocol": "TCP"}]
                if source.config.rest
                else ()
            ),
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        ],
        "resources": _resources(source),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP}}},
        "startupProbe": _probe("/livez", period=1, failures=90),
        "readinessProbe": _probe("/readyz", period=_READY_EVERY, failures=_READY_MISSES),
        "livenessProbe": _probe("/livez", period=10, failures=6),
        # What a crashing container wrote last is in the pod's status, where the operator finds it.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": _SECURITY,
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
            {"name": "logs", "mountPath": LOG_DIRECTORY},
            *(secret_mount(secret) for secret in sorted(source.config.secret_names())),
        ],
    }
    variables: list[Document] = [{"name": LINGER_VARIABLE, "value": str(LINGER)}]
    if place:
        built["volumeMounts"].append({"name": Names.QUEUE_VOLUME, "mountPath": queue.DIRECTORY})
        variables += queue.environment(place, source.drains)
    if template.ca_bundle:
        built["volumeMounts"].append({"name": _CA_VOLUME, "mountPath": CA_DIRECTORY, "readOnly": True})
        # What OpenSSL reads where a program names no authorities.
        variables.append({"name": "SSL_CERT_FILE", "value": f"{CA_DIRECTORY}/{_CA_FILE}"})
    built["env"] = variables
    return built


def volumes(source: Source) -> list[Document]:
    """Build the volumes; a StatefulSet's claims come to them by themselves.

    Secrets are optional: a missing one must not keep a replica from serving the other routes. None is
    mounted by subPath, which the kubelet never updates.
    """
    return [
        {"name": "config", "configMap": {"name": source.config_map, "defaultMode": _FILE_MODE}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "logs", "emptyDir": {}},
        *(secret_volume(secret) for secret in sorted(source.config.secret_names())),
        *(
            [source.kept or queue.empty_dir(_largest_queue(source), _workers(source))]
            if source.queue in {QueueVolume.EMPTY_DIR, QueueVolume.JETSTREAM}
            else ()
        ),
        *([queue.claimed(source.name, source.drains)] if source.drains is not None else ()),
        *_ca_volume(source),
    ]


def secret_volume(secret: str) -> Document:
    """Build the volume of a Secret."""
    mounted = {"secretName": secret, "optional": True, "defaultMode": _FILE_MODE}
    return {"name": Names.secret_volume(secret), "secret": mounted}


def secret_mount(secret: str) -> Document:
    """Build its mount."""
    path = f"{SECRETS_DIRECTORY}/{secret}"
    return {"name": Names.secret_volume(secret), "mountPath": path, "readOnly": True}


def _ca_volume(source: Source) -> list[Document]:
    wanted = source.pod_template.ca_bundle
    if wanted is None:
        return []
    # Not optional: without its authorities a dispatcher would trust nobody, and say so of each connection.
    items = [{"key": wanted.key, "path": _CA_FILE}]
    config_map = {"name": wanted.config_map_name, "items": items, "defaultMode": _FILE_MODE}
    return [{"name": _CA_VOLUME, "configMap": config_map}]


def _rest_arguments(source: Source) -> list[str]:
    # As with the SMTP listener, a new port in the configuration is for new pods.
    return ["--rest-port", str(source.config.rest.port)] if source.config.rest else []


def _worker_arguments(source: Source) -> list[str]:
    """Without a CPU limit a dispatcher would have a worker for each CPU of the node."""
    limited = "cpu" in _resources(source)["limits"]
    return [] if limited or source.spec.workers else ["--workers", str(_workers(source))]


def _largest_queue(source: Source) -> int | str | None:
    disk = source.spec.queue.disk if source.spec.queue else None
    return disk.max_size if disk else None


def _workers(source: Source) -> int:
    """How many workers a pod will have, as it finds out itself, or is told where it has no CPU limit."""
    resources = _resources(source)
    cpus = resources["limits"].get("cpu") or resources["requests"]["cpu"]
    return source.spec.workers or math.ceil(amount(cpus) or 1)


def _resources(source: Source) -> dict[str, dict[str, Any]]:
    wanted = source.pod_template.resources.model_dump(by_alias=True, exclude_none=True)
    resources = {kind: dict(wanted.get(kind, {})) for kind in ("requests", "limits")}
    _complete(resources, "cpu", DEFAULT_CPU)
    further = _workers_of(resources) - 1
    _complete(
        resources,
        "memory",
        {kind: f"{first + further * more}Mi" for kind, (first, more) in DEFAULT_MEMORY.items()},
    )
    limits = {name: limit for name, limit in resources["limits"].items() if limit != NO_LIMIT}
    return {"requests": resources["requests"], "limits": limits}


def _complete(resources: dict[str, dict[str, Any]], name: str, default: Mapping[str, str]) -> None:
    """Fill in what is not said of one resource, so that it fits what is."""
    request, limit = (resources[kind].get(name) for kind in ("requests", "limits"))
    if limit is None:
        usual = default["limits"]
        resources["limits"][name] = usual if request is None else _larger(_times(request, ROOM), usual)
    if request is None:
        # The default could be more than a limit that is given, which Kubernetes takes for the request.
        resources["requests"][name] = default["requests"] if limit in (None, NO_LIMIT) else limit


def _workers_of(resources: Mapping[str, Mapping[str, Any]]) -> int:
    """Workers for the CPUs of complete resources.

    What `spec.workers` says is left out, here and so in memory: it changes in pods that go on.
    """
    limit = resources["limits"]["cpu"]
    cpus = resources["requests"]["cpu"] if limit == NO_LIMIT else limit
    return math.ceil(amount(cpus) or 1)


def _larger(one: str, other: str) -> str:
    return one if (amount(one) or 0) > (amount(other) or 0) else other


def _times(quantity: str, factor: int) -> str:
    """A multiple, in the same unit; of a fraction of CPUs in thousandths."""
    number = re.match(r"[0-9.]+", quantity)
    assert number is not None
    unit = quantity[number.end() :]
    if unit or "." not in number[0]:
        value = Decimal(number[0]) * factor
        return f"{value:f}{unit}" if unit != "m" or value % 1000 else f"{value / 1000:f}"
    thousandths = math.ceil(Decimal(number[0]) * factor * 1000)
    return f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}"


def _probe(path: str, *, period: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
