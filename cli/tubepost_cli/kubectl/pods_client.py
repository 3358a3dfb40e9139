"""The admin API of several pods as if it were one dispatcher's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import click

from tubepost_cli.kubectl.cluster import Cluster, ClusterFailed, NotAllowed
from tubepost_cli.kubectl.targets import DispatcherPod, asked
from tubepost_cli.queue_client import Document, QueueClient, Unavailable
from tubepost_dispatcher.queue_request import Action

_AT_ONCE: Final = 8
"""Port-forwards that are opened at the same time."""


@contextlib.contextmanager
def forwarded(
    cluster: Cluster, pods: Sequence[DispatcherPod], *, metrics: bool = False
) -> Iterator[tuple[dict[str, Mapping[int, int]], list[str]]]:
    """While it is open: ports of this machine by those of each pod, by its name; and what is missing.

    Args:
        cluster: where the pods are.
        pods: which; those that do not run are said to be missing.
        metrics: the port of metrics too, beside the admin port.

    Raises:
        ClusterFailed: not one of several could be opened.
    """
    able, problems = asked(pods)
    failures: list[ClusterFailed] = []
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(_AT_ONCE) as threads:

        def opened(pod: DispatcherPod) -> Mapping[int, int] | ClusterFailed:
            ports = (pod.admin_port, pod.http_port) if metrics else (pod.admin_port,)
            forward = cluster.forward(pod.name, ports)
            try:
                found = forward.__enter__()
            except ClusterFailed as error:
                return error
            stack.push(forward)
            return found

        found: dict[str, Mapping[int, int]] = {}
        for pod, answer in zip(able, threads.map(opened, able), strict=True):
            if isinstance(answer, ClusterFailed):
                failures.append(answer)
                problems.append(f"pod {pod.name}: {answer.message}")
            else:
                found[pod.name] = answer
        if failures and not found:
            if len({failure.message for failure in failures}) == 1 and len(failures) == len(problems):
                raise failures[0]
            kind = NotAllowed if isinstance(failures[0], NotAllowed) else ClusterFailed
            raise kind("; ".join(problems))
        yield found, problems


class PodsClient(QueueClient):
    """Asks one pod after the other; what they answer is put together.

    Args:
        urls: of the admin APIs, by the pods' names.
        progress: as of a `QueueClient`.
        problems: what is missing before anybody was asked.

    Raises:
        Unavailable, Refused: as a `QueueClient`. A pod that does not answer while others do is a problem.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        progress: Callable[[Document], None] = lambda _: None,
        *,
        problems: Sequence[str] = (),
    ) -> None:
        super().__init__("")
        self._clients = {pod: QueueClient(url, progress) for pod, url in urls.items()}
        self.problems = list(problems)

    def read(self, path: str, pairs: Sequence[tuple[str, str]]) -> Iterator[Document]:
        """As of one dispatcher; whatever is listed says in which `pod` it is."""
        partitions: list[Document] = []
        lost = 0
        for document in self._each(lambda _, client: client.read(path, pairs)):
            pod = document["pod"]
            for name in ("notifications", "partitions", "events"):
                for one in document.get(name, ()):
                    one["pod"] = pod
            if "partitions" in document:
                # Of a pod, each step has all of them; the last of all steps stands for all pods.
                partitions = [one for one in partitions if one["pod"] != pod] + document["partitions"]
                document["partitions"] = partitions
            if "journal" in document and document["last"]:
                lost += document["journal"]["linesLost"]
                document["journal"] = {**document["journal"], "linesLost": lost}
            yield document

    def change(
        self, action: Action, body: Mapping[str, Any], cursor: str | None = None
    ) -> Iterator[Document]:
        """As of one dispatcher; where pods were asked before, `cursor` has where each of them starts."""
        starts: dict[str, str] = json.loads(cursor) if cursor else {}
        made: dict[str, str] = {}

        def changed(pod: str, client: QueueClient) -> Iterator[Document]:
            if cursor is not None and pod not in starts:
                return iter(())  # it was not there to be counted
            return client.change(action, body, starts.get(pod))

        for document in self._each(changed):
            made[document["pod"]] = document["start"]
            document["start"] = json.dumps(made)
            yield document

    def _each(self, ask: Callable[[str, QueueClient], Iterator[Document]]) -> Iterator[Document]:
        answered = False
        failures: list[Unavailable] = []
        waiting = list(self._clients.items())
        while waiting:
            pod, client = waiting.pop(0)
            try:
                for answer in ask(pod, client):
                    answered = True
                    # A copy: the client goes on by the `next` of its own.
                    document = {**answer, "pod": pod, "last": answer["next"] is None}
                    if waiting and document["next"] is None:
                        document["next"] = ""  # there is more: of another pod
                    yield document
            except Unavailable as error:
                failures.append(error)
                self.problems.append(f"pod {pod}: {error.message}")
            self.problems += [
                text for one in client.problems if (text := f"pod {pod}: {one}") not in self.problems
            ]
        if not answered:
            raise (
                failures[0] if failures else Unavailable("; ".join(self.problems) or "no pod could be asked")
            )


def client_of_pods(
    cluster: Cluster, pods: Sequence[DispatcherPod], progress: Callable[[Document], None]
) -> PodsClient:
    """Port-forwards to all of them, until the command ends, and a client of theirs."""
    opened = click.get_current_context().with_resource(forwarded(cluster, pods))
    ports, problems = opened
    by_name = {pod.name: pod for pod in pods}
    urls = {name: f"http://127.0.0.1:{found[by_name[name].admin_port]}" for name, found in ports.items()}
    return PodsClient(urls, progress, problems=problems)
