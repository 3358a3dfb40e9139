"""The dispatcher's container and the volumes that it mounts."""

from __future__ import annotations

import math
from typing import Any, Final

from tubepost_api.listener import ADMIN_PORT, HTTP_PORT
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.quantities import amount
from tubepost_operator.resources import queue
from tubepost_operator.resources.common import Source
from tubepost_operator.resources.queue import QueueVolume

NAME: Final = "dispatcher"
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
SPARE: Final = 5
"""Seconds of the grace period that are left when the drain is over."""

LOG_DIRECTORY: Final = "/var/log/tubepost"
"""Where ApnLoggers may write files: all else is read-only. Always there, so that a logger needs no roll."""

DEFAULT_RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "192Mi"},
    "limits": {"cpu": "1", "memory": "512Mi"},
}
"""Where the spec names none. The CPU limit also sets the number of worker processes to one."""
ROOM: Final = 2
"""Without a CPU limit in the spec, the limit is at least this many times the request: a request is what is
needed on average, and throttling at that would hold every burst up. Not unlimited, since the limit decides on
the number of worker processes, and these fill the memory."""

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
            *("--host", "0.0.0.0"),  # noqa: S104 - a pod's address is not known beforehand
            # A new port in the configuration must not move the listener of a pod that is about to go: the
            # Service reaches each pod by the port that its own template names.
            *("--port", str(source.config.listener.port)),
            *("--http-host", "0.0.0.0"),  # noqa: S104 - the same
            *("--http-port", str(HTTP_PORT)),
            *("--admin-port", str(ADMIN_PORT)),
            *("--grace", str(grace)),
            *("--log-format", "json"),
            "--lenient",
            *(queue.arguments(place, RETIRE_AFTER) if place else ()),
        ],
        "ports": [
            {"name": "smtp", "containerPort": source.config.listener.port, "protocol": "TCP"},
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
            *(
                {
                    "name": Names.secret_volume(secret),
                    "mountPath": f"{SECRETS_DIRECTORY}/{secret}",
                    "readOnly": True,
                }
                for secret in sorted(source.config.secret_names())
            ),
        ],
    }
    if place:
        built["volumeMounts"].append({"name": Names.QUEUE_VOLUME, "mountPath": queue.DIRECTORY})
        if variables := queue.environment(place):
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
        *(
            {
                "name": Names.secret_volume(secret),
                "secret": {"secretName": secret, "optional": True, "defaultMode": _FILE_MODE},
            }
            for secret in sorted(source.config.secret_names())
        ),
        *(
            [queue.empty_dir(_largest_queue(source), _workers(source))]
            if source.queue is QueueVolume.EMPTY_DIR
            else ()
        ),
    ]


def _largest_queue(source: Source) -> int | str | None:
    disk = source.spec.queue.disk if source.spec.queue else None
    return disk.max_size if disk else None


def _workers(source: Source) -> int:
    """How many workers a pod will have, as it finds out itself."""
    return source.spec.workers or math.ceil(amount(_resources(source)["limits"]["cpu"]) or 1)


def _resources(source: Source) -> dict[str, dict[str, Any]]:
    wanted = source.pod_template.resources.model_dump(by_alias=True, exclude_none=True)
    requests, limits = wanted.get("requests", {}), wanted.get("limits", {})
    merged: dict[str, dict[str, Any]] = {"requests": {}, "limits": {}}
    for name in ("cpu", "memory"):
        request, limit = requests.get(name), limits.get(name)
        if limit is None:
            limit = DEFAULT_RESOURCES["limits"][name]
            if request is not None:
                limit = _cpu_limit(request, limit) if name == "cpu" else _larger(request, limit)
        elif request is None:
            # The default could be more than this limit; Kubernetes does the same.
            request = limit
        merged["requests"][name] = request or DEFAULT_RESOURCES["requests"][name]
        merged["limits"][name] = limit
    return merged


def _larger(one: str, other: str) -> str:
    return one if (amount(one) or 0) > (amount(other) or 0) else other


def _cpu_limit(request: str, default: str) -> str:
    thousandths = math.ceil((amount(request) or 0) * ROOM * 1000)
    return _larger(f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}", default)


def _probe(path: str, *, period: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
