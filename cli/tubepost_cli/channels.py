"""`tubepost channels`: the broadcast channels of an app."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from tubepost_api.apnroute import ApnRoute, route_config
from tubepost_api.checks import check as check_manifests
from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import CertificateConfig, RouteConfig, RouteTls, TokenConfig
from tubepost_api.endpoint import HOSTS, Environment, parse_endpoint
from tubepost_api.read import read_manifests
from tubepost_cli.channel_client import Account, ChannelClient, account_of
from tubepost_cli.output_format import output_format
from tubepost_cli.problems import show as show_problems
from tubepost_credentials.secrets import check
from tubepost_dispatcher.config.manifests import ManifestSecrets, load_manifests
from tubepost_dispatcher.header_values import is_channel_id, is_topic
from tubepost_runtime.words import counted

_GIVEN = "given"
"""Name of the route, and of the Secret, that options make."""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_POLICIES = {0: "no message stored", 1: "most recent message stored"}
Command = Callable[..., None]


class _InOrder(click.Group):
    """Lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)


@click.group(cls=_InOrder)
def command() -> None:
    """List, make, show and delete the broadcast channels of an app (Live Activities).

    \b
    With the credential of an ApnRoute, from its manifests:
      tubepost channels create --route production -f manifests/
      tubepost channels list --route production -f manifests/ -o json
      tubepost channels show --route production -f manifests/ dHN0LXNyY2gtY2hubA==
      tubepost channels delete --route production -f manifests/ dHN0LXNyY2gtY2hubA== --yes
    With a credential in files:
      tubepost channels list --environment Sandbox --topic com.example.app \\
        --token-key AuthKey_ABC1234567.p8 --key-id ABC1234567 --team-id DEF1234567

    A channel belongs to one app in one environment: production does not know what was made in the sandbox.
    Send to one with `apns-channel-id` instead of `X-Device-Token`.

    \b
    Exit status:
      0   done
      1   refused, or the credential cannot be used; the text says why
      2   wrong usage
      69  nobody answers, or not now
    """


def _common(function: Command) -> Command:
    """The options of every command; it gets a `client` made of them."""

    @click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        type=click.Path(exists=True, path_type=Path),
        help="Manifests of ApnRoute and Secrets: a file, or a directory; may be repeated.",
    )
    @click.option("-R", "--recursive", is_flag=True, help="Read what is below directories, too.")
    @click.option("--route", metavar="NAME", help="The ApnRoute.  [default: the only one]")
    @click.option("--topic", help="Bundle id of the app.  [default: the route's topic, or the certificate's]")
    @click.option(
        "--environment", type=click.Choice([*HOSTS]), help="Apple's service, for a credential in files."
    )
    @click.option(
        "--management-endpoint",
        metavar="URL",
        help="Another service for channels, https://HOST:PORT.  [default: Apple's of the environment; "
        "where a route has an endpoint of its own, that: a simulator has both]",
    )
    @click.option("--certificate", type=_FILE, help="Certificate in PEM.")
    @click.option("--key", type=_FILE, help="Its private key, when it is in a file of its own.")
    @click.option("--token-key", type=_FILE, help="Signing key, the .p8 from Apple.")
    @click.option("--key-id", default="", help="Id of the signing key.")
    @click.option("--team-id", default="", help="Id of the team.")
    @click.option("--ca", type=_FILE, help="Authorities to trust instead of the system's, in PEM.")
    @output_format
    @functools.wraps(function)
    def wrapped(output: str, **options: Any) -> None:
        own = {name: options.pop(name) for name in ("channel_id", "storage", "yes") if name in options}
        account = _account(**options)
        function(account, output == "json", **own)

    return wrapped


def _channel(function: Command) -> Command:
    return click.argument("channel_id", metavar="CHANNEL", callback=_checked)(function)


