"""`tubepost run`: a dispatcher on this machine, or in a pod."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from tubepost_api.config import StartTlsMode
from tubepost_cli.problems import show
from tubepost_cli.program import program
from tubepost_dispatcher.config.bundle import Prepared
from tubepost_dispatcher.config.source import ConfigSource, MountedSource
from tubepost_dispatcher.supervisor.forking import ForkedWorkers
from tubepost_dispatcher.supervisor.sockets import CannotBind
from tubepost_dispatcher.supervisor.supervisor import ConfigRefused, Supervisor, SupervisorSettings
from tubepost_dispatcher.supervisor.worker_handle import WorkerFailed
from tubepost_dispatcher.worker.zygote import Zygote
from tubepost_dispatcher.worker.zygote import start as start_zygote
from tubepost_runtime import process_log
from tubepost_runtime.addresses import with_port
from tubepost_runtime.tasks import TaskSet

if TYPE_CHECKING:
    from tubepost_cli.simulated import SimulatedApns


@click.command()
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A manifest file, or a directory of them; may be repeated.",
)
@click.option(
    "-R", "--recursive", is_flag=True, help="Read what is below directories, too (as kubectl does)."
)
@click.option("--push-domain", metavar="NAME", help="Which PushDomain to serve, when the files hold several.")
@click.option(
    "--simulator",
    is_flag=True,
    help="Send to a simulated APNs started beside it: it takes the place of every route.",
)
@click.option(
    "--inbox-port",
    type=click.IntRange(0, 65535),
    help="Port of the simulated APNs' inbox page (0: any free one).  [default: 2198, or a free one if taken]",
)
@click.option(
    "--config",
    "config_dir",
    type=click.Path(path_type=Path),
    help="In a pod, instead of -f: the mounted directory that holds config.json.",
)
@click.option(
    "--secrets",
    "secrets_dir",
    type=click.Path(path_type=Path),
    default=Path("/etc/tubepost/secrets"),
    show_default=True,
    help="In a pod: the directory that holds one directory per Secret.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the SMTP listener.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Its port, instead of the PushDomain's (0: any free one)."
)
@click.option(
    "--rest-port",
    type=click.IntRange(0, 65535),
    help="Port for requests, where the PushDomain has spec.rest, instead of its own (0: any free one).",
)
@click.option("--http-host", default="127.0.0.1", show_default=True, help="Address of /metrics and health.")
@click.option("--http-port", default=9090, show_default=True, type=click.IntRange(0, 65535), help="Its port.")
@click.option(
    "--admin-port",
    default=9091,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port of /status, always on loopback.",
)
@click.option(
    "--workers",
    default=0,
    type=click.IntRange(0, 64),
    help="Worker processes, instead of the PushDomain's figure.  [default: by the CPU limit]",
)
@click.option(
    "--in-process",
    is_flag=True,
    help="For debugging: run one worker inside this process, where breakpoints work.",
)
@click.option(
    "--grace",
    default=25.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    help="Seconds that a SIGTERM gives to transactions under way.",
)
@click.option(
    "--queue-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the queue, for a PushDomain with spec.queue; made where it is missing. It is emptied "
    "whatever the mode of acceptance.",
)
@click.option(
    "--queue-volatile",
    is_flag=True,
    help="The directory is lost with this dispatcher, as a sidecar's emptyDir is: deliver what is possible "
    "before the end. (A Deployment's is, too.)",
)
@click.option(
    "--workload",
    type=click.Choice(["Deployment", "StatefulSet"]),
    help="In a pod: the kind of its workload. A pod of one that the configuration does not name takes no "
    "mail, and delivers its queue.",
)
@click.option(
    "--ordinal",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="In a pod of a StatefulSet: its number.",
)
@click.option(
    "--retire-after",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0.0),
    help="Seconds for which a pod that is to take no mail still takes some, not ready already.",
)
@click.option(
    "--linger",
    default=0.0,
    show_default=True,
    envvar="TUBEPOST_LINGER",
    show_envvar=True,
    type=click.FloatRange(min=0.0),
    help="Seconds, of those of --grace, for which clients that are still led to a pod that ends are served.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The dispatcher's own log, on standard error: lines for people, or JSON.",
)
@click.option(
    "--lenient",
    is_flag=True,
    help="Start even when a credential cannot be read: its routes hold their messages (451).",
)
def command(
    files: tuple[Path, ...],
    recursive: bool,
    push_domain: str | None,
    simulator: bool,
    inbox_port: int | None,
    config_dir: Path | None,
    secrets_dir: Path,
    host: str,
    port: int | None,
    rest_port: int | None,
    http_host: str,
    http_port: int,
    admin_port: int,
    workers: int,
    in_process: bool,
    grace: float,
    queue_dir: Path | None,
    queue_volatile: bool,
    workload: Literal["Deployment", "StatefulSet"] | None,
    ordinal: int,
    retire_after: float,
    linger: float,
    log_format: Literal["text", "json"],
    lenient: bool,
) -> None:
    """Serve a PushDomain: SMTP in, APNs out.

    \b
    Manifests are those of `kubectl apply`: PushDomain, ApnRoute, ApnLogger, and the Secrets and ConfigMaps
    that they name.
      tubepost run -f examples/ --simulator
      tubepost run -f push.yaml -f secrets.yaml --port 2525

    Changed files are read, checked as a whole, and put in force without dropping a session; a broken change
    is refused and reported while the old configuration stays in force. SIGTERM drains, a second one ends at
    once; SIGHUP reloads the configuration and reopens the log files.
    """
    if bool(files) == bool(config_dir):
        raise click.UsageError("Name manifests with -f FILE (or, in a pod, the mounted --config DIRECTORY).")
    if inbox_port is not None and not simulator:
        raise click.UsageError("--inbox-port is about the simulated APNs: add --simulator.")
    if in_process and workers > 1:
        raise click.UsageError("--in-process runs one worker: leave --workers out.")
    source_of = _source_of(files, push_domain, config_dir, secrets_dir, recursive=recursive)
    # Before anything is opened or any thread is started: what is forked later starts from here.
    zygote = None if in_process else start_zygote()
    process_log.setup("Info", log_format)
    settings = SupervisorSettings(
        smtp_host=host,
        smtp_port=port,
        rest_port=rest_port,
        http_host=http_host,
        http_port=http_port,
        admin_port=admin_port,
        workers=workers,
        in_process=in_process,
        grace=grace,
        strict=not lenient,
        log_format=log_format,
        queue_dir=queue_dir,
        queue_volatile=queue_volatile,
        workload=workload,
        ordinal=ordinal,
        retire_after=retire_after,
        linger=linger,
    )
    simulated = None
    if simulator:
        from tubepost_cli.simulated import SimulatedApns  # noqa: PLC0415 - in a pod there is none

        simulated = SimulatedApns(inbox_port)
    raise SystemExit(asyncio.run(_serve(source_of(simulated), simulated, settings, zygote)))


def _source_of(
    files: tuple[Path, ...],
    push_domain: str | None,
    config_dir: Path | None,
    secrets_dir: Path,
    *,
    recursive: bool,
) -> Callable[[SimulatedApns | None], ConfigSource]:
    """Import what reads the configuration, and say how it is made."""
    if config_dir is not None:
        return lambda _: MountedSource(config_dir, secrets_dir)
    # Not in a pod, where it would be 4 MiB for nothing. Whoever forks calls this before: what is imported
    # later is nobody else's, and writes to pages that were shared.
    from tubepost_dispatcher.config.manifest_source import ManifestSource  # noqa: PLC0415

    return lambda simulated: ManifestSource(
        files, push_domain, simulated.take_over if simulated else None, recursive=recursive
    )


async def _serve(
    source: ConfigSource,
    simulated: SimulatedApns | None,
    settings: SupervisorSettings,
    zygote: Zygote | None,
) -> int:
    async with contextlib.AsyncExitStack() as stack:
        if simulated is not None:
            await stack.enter_async_context(simulated)
        forked = ForkedWorkers(*zygote) if zygote is not None else None
        supervisor = Supervisor(source, settings, forked)
        starting = asyncio.get_running_loop().create_task(supervisor.start())
        # From the first moment on: the first process of a container gets no signal that it does not ask for.
        _obey_signals(supervisor, starting)
        try:
            await starting
        except asyncio.CancelledError:
            click.echo("ended before it had started", err=True)
            return supervisor.exit_code
        except ConfigRefused as refused:
            show(refused.problems)
            return 2
        except CannotBind as error:
            click.echo(f"error: {error}. Remedy: {error.remedy}.", err=True)
            return 1
        except WorkerFailed as error:
            click.echo(f"error: {error}; its own lines above say why.", err=True)
            return 1
        _announce(supervisor, settings, simulated)
        await supervisor.wait()
        return supervisor.exit_code


def _announce(supervisor: Supervisor, settings: SupervisorSettings, simulated: SimulatedApns | None) -> None:
    config = supervisor.prepared.config
    tls = "s" if config.rest is not None and config.rest.tls is not None else ""
    lines = [
        f"PushDomain {config.namespace}/{config.name} is served:",
        f"  SMTP     {with_port(settings.smtp_host, supervisor.smtp_port)}",
        *(
            [f"  requests http{tls}://{with_port(settings.smtp_host, supervisor.rest_port)}/v1/notifications"]
            if supervisor.rest_port
            else []
        ),
        f"  metrics  http://{with_port(settings.http_host, supervisor.http_port)}/metrics",
        f"  status   http://127.0.0.1:{supervisor.admin_port}/status",
    ]
    if settings.queue_dir is not None:
        lines.append(f"  queue    {settings.queue_dir}")
    if simulated is not None:
        lines.append(f"  APNs     simulated; its inbox: {simulated.inbox_url}")
    domain = next((entry.name for entry in config.entries if entry.name is not None), None)
    if domain is not None:
        token = "ab" * 32 if simulated else "DEVICE_TOKEN"
        lines.append(
            f"  try      {program()} send{send_options(supervisor.prepared, settings.smtp_host)} "
            f"--port {supervisor.smtp_port} --domain {domain} --alert Hello --token {token}"
        )
    click.echo("\n".join(lines), err=True)


def send_options(prepared: Prepared, host: str) -> str:
    """What `tubepost send` needs for this listener, with a space before each: address, STARTTLS, user."""
    listener = prepared.config.listener
    auth = listener.auth if listener.auth is not None and listener.auth.required else None
    options = "" if host in {"127.0.0.1", "0.0.0.0", "::", "localhost"} else f" --host {host}"  # noqa: S104
    if listener.starttls.mode is StartTlsMode.REQUIRED or (auth is not None and auth.require_tls):
        options += " --starttls --insecure"
    if auth is not None:
        options += f" --user {next(iter(prepared.users or ()), 'NAME')} --password PASSWORD"
    return options


async def _end(supervisor: Supervisor) -> None:
    if supervisor.draining:
        await supervisor.stop_now()
    else:
        await supervisor.drain()


def _obey_signals(supervisor: Supervisor, starting: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    tasks = TaskSet()

    def terminate() -> None:
        if not starting.done() and not starting.cancelling():
            starting.cancel()
            return
        tasks.spawn(_end(supervisor))

    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, terminate)
    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.spawn(supervisor.reload_and_reopen()))
