"""What a dispatcher is started with, and whether a configuration can be served by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tubepost_api.config import DispatcherConfig
from tubepost_api.problems import Problem


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Where to listen and how to behave: what is not part of a configuration.

    `workers` 0: as the configuration says, or by the CPU limit. `smtp_port`, `rest_port` None: the
    configuration's. `strict`: refuse to start with credentials that cannot be read (else their routes are
    held).
    `in_process`: one worker, in this process, for a debugger. `queue_dir`: where the queue is, if there is
    one; `queue_volatile`: it goes with the dispatcher, whatever its workload. `workload` and, of a
    StatefulSet, `ordinal`: whose pod this is, None outside of a cluster. `retire_after`: seconds for which
    mail is still taken once the pod is to take none, so that its address is withdrawn first. `linger`:
    seconds at the most for which clients that are still led to a pod that ends are served.
    """

    smtp_host: str = "127.0.0.1"
    smtp_port: int | None = None
    rest_port: int | None = None
    http_host: str = "127.0.0.1"
    http_port: int = 9090
    admin_port: int = 9091
    workers: int = 0
    grace: float = 25.0
    strict: bool = True
    watch: bool = True
    log_format: Literal["text", "json"] = "text"
    in_process: bool = False
    queue_dir: Path | None = None
    queue_volatile: bool = False
    workload: Literal["Deployment", "StatefulSet"] | None = None
    ordinal: int = 0
    retire_after: float = 0.0
    linger: float = 0.0

    @property
    def loses_queue(self) -> bool:
        """Whether the volume of the queue goes with the dispatcher: a Deployment's or a sidecar's emptyDir.

        The configuration does not tell: it may be about a claim already while this pod retires, and a sidecar
        has an emptyDir in any case.
        """
        return self.queue_volatile or self.workload == "Deployment"


def unservable(config: DispatcherConfig, settings: SupervisorSettings) -> tuple[Problem, ...]:
    """What keeps a process with these settings from serving a configuration that is sound in itself."""
    if config.queue is None:
        return ()
    if config.queue.jet_stream is not None:
        return ()
    if settings.queue_dir is not None:
        return ()
    return (
        Problem(
            severity="error",
            origin="",
            kind="PushDomain",
            namespace=config.namespace,
            name=config.name,
            field="spec.queue.disk",
            message="this dispatcher was started without a directory for the queue",
            remedy="start it with --queue-dir DIRECTORY",
        ),
    )


def retires(config: DispatcherConfig, settings: SupervisorSettings) -> bool:
    """Whether other pods take the mail, and this one only delivers what it has in its queue."""
    if not config.serving or settings.workload is None:
        return False
    for workload in config.serving:
        if workload.kind == settings.workload:
            return workload.replicas is not None and settings.ordinal >= workload.replicas
    return True
