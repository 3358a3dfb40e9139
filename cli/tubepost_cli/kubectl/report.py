"""`kubectl tubepost report`: a support bundle, with whatever is secret left out."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import httpx
import yaml

from tubepost_cli.kubectl import redact
from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed, Document, NotAllowed
from tubepost_cli.kubectl.facts import Facts, gather
from tubepost_cli.kubectl.options import cluster_of, cluster_options
from tubepost_cli.kubectl.pods_client import forwarded
from tubepost_cli.kubectl.refusals import once
from tubepost_cli.kubectl.status_text import screen, when
from tubepost_cli.kubectl.targets import (
    INJECT_LABEL,
    LOGGERS,
    PUSH_DOMAIN_LABEL,
    PUSH_DOMAINS,
    ROUTES,
    DispatcherPod,
    pods_of,
)
from tubepost_cli.queue_client import EX_PARTLY
from tubepost_cli.queue_text import shown
from tubepost_runtime.words import counted

T = TypeVar("T")
_OURS: Final = (PUSH_DOMAINS, ROUTES, LOGGERS)
"""Kinds of which all objects of the namespace are taken."""
_CHILDREN: Final = (
    "deployments.apps",
    "statefulsets.apps",
    "replicasets.apps",
    "services",
    "configmaps",
    "pods",
    "persistentvolumeclaims",
    "poddisruptionbudgets.policy",
    "networkpolicies.networking.k8s.io",
)
"""Kinds of which those with the label of a PushDomain are taken. Secrets are read of no kind."""
_OPERATOR: Final = "app.kubernetes.io/name=tubepost-operator"
_TIMEOUT: Final = 15.0
_PATHS: Final = ("/status", "/queue/summary")


@click.command(short_help="Write a support bundle; secrets are left out.")
@click.option(
    "-f",
    "--filename",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to.  [default: tubepost-report-TIME.tar.gz]",
)
@click.option("--tail", default=2_000, show_default=True, metavar="N", help="Lines of each log at most.")
@cluster_options
def command(file: Path | None, tail: int, **options: Any) -> None:
    """Write a support bundle about the namespace, a .tar.gz.

    In it: objects, conditions, events, logs, metrics, versions, and the screen of `status`.

    Secrets are not read. What else may hold something secret is cut: values of variables and options with
    such names, PEM, tokens, keys, passwords, device tokens, policy modules, and what a URL has behind `?`.
    Look through it all the same before you give it to somebody.

    \b
    kubectl tubepost report -n shop
    kubectl tubepost report -n shop -f /tmp/report.tar.gz
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = f"tubepost-report-{stamp}"
    target = file or Path(f"{name}.tar.gz")
    missing: list[str] = []
    count = 0
    try:
        with tarfile.open(target, "x:gz") as archive:
            for path, text in contents(cluster_of(options), missing, tail):
                _add(archive, f"{name}/{path}", text)
                count += 1
            _add(archive, f"{name}/missing.txt", "".join(f"{redact.text(one)}\n" for one in missing))
    except FileExistsError:
        raise click.ClickException(f"{target} exists: name another file with -f") from None
    except OSError as error:
        target.unlink(missing_ok=True)
        raise click.ClickException(
            f"{target} cannot be written: {error.strerror}. Remedy: name a file elsewhere with -f"
        ) from None
    except BaseException:
        target.unlink(missing_ok=True)  # half a report tells nobody that it is one
        raise
    click.echo(
        f"{target}: {counted(count, 'file')}, {counted(target.stat().st_size, 'byte')}; secrets are left out."
    )
    for one in missing:
        click.echo(f"{click.style('missing', fg='yellow')}: {shown(one, 600)}", err=True)
    raise SystemExit(EX_PARTLY if missing else 0)