def _checked(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not is_channel_id(value.encode("utf-8", "replace")):
        raise click.BadParameter("not a channel id: base64, as it came when the channel was made")
    return value


@command.command("list", short_help="List the ids of an app's channels.")
@_common
def list_(account: Account, as_json: bool) -> None:
    """List the ids of an app's channels, one a line.

    \b
      tubepost channels list --route production -f manifests/
    """
    with ChannelClient(account) as client:
        found = client.list()
    if as_json:
        _print({"app": account.bundle, "channels": found})
    else:
        for channel_id in found:
            click.echo(channel_id)
        click.echo(f"{counted(len(found), 'channel')} of {account.bundle}; Apple allows 10,000.", err=True)


@command.command(short_help="Make a channel.")
@click.option(
    "--storage",
    type=click.Choice(["None", "MostRecent"]),
    default="None",
    show_default=True,
    help="What is kept of the channel's messages for devices that are not reachable, or subscribe later.",
)
@_common
def create(account: Account, as_json: bool, storage: str) -> None:
    """Make a channel; its id is written to standard output.

    \b
      tubepost channels create --route production -f manifests/ --storage MostRecent
    """
    with ChannelClient(account) as client:
        channel_id = client.create(keeps_latest=storage == "MostRecent")
    if as_json:
        _print({"app": account.bundle, "id": channel_id, "storage": storage})
    else:
        click.echo(channel_id)


@command.command(short_help="Show one channel.")
@_channel
@_common
def show(account: Account, as_json: bool, channel_id: str) -> None:
    """Show one channel: whose it is, and what is kept of its messages.

    \b
      tubepost channels show --route production -f manifests/ dHN0LXNyY2gtY2hubA==
    """
    with ChannelClient(account) as client:
        found = client.show(channel_id)
    policy = found["message-storage-policy"]
    if as_json:
        storage = "MostRecent" if policy == 1 else "None"
        _print(
            {
                "app": account.bundle,
                "id": channel_id,
                "storage": storage,
                "pushType": found.get("push-type", ""),
            }
        )
    else:
        click.echo(f"channel:    {channel_id}")
        click.echo(f"app:        {account.bundle}")
        click.echo(f"storage:    {_POLICIES.get(policy, policy)}")
        click.echo(f"push type:  {found.get('push-type', '')}")


@command.command(short_help="Delete a channel; a dry run without --yes.")
@_channel
@click.option("--yes", is_flag=True, help="Do it.")
@_common
def delete(account: Account, as_json: bool, channel_id: str, yes: bool) -> None:
    """Delete a channel: whoever has subscribed hears nothing any more, and its id is never given again.

    A dry run without --yes: it only looks whether there is such a channel.

    \b
      tubepost channels delete --route production -f manifests/ dHN0LXNyY2gtY2hubA== --yes
    """
    with ChannelClient(account) as client:
        if yes:
            client.delete(channel_id)
        else:
            client.show(channel_id)
    if as_json:
        _print({"app": account.bundle, "id": channel_id, "deleted": yes, "dryRun": not yes})
    elif yes:
        click.echo(f"deleted channel {channel_id} of {account.bundle}")
    else:
        click.echo(f"would delete channel {channel_id} of {account.bundle}; do it with --yes")


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))


# -- whose channels ------------------------------------------------------------------------------------


