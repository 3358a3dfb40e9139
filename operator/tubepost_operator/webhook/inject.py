"""What an admitted pod gets: a dispatcher as a native sidecar, made from its PushDomain's own workload.

The Deployment, or StatefulSet, is what the operator published last: image, configuration and Secrets in it
belong together. A sidecar made from it reads the same objects and reloads in the same way. Its queue, where
the PushDomain has one, is on an emptyDir of the app's pod. Pure: pod and template in, JSON patch out.

Source of the patch format: RFC 6902; of native sidecars: Kubernetes, "Sidecar Containers" (1.29 or later).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tubepost_operator.names import Names, short_hash
from tubepost_operator.resources.container import LINGER_VARIABLE, secret_mount, secret_volume
from tubepost_operator.resources.queue import ORDINAL_VARIABLE
from tubepost_operator.webhook.sidecar_resources import beyond, sidecar_resources
from tubepost_runtime.addresses import LOOPBACK

SMTP_PORT_ANNOTATION: Final = "tubepost.io/sidecar-smtp-port"
"""Annotation by which a pod asks for another port of the listener than its PushDomain's."""
HTTP_PORT_ANNOTATION: Final = "tubepost.io/sidecar-http-port"
"""Annotation by which a pod asks for another port of metrics and health; the admin port is the next one."""
REST_PORT_ANNOTATION: Final = "tubepost.io/sidecar-rest-port"
"""Annotation by which a pod asks for another port for requests than its PushDomain's, where that has one."""
CONTAINER: Final = "tubepost-dispatcher"
"""Name of the sidecar container."""
HTTP_PORT_NAME: Final = "tubepost-http"
"""Name of the sidecar's port for metrics and health."""
DEFAULT_HTTP_PORT: Final = 2590
"""Port of metrics and health: not the 9090 of a dispatcher's own pod, which many an app uses itself."""

_TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_NO_TOKEN: Final = "tubepost-no-token"  # noqa: S105 - a volume that holds none
_PREFIX: Final = "tubepost-"
_READABLE = 0o444
_KEPT = ("image", "imagePullPolicy", "command", "resources", "terminationMessagePolicy")
_USER = 65532
_OF_A_WORKLOAD: Final = frozenset({"--workload", "--ordinal", "--retire-after"})
"""Options by which a pod knows when it is to serve no more: a sidecar serves as long as its app is there."""
_SECURITY: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

Operation = dict[str, Any]
"""One operation of a JSON patch."""