def contents(cluster: Cluster, missing: list[str], tail: int) -> Iterator[tuple[str, str]]:
    """Files of the bundle, path and text, redacted.

    Args:
        cluster: asked for everything.
        missing: gets what could not be had, and why.
        tail: lines of each log.

    Raises:
        ClusterFailed: nobody answers.
    """

    def tried(what: Callable[[], T], otherwise: T) -> T:
        try:
            return what()
        except ClusterFailed as error:
            failures.append(error)
            return otherwise

    failures: list[ClusterFailed] = []

    def objects(kind: str, selector: str = "") -> list[Document]:
        return tried(lambda: cluster.objects(kind, selector=selector), [])

    try:
        versions = cluster.versions()
    except NotAllowed as error:
        failures.append(error)
        versions = {}
    yield "versions.json", _json({"tubepost": version("tubepost"), **versions})
    facts = tried(lambda: gather(cluster, None), Facts(()))
    missing += facts.problems
    yield "status.txt", "".join(f"{redact.text(line)}\n" for line in screen(facts, time.time()))
    for kind in _OURS:
        yield from _objects(kind, objects(kind))
    yield "events.yaml", _yaml(sorted(objects("events"), key=when))
    for kind in _CHILDREN:
        yield from _objects(kind, objects(kind, PUSH_DOMAIN_LABEL))
    operators = objects("pods", _OPERATOR)
    yield from _objects("operator-pods", operators)
    injected = objects("pods", INJECT_LABEL)
    pods = pods_of([*objects("pods", PUSH_DOMAIN_LABEL), *injected])
    boxes = [(pod.name, pod.container) for pod in pods]
    boxes += [
        (pod["metadata"]["name"], box["name"]) for pod in operators for box in pod["spec"]["containers"]
    ]
    for pod_name, container in boxes:
        yield from _logs(cluster, pod_name, container, tail, missing)
    if pods:
        yield from tried(lambda: _answers(cluster, pods, missing), list[tuple[str, str]]())
    missing[:] = dict.fromkeys([*missing, *once(failures)])


def _objects(kind: str, documents: list[Document]) -> Iterator[tuple[str, str]]:
    for one in documents:
        name = one["metadata"]["name"]
        own = {"data": _config(one.get("data") or {})} if kind == "configmaps" else {}
        document = {**one, **own}
        yield f"objects/{kind.partition('.')[0]}/{name}.yaml", _yaml([document])


def _yaml(documents: list[Document]) -> str:
    return str(yaml.safe_dump_all(map(redact.value, documents), sort_keys=False, allow_unicode=True))


def _config(data: dict[str, str]) -> dict[str, Any]:
    """The compiled configuration as what it is, so that it is cut by its keys; policies are users' code."""
    found: dict[str, Any] = {}
    for key, text in data.items():
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            found[key] = redact.HIDDEN
            continue
        if document.get("policy"):
            document["policy"] = redact.HIDDEN
        found[key] = document
    return found


def _logs(
    cluster: Cluster, pod: str, container: str, tail: int, missing: list[str]
) -> Iterator[tuple[str, str]]:
    for name, more in (("", []), (".previous", ["--previous"])):
        lines: list[str] = []
        try:
            lines += cluster.logs(pod, container, options=[f"--tail={tail}", *more])
        except ClusterFailed as error:
            if not more:  # there need not have been a container before
                missing.append(f"pod {pod}: {error.message}")
        if lines:
            yield f"logs/{pod}.{container}{name}.log", redact.text("\n".join(lines)) + "\n"


def _answers(cluster: Cluster, pods: list[DispatcherPod], missing: list[str]) -> list[tuple[str, str]]:
    files: list[tuple[str, str]] = []
    with (
        forwarded(cluster, pods, metrics=True) as (ports, _),  # `gather` has said what is missing
        httpx.Client(timeout=_TIMEOUT, trust_env=False) as client,
    ):
        for pod in pods:
            opened = ports.get(pod.name)
            if opened is None:
                continue
            admin = f"http://127.0.0.1:{opened[pod.admin_port]}"
            try:
                for path in _PATHS:
                    document = client.get(admin + path).json()
                    name = path.strip("/").replace("/", "-")
                    files.append((f"pods/{pod.name}/{name}.json", _json(document)))
                metrics = client.get(f"http://127.0.0.1:{opened[pod.http_port]}/metrics").text
                files.append((f"pods/{pod.name}/metrics.txt", redact.text(metrics)))
            except (httpx.HTTPError, ValueError) as error:
                missing.append(f"pod {pod.name} does not answer: {error}")
    return files


def _json(document: Any) -> str:
    return json.dumps(redact.value(document), indent=2) + "\n"


def _add(archive: tarfile.TarFile, path: str, text: str) -> None:
    data = text.encode("utf-8", "replace")
    member = tarfile.TarInfo(path)
    member.size = len(data)
    member.mtime = int(time.time())
    archive.addfile(member, io.BytesIO(data))
