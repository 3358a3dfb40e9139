"""`tubepost demo`: the way of one message, on embedded defaults, ending by itself."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import smtplib
import tempfile
import time
from pathlib import Path

import click
import httpx

from tubepost_api.config_logger import FileSink
from tubepost_cli.examples import example
from tubepost_cli.problems import show
from tubepost_cli.program import program
from tubepost_cli.simulated import SimulatedApns
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_dispatcher.config.manifest_source import ManifestSource
from tubepost_dispatcher.supervisor.supervisor import ConfigRefused, Supervisor, SupervisorSettings
from tubepost_runtime import process_log

LOG_WAIT = 5.0


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Show the dispatcher's own log, too.")
@click.option(
    "--keep",
    is_flag=True,
    help="Do not end: serve on, with the simulated APNs' inbox page, until interrupted.",
)
def command(verbose: bool, keep: bool) -> None:
    """Show the whole way of one message on this machine, and end.

    Starts a simulated APNs and a dispatcher from the example of the Momentum manual's page "Using APNs",
    injects the manual's sample message by SMTP, and prints the notification as APNs got it, the logger's
    line, and the metrics that moved. Needs no cluster, no credentials and no network.

    \b
      tubepost demo
      tubepost demo --keep
    """
    process_log.setup("Info" if verbose else "Error")
    raise SystemExit(asyncio.run(_demo(keep)))


def _step(text: str) -> None:
    click.echo(click.style(f"\n== {text}", bold=True))


async def _demo(keep: bool) -> int:
    manifests = example("seed")
    message = example("seed-message.eml").read_bytes()
    with tempfile.TemporaryDirectory(prefix="tubepost-demo-") as directory:
        log = Path(directory, "apnlog.ec")
        async with SimulatedApns(None if keep else 0) as apns:
            _step(f"A simulated APNs: https://127.0.0.1:{apns.simulator.port}, with throw-away credentials")
            source = ManifestSource([manifests], transform=lambda b: _log_to(apns.take_over(b), log))
            supervisor = Supervisor(
                source, SupervisorSettings(smtp_port=0, http_port=0, admin_port=0, workers=1, watch=False)
            )
            try:
                await supervisor.start()
            except ConfigRefused as refused:
                show(refused.problems)
                return 2
            try:
                code = await _run(apns, supervisor, manifests, message, log)
                if code == 0:
                    manifests_too = f"{program()} run -f {manifests.parent} --simulator"
                    if not keep:
                        click.echo(f"\nDelivered. Next: {program()} demo --keep, or {manifests_too}")
                    else:
                        await _keep(apns, supervisor)
                        click.echo(f"\nEnded. Next: {manifests_too}")
                return code
            finally:
                await supervisor.drain()


async def _keep(apns: SimulatedApns, supervisor: Supervisor) -> None:
    """Serve on until a signal ends it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    domain = supervisor.prepared.config.entries[0].name
    _step("The same on a phone: the simulated APNs' inbox page")
    click.echo(f"   {apns.inbox_url}")
    port = supervisor.smtp_port
    click.echo(f"   more: {program()} send --port {port} --domain {domain} --alert Hello --token {'ab' * 32}")
    click.echo("   Ctrl-C ends the demo.")
    await stop.wait()


def _log_to(bundle: ConfigBundle, log: Path) -> ConfigBundle:
    """The same configuration with every logger writing to one file, in its own format."""
    loggers = tuple(
        logger.model_copy(update={"file": FileSink(path=str(log))}) for logger in bundle.config.loggers
    )
    return ConfigBundle(bundle.config.model_copy(update={"loggers": loggers}), bundle.secrets)


async def _run(
    apns: SimulatedApns, supervisor: Supervisor, manifests: Path, message: bytes, log: Path
) -> int:
    config = supervisor.prepared.config
    domain = config.entries[0].name
    _step(f"A dispatcher from {manifests}: PushDomain {config.name} serves {domain}")
    for problem in supervisor.warnings:
        click.echo(f"   note: {problem}")
    click.echo(f"   SMTP on 127.0.0.1:{supervisor.smtp_port}, metrics on 127.0.0.1:{supervisor.http_port}")
    before = await _metrics(supervisor)

    _step("The sample message of the Momentum manual, injected by SMTP")
    click.echo(_indent(message.decode()))
    started = time.monotonic()
    code, text = await asyncio.to_thread(_inject, supervisor.smtp_port, f"subscriber@{domain}", message)
    click.echo(f"   reply to DATA after {(time.monotonic() - started) * 1000:.0f} ms: {code} {text}")

    notifications = await apns.simulator.wait_for(1, LOG_WAIT) if code == 250 else []
    _step("The notification, as APNs got it")
    if not notifications:
        click.echo("   none")
        return 1
    click.echo(_indent(json.dumps(notifications[-1].as_dict(), indent=2)))

    _step("The logger's line (ApnLogger, Momentum's format)")
    lines = await asyncio.to_thread(_lines, log)
    click.echo(_indent(lines))

    _step("The metrics that moved")
    after = await _metrics(supervisor)
    for name, value in after.items():
        if value != before.get(name, 0.0) and "_bucket" not in name and "_created" not in name:
            click.echo(f"   {name} {before.get(name, 0.0):g} -> {value:g}")
    return 0 if lines else 1


def _inject(port: int, recipient: str, message: bytes) -> tuple[int, str]:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.ehlo()
        smtp.mail("alerts@sender.example")
        smtp.rcpt(recipient)
        code, text = smtp.data(message)
        return code, text.decode()


async def _metrics(supervisor: Supervisor) -> dict[str, float]:
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{supervisor.http_port}/metrics")).text
    values = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+(?:\{.*\})?) (\S+)", line)
        if match:
            values[match[1]] = float(match[2])
    return values


def _lines(log: Path) -> str:
    end = time.monotonic() + LOG_WAIT
    while time.monotonic() < end:
        if log.exists() and log.stat().st_size:
            return log.read_text()
        time.sleep(0.02)
    return ""


def _indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