@dataclass(frozen=True, slots=True)
class Injection:
    """The patch that gives the pod its dispatcher; empty when it has one already, in its place.

    `warnings` are for whoever creates the pod.
    """

    patch: tuple[Operation, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the pod gets no dispatcher, and the remedy, for the person who reads the event."""

    message: str


def inject(
    pod: Mapping[str, Any],
    template: Mapping[str, Any],
    *,
    namespace: Mapping[str, str] | None = None,
    limit_ranges: Sequence[Mapping[str, Any]] = (),
) -> Injection | Refusal:
    """Say what to change in a pod so that it has a dispatcher.

    Args:
        pod: the Pod to admit.
        template: `spec.template` of the PushDomain's workload; its first container is the dispatcher.
        namespace: annotations of the pod's namespace.
        limit_ranges: LimitRanges of it.
    """
    spec: Mapping[str, Any] = pod["spec"]
    if any(container["name"] == CONTAINER for container in _containers(spec)):
        return Injection(_moved(spec.get("initContainers") or ()))
    if spec.get("hostNetwork"):
        return Refusal(
            "the pod uses the host's network, where a dispatcher would listen on the loopback of the node. "
            f"Remedy: remove hostNetwork, or the label {Names.INJECT_LABEL} and inject at the Service"
        )
    if spec.get("os", {}).get("name", "linux") != "linux":
        return Refusal(
            f"it is not for Linux. Remedy: remove the label {Names.INJECT_LABEL} and inject at the Service"
        )
    annotations = pod.get("metadata", {}).get("annotations") or {}
    ports = [
        _port(annotations, SMTP_PORT_ANNOTATION, None),
        _port(annotations, HTTP_PORT_ANNOTATION, DEFAULT_HTTP_PORT),
        _port(annotations, REST_PORT_ANNOTATION, None),
    ]
    for port in ports:
        if isinstance(port, Refusal):
            return port
    smtp_port, http_port, rest_port = ports
    assert isinstance(http_port, int)
    assert smtp_port is None or isinstance(smtp_port, int)
    assert rest_port is None or isinstance(rest_port, int)
    source = _whole(template)
    volumes, renamed = _volumes(source)
    container = _container(
        source, renamed, spec.get("securityContext") or {}, (smtp_port, http_port, rest_port)
    )
    published = container.get("resources") or {}
    resources, warnings = sidecar_resources(published, namespace or {}, annotations)
    if found := beyond(resources, spec, limit_ranges):
        return Refusal(found)
    container["resources"] = resources
    return Injection(tuple(_patch(pod, source, container, volumes)), warnings)


def _moved(present: Sequence[Mapping[str, Any]]) -> tuple[Operation, ...]:
    """Have the sidecar stand before every init container that ends.

    Other injectors, asked after us, put theirs before it; the API server asks again then. Native sidecars may
    stand before it: to change places with a mesh's, which is asked again as well, would help nobody.
    """
    names = [container["name"] for container in present]
    if CONTAINER not in names:
        return ()
    now = names.index(CONTAINER)
    ending = (n for n, container in enumerate(present) if container.get("restartPolicy") != "Always")
    place = next(ending, now)
    if now <= place:
        return ()
    return ({"op": "move", "from": f"/spec/initContainers/{now}", "path": f"/spec/initContainers/{place}"},)


def _whole(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The template's spec, with the Secrets that the PushDomain's own pods do not mount for a while."""
    spec: Mapping[str, Any] = template["spec"]
    without = ((template.get("metadata") or {}).get("annotations") or {}).get(Names.WITHOUT_ANNOTATION, "")
    secrets = [name for name in without.split(",") if name]
    dispatcher, *others = spec["containers"]
    mounts = [*(dispatcher.get("volumeMounts") or ()), *map(secret_mount, secrets)]
    return {
        **spec,
        "containers": [{**dispatcher, "volumeMounts": mounts}, *others],
        "volumes": [*(spec.get("volumes") or ()), *map(secret_volume, secrets)],
    }


def config_name(template: Mapping[str, Any]) -> str:
    """Name of the ConfigMap that a dispatcher of this template reads; empty when there is none."""
    for volume in template["spec"].get("volumes") or ():
        if "configMap" in volume:
            return str(volume["configMap"]["name"])
    return ""


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _port(annotations: Mapping[str, str], name: str, default: int | None) -> int | Refusal | None:
    text = annotations.get(name)
    if text is None:
        return default
    # The port after that of metrics and health is the admin port.
    if text.isascii() and text.isdigit() and 1024 <= int(text) <= 65_534:
        return int(text)
    return Refusal(f"annotation {name}: {text!r} is no port. Remedy: write a number from 1024 to 65534")


def _volumes(source: Mapping[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The dispatcher's volumes, renamed to stand beside the app's, and old name -> new name."""
    volumes: list[dict[str, Any]] = []
    renamed: dict[str, str] = {}
    for volume in source.get("volumes") or ():
        name = _volume_name(volume["name"])
        renamed[volume["name"]] = name
        copy = {**volume, "name": name}
        # The app's pod has no fsGroup of ours: files must be readable for whoever mounts them, and nobody but
        # the sidecar does.
        for kind in ("configMap", "secret", "projected"):
            if kind in copy:
                copy[kind] = {**copy[kind], "defaultMode": _READABLE}
        volumes.append(copy)
    mounted = {mount["name"] for mount in source["containers"][0].get("volumeMounts") or ()}
    if Names.QUEUE_VOLUME in mounted and Names.QUEUE_VOLUME not in renamed:
        # A StatefulSet's comes from a claim of its own.
        renamed[Names.QUEUE_VOLUME] = _volume_name(Names.QUEUE_VOLUME)
        volumes.append({"name": renamed[Names.QUEUE_VOLUME], "emptyDir": {}})
    volumes.append({"name": _NO_TOKEN, "emptyDir": {"sizeLimit": "1Mi"}})
    return volumes, renamed


def _volume_name(name: str) -> str:
    long = name if name.startswith(_PREFIX) else _PREFIX + name
    if len(long) <= 63:
        return long
    return f"{long[:54]}-{short_hash(name)}"


def _container(
    source: Mapping[str, Any],
    renamed: Mapping[str, str],
    app: Mapping[str, Any],
    ports: tuple[int | None, int, int | None],
) -> dict[str, Any]:
    smtp_port, http_port, rest_port = ports
    dispatcher = source["containers"][0]
    security = {**_SECURITY, **_identity(source.get("securityContext") or {}, app)}
    options = {"--host": LOOPBACK, "--http-port": str(http_port), "--admin-port": str(http_port + 1)}
    if smtp_port is not None:
        options["--port"] = str(smtp_port)
    if rest_port is not None and "--rest-port" in (dispatcher.get("args") or ()):
        options["--rest-port"] = str(rest_port)
    mounts = [
        {**mount, "name": renamed[mount["name"]]}
        for mount in dispatcher.get("volumeMounts") or ()
        if mount["name"] in renamed
    ]
    # Admission gives every container without a mount at this path the app's service account token.
    mounts.append({"name": _NO_TOKEN, "mountPath": _TOKEN_PATH, "readOnly": True})
    container: dict[str, Any] = {
        "name": CONTAINER,
        **{key: dispatcher[key] for key in _KEPT if key in dispatcher},
        **_environment(dispatcher),
        "args": _with_options(dispatcher.get("args") or (), options),
        "restartPolicy": "Always",
        "ports": [{"name": HTTP_PORT_NAME, "containerPort": http_port, "protocol": "TCP"}],
        "securityContext": security,
        "volumeMounts": mounts,
    }
    # The app starts once the dispatcher listens. Its readiness is not asked for: trouble with credentials or
    # at APNs must not take the app itself out of service. No preStop either: a sidecar is stopped after the
    # app has ended.
    container["startupProbe"] = _probe("/livez", http_port, periodSeconds=1, failureThreshold=60)
    container["livenessProbe"] = _probe("/livez", http_port, periodSeconds=10, failureThreshold=3)
    return container


def _identity(own: Mapping[str, Any], app: Mapping[str, Any]) -> dict[str, Any]:
    """Whom the sidecar runs as: whom its PushDomain names, else the app's user or the image's.

    Without need none is said: a namespace may refuse all but its own (OpenShift). The need is an app whose
    pod says root.
    """
    said = {key: own[key] for key in ("runAsUser", "runAsGroup") if key in own}
    needed = {"runAsUser": _USER, "runAsGroup": _USER} if app.get("runAsUser") == 0 else {}
    return needed | said


def _environment(dispatcher: Mapping[str, Any]) -> dict[str, Any]:
    # Nobody is led to a sidecar from outside, and a Job's pod ends when it does.
    own = (ORDINAL_VARIABLE, LINGER_VARIABLE)
    wanted = [item for item in dispatcher.get("env") or () if item["name"] not in own]
    return {"env": wanted} if wanted else {}


def _with_options(arguments: Sequence[str], options: Mapping[str, str]) -> list[str]:
    """The arguments with other values for some options; those that do not stand there are added.

    Options of a workload's own pods are left out.
    """
    result: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in options or argument in _OF_A_WORKLOAD:
            skip = True
        elif argument.partition("=")[0] not in options:
            result.append(argument)
    # Its queue is on an emptyDir, also where the PushDomain has claims.
    volatile = ["--queue-volatile"] if "--queue-dir" in result else []
    return [*result, *volatile, *(part for option in options.items() for part in option)]


def _probe(path: str, port: int, **figures: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}, "timeoutSeconds": 5, **figures}


def _patch(
    pod: Mapping[str, Any],
    source: Mapping[str, Any],
    container: dict[str, Any],
    volumes: Sequence[dict[str, Any]],
) -> list[Operation]:
    spec = pod["spec"]
    patch: list[Operation] = []
    # First, so that the app's own init containers can send as well.
    if spec.get("initContainers"):
        patch.append(_add("/spec/initContainers/0", container))
    else:
        patch.append(_add("/spec/initContainers", [container]))
    patch += _append("/spec/volumes", spec.get("volumes"), volumes)
    have = {secret.get("name") for secret in spec.get("imagePullSecrets") or ()}
    wanted = [secret for secret in source.get("imagePullSecrets") or () if secret["name"] not in have]
    patch += _append("/spec/imagePullSecrets", spec.get("imagePullSecrets"), wanted)
    config = config_name({"spec": source})
    if pod.get("metadata", {}).get("annotations"):
        patch.append(_add(f"/metadata/annotations/{Names.CONFIG_ANNOTATION.replace('/', '~1')}", config))
    else:
        patch.append(_add("/metadata/annotations", {Names.CONFIG_ANNOTATION: config}))
    return patch


def _append(path: str, present: object, items: Sequence[Any]) -> list[Operation]:
    if not items:
        return []
    if present:
        return [_add(f"{path}/-", item) for item in items]
    return [_add(path, list(items))]


def _add(path: str, value: Any) -> Operation:
    return {"op": "add", "path": path, "value": value}
