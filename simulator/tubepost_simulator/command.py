"""The command line of the simulator, as a click command: `python -m tubepost_simulator`."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import click

from tubepost_simulator import chaos as switches
from tubepost_simulator.server import Simulator
from tubepost_simulator.settings import SimulatorSettings, TokenKey
from tubepost_simulator.transport import with_port

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("simulator")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that both ports listen on.")
@click.option("--port", default=2197, show_default=True, help="Port of APNs; 0 for any.")
@click.option("--api-port", default=2198, show_default=True, help="Port of the JSON API; 0 for any.")
@click.option(
    "--environment",
    type=click.Choice(["Sandbox", "Production"]),
    default="Sandbox",
    show_default=True,
    help="Which of Apple's two services to be.",
)
@click.option(
    "--token-key",
    "token_keys",
    multiple=True,
    metavar="KEYID:TEAMID:FILE",
    help="A provider-token key: public key in PEM, or the .p8. Repeatable.",
)
@click.option("--any-token", is_flag=True, help="Take provider tokens of unknown keys, signature unseen.")
@click.option("--client-ca", type=_FILE, help="Authority of client certificates, PEM. Default: its own.")
@click.option("--certificate", type=_FILE, help="Server certificate, PEM. Default: made at the start.")
@click.option("--key", type=_FILE, help="Key of the server certificate, PEM.")
@click.option("--name", "names", multiple=True, help="Further name in the certificate it makes. Repeatable.")
@click.option(
    "--ca-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the certificate that clients have to trust to this file.",
)
@click.option("--chaos", metavar="JSON", default="{}", help="Switches, as for PATCH /api/v1/chaos.")
@click.option("--idle-timeout", type=click.FloatRange(min=0), default=0.0, help="Seconds; 0 for never.")
@click.option(
    "--retain", type=click.IntRange(min=0), default=100_000, show_default=True, help="Notifications kept."
)
def simulator(**options: Any) -> None:
    """Run an APNs to develop and test against, until interrupted."""
    try:
        instance = Simulator(_settings(options))
    except (ValueError, OSError) as error:  # ssl.SSLError is an OSError
        raise click.ClickException(str(error)) from None
    if options["ca_out"] is not None:
        options["ca_out"].write_bytes(instance.ca_pem)
    try:
        asyncio.run(_serve(instance))
    except OSError as error:
        raise click.ClickException(str(error)) from None


def _settings(options: dict[str, Any]) -> SimulatorSettings:
    document = json.loads(options["chaos"])
    if not isinstance(document, dict):
        raise click.BadParameter("not a JSON object", param_hint="--chaos")
    chaos, _action = switches.patch(switches.Chaos(), document)
    defaults = SimulatorSettings()
    return SimulatorSettings(
        host=options["host"],
        port=options["port"],
        api_port=options["api_port"],
        hosts=(*defaults.hosts, *options["names"]),
        server_certificate=_read(options["certificate"]),
        server_key=_read(options["key"]),
        client_ca=_read(options["client_ca"]),
        environment=options["environment"],
        token_keys=dict(_token_key(text) for text in options["token_keys"]),
        verify_tokens=not options["any_token"],
        chaos=chaos,
        idle_timeout=options["idle_timeout"],
        retain=options["retain"],
    )


def _token_key(text: str) -> tuple[str, TokenKey]:
    key_id, _, rest = text.partition(":")
    team_id, _, path = rest.partition(":")
    if not key_id or not team_id or not path:
        raise click.BadParameter(f"{text!r} is not KEYID:TEAMID:FILE", param_hint="--token-key")
    return key_id, TokenKey(team_id, Path(path).read_bytes())


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


async def _serve(instance: Simulator) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with instance:
        host = instance.settings.host
        click.echo(f"APNs ({instance.settings.environment}): https://{with_port(host, instance.port)}")
        click.echo(f"API: http://{with_port(host, instance.api_port)}/api/v1/")
        await stopped.wait()
    click.echo("stopped")