def _account(
    files: tuple[Path, ...],
    recursive: bool,
    route: str | None,
    topic: str | None,
    environment: Environment | None,
    management_endpoint: str | None,
    certificate: Path | None,
    key: Path | None,
    token_key: Path | None,
    key_id: str,
    team_id: str,
    ca: Path | None,
) -> Account:
    if topic is not None and not is_topic(topic.encode("utf-8", "replace")):
        raise click.BadParameter("not a bundle identifier", param_hint="--topic")
    url = None
    if management_endpoint is not None:
        try:
            url = management_endpoint if not parse_endpoint(management_endpoint).legacy else None
        except ValueError:
            url = None
        if url is None:
            raise click.BadParameter("write https://HOST:PORT", param_hint="--management-endpoint")
    given = (certificate, token_key)
    if files:
        if any(given) or environment or ca:
            raise click.UsageError("A route brings its own credential, environment and CA: leave those out.")
        found, secrets = _from_manifests(files, recursive, route)
    else:
        if sum(one is not None for one in given) != 1:
            raise click.UsageError(
                "Name a route with --route and -f, or one credential: --certificate, or --token-key."
            )
        if environment is None and url is None:
            raise click.UsageError("Say where: --environment, or --management-endpoint.")
        if token_key is not None and not (key_id and team_id):
            raise click.UsageError("A signing key needs --key-id and --team-id.")
        found, secrets = _from_files(certificate, key, token_key, key_id, team_id, ca, environment)
    return account_of(found, check(found.references(), secrets, time.time()), url=url, topic=topic)


def _from_files(
    certificate: Path | None,
    key: Path | None,
    token_key: Path | None,
    key_id: str,
    team_id: str,
    ca: Path | None,
    environment: Environment | None,
) -> tuple[RouteConfig, dict[str, dict[str, bytes]]]:
    """A route and a Secret as manifests would have them."""
    secret: dict[str, bytes] = {}

    def ref(name: str, data: bytes) -> SecretKeyRef:
        secret[name] = data
        return SecretKeyRef(secret=_GIVEN, key=name)

    route = RouteConfig(name=_GIVEN, environment=environment, host=HOSTS["Sandbox"], port=443)
    if certificate is not None:
        pem = certificate.read_bytes()
        pair = CertificateConfig(
            certificate=ref("tls.crt", pem), private_key=ref("tls.key", key.read_bytes() if key else pem)
        )
        route = route.model_copy(update={"certificate": pair})
    elif token_key is not None:
        token = TokenConfig(
            private_key=ref("key.p8", token_key.read_bytes()),
            key_id=ref("keyId", key_id.encode()),
            team_id=ref("teamId", team_id.encode()),
        )
        route = route.model_copy(update={"token": token})
    if ca is not None:
        route = route.model_copy(update={"tls": RouteTls(ca=ref("ca.crt", ca.read_bytes()))})
    return route, {_GIVEN: secret}


def _from_manifests(
    files: tuple[Path, ...], recursive: bool, wanted: str | None
) -> tuple[RouteConfig, dict[str, dict[str, bytes]]]:
    manifests, problems = load_manifests(files, recursive=recursive)
    inventory = read_manifests(manifests)
    problems = [*problems, *inventory.problems, *check_manifests(inventory)]
    errors = [
        one
        for one in problems
        if one.severity == "error" and one.kind in {"ApnRoute", "Secret", "", "manifests"}
    ]
    routes = {
        f"{namespace}/{name}": loaded.resource
        for (kind, namespace, name), loaded in inventory.objects.items()
        if kind == "ApnRoute" and isinstance(loaded.resource, ApnRoute)
    }
    chosen = {full: route for full, route in routes.items() if wanted in {None, full, full.partition("/")[2]}}
    if len(chosen) != 1:
        show_problems(errors)
        raise click.ClickException(_which(wanted, routes, len(chosen)))
    (resource,) = chosen.values()
    source = ManifestSecrets(manifests, resource.metadata.namespace)
    config = route_config(resource)
    named = {reference.secret for reference in config.references()}
    return config, {name: dict(found) for name in named if (found := source.get(name)) is not None}


def _which(wanted: str | None, routes: Iterable[str], chosen: int) -> str:
    listed = ", ".join(routes) or "none that can be read"
    if wanted is None:
        return f"choose an ApnRoute with --route; there are: {listed}"
    if chosen:
        return f"there are several ApnRoutes {wanted}: name one as NAMESPACE/NAME; there are: {listed}"
    return f"there is no ApnRoute {wanted}; there are: {listed}"
