"""`tubepost simulator`: an APNs to develop against."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import ssl
from pathlib import Path
from typing import Any, Literal

import click

from tubepost_cli.simulated import INBOX_PORT
from tubepost_simulator import ChaosError, Simulator, SimulatorSettings, TokenKey
from tubepost_simulator.chaos import Chaos, patch
from tubepost_simulator.transport import with_port

PORT = click.IntRange(0, 65535)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on, for both ports.")
@click.option("--port", default=2197, show_default=True, type=PORT, help="HTTP/2 over TLS.")
@click.option(
    "--inbox-port",
    "--api-port",
    "inbox_port",
    default=INBOX_PORT,
    show_default=True,
    type=PORT,
    help="The inbox page, and the JSON API.",
)
@click.option(
    "--environment",
    type=click.Choice(["Production", "Sandbox"]),
    default="Sandbox",
    show_default=True,
    help="Which of Apple's two services to be.",
)
@click.option(
    "--credentials",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory made by `tubepost credentials make`: certificates and the token key.",
)
@click.option(
    "--server-certificate", type=click.Path(exists=True, path_type=Path), help="PEM.  [default: throw-away]"
)
@click.option("--server-key", type=FILE, help="PEM.")
@click.option(
    "--client-ca", type=click.Path(exists=True, path_type=Path), help="CA of accepted client certificates."
)
@click.option(
    "--token-key",
    "token_keys",
    multiple=True,
    metavar="KEYID:TEAMID:FILE",
    help="A provider-token key (.p8 or public PEM) that is accepted; may be repeated.",
)
@click.option("--any-token", is_flag=True, help="Accept provider tokens of unknown keys, signature unseen.")
@click.option(
    "--chaos",
    default="{}",
    metavar="JSON",
    help="""Switches at the start, e.g. '{"latencyMs": 50, "errors": {"ServiceUnavailable": 0.01}}'.""",
)
@click.option(
    "--ca-file", type=click.Path(path_type=Path), help="Write the CA of the server certificate there."
)
@click.option(
    "--name", "names", multiple=True, help="A further name in the certificate that it makes; may be repeated."
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name by which browsers and programs may ask for the inbox, besides addresses, localhost and "
    "names within a cluster; * for any; may be repeated.",
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Seconds after which an idle connection gets GOAWAY; 0 for never.",
)
@click.option(
    "--retain", type=click.IntRange(min=0), default=100_000, show_default=True, help="Notifications kept."
)
def command(
    host: str,
    port: int,
    inbox_port: int,
    environment: Literal["Production", "Sandbox"],
    credentials: Path | None,
    server_certificate: Path | None,
    server_key: Path | None,
    client_ca: Path | None,
    token_keys: tuple[str, ...],
    any_token: bool,
    chaos: str,
    ca_file: Path | None,
    names: tuple[str, ...],
    allowed_hosts: tuple[str, ...],
    idle_timeout: float,
    retain: int,
) -> None:
    """Run an APNs to develop against: HTTP/2 over TLS, Apple's checks in Apple's order, Apple's reasons.

    What it gets is shown on its inbox page, http://127.0.0.1:2198/, and by the JSON API beside it:

    \b
    tubepost credentials make -o /tmp/throwaway
    tubepost simulator --credentials /tmp/throwaway
    curl http://127.0.0.1:2198/api/v1/notifications
    curl -X PATCH http://127.0.0.1:2198/api/v1/chaos -d '{"maxConcurrentStreams": 1}'

    Device tokens that start with certain digits get certain answers: see docs/reference/simulator.md.
    """
    keys = {
        key_id: TokenKey(team, Path(file).read_bytes()) for key_id, team, file in map(_split_key, token_keys)
    }
    certificate, key, authority = (
        path.read_bytes() if path else None for path in (server_certificate, server_key, client_ca)
    )
    server_ca: bytes | None = None
    if credentials is not None:
        identity = json.loads((credentials / "token.json").read_text())
        keys[identity["keyId"]] = TokenKey(identity["teamId"], (credentials / "token.p8").read_bytes())
        certificate = certificate or (credentials / "server.crt").read_bytes()
        key = key or (credentials / "server.key").read_bytes()
        server_ca = (credentials / "ca.crt").read_bytes()
        authority = authority or server_ca
    settings = SimulatorSettings(
        host=host,
        port=port,
        api_port=inbox_port,
        hosts=(*SimulatorSettings().hosts, *names),
        environment=environment,
        server_certificate=certificate,
        server_key=key,
        client_ca=authority,
        token_keys=keys,
        verify_tokens=not any_token,
        chaos=_switches(chaos),
        idle_timeout=idle_timeout,
        retain=retain,
        allowed_hosts=allowed_hosts,
    )
    try:
        asyncio.run(_serve(settings, server_ca, ca_file))
    except ssl.SSLError as error:
        raise click.ClickException(f"certificate, key or authority cannot be read: {error}") from None
    except OSError as error:
        raise click.ClickException(
            f"{_words(error)}. Choose other ports with --port and --inbox-port."
        ) from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _split_key(text: str) -> list[str]:
    parts = text.split(":", 2)
    if len(parts) != 3 or not Path(parts[2]).is_file():
        raise click.BadParameter(
            f"{text!r} is not KEYID:TEAMID:FILE with a file that is there", param_hint="--token-key"
        )
    return parts


def _words(error: OSError) -> str:
    """An error without its number, which says nothing to people."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error))


def _switches(text: str) -> Chaos:
    try:
        changes: Any = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--chaos") from None
    if not isinstance(changes, dict):
        raise click.BadParameter("not a JSON object", param_hint="--chaos")
    try:
        return patch(Chaos(), changes)[0]
    except ChaosError as error:
        known = ", ".join(Chaos().model_dump(by_alias=True))
        raise click.BadParameter(f"{error}; switches are {known}", param_hint="--chaos") from None


async def _serve(settings: SimulatorSettings, server_ca: bytes | None, ca_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(settings) as simulator:
        if ca_file is not None:
            await asyncio.to_thread(ca_file.write_bytes, server_ca or simulator.ca_pem)
        api = with_port(settings.host, simulator.api_port)
        apns = with_port(settings.host, simulator.port)
        click.echo(f"APNs, simulated ({settings.environment}):  https://{apns}")
        click.echo(f"inbox, switches and API:  http://{api}/")
        await stop.wait()
