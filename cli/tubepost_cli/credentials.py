"""`tubepost credentials`: throw-away ones made, real ones inspected."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml

from tubepost_cli.output_format import output_format
from tubepost_cli.problems import show
from tubepost_credentials import CertificateCredential, CredentialError, Environment, TokenCredential
from tubepost_credentials.certificate import load_certificate
from tubepost_credentials.secrets import EXPIRES_SOON
from tubepost_credentials.throwaway import (
    BOTH,
    make_apns_certificate,
    make_ca,
    make_server_certificate,
    make_token_key,
)
from tubepost_credentials.tls import authorities_of
from tubepost_credentials.token import load_token
from tubepost_dispatcher.config.manifests import ManifestSecrets, load_manifests
from tubepost_dispatcher.header_values import is_topic
from tubepost_runtime.words import counted

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
ENVIRONMENTS: Mapping[str, tuple[Environment, ...]] = {
    "Production": ("Production",),
    "Sandbox": ("Sandbox",),
    "Both": BOTH,
}
DAY = 86_400.0
KEY_ID, TEAM_ID = "THROWAWAY1", "THROWATEAM"


@click.group()
def command() -> None:
    """Make throw-away credentials for the simulator; inspect real ones before they go into a Secret.

    \b
      tubepost credentials make -o throwaway/
      tubepost credentials inspect apns.crt apns.key
    """


@command.command()
@click.option(
    "-o",
    "--output",
    "directory",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to write to; made when it is not there.",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    default=["com.example.app"],
    show_default=True,
    help="Topic of the certificate; may be repeated.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    default=["localhost", "127.0.0.1"],
    show_default=True,
    help="Name or address that the simulator's certificate is for; may be repeated.",
)
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(1, 825),
    help="For how many days the certificates are valid.",
)
@click.option(
    "--environment",
    type=click.Choice([*ENVIRONMENTS]),
    default="Both",
    show_default=True,
    help="For which of Apple's services the certificate is good.",
)
@click.option(
    "--certificate-secret",
    default="apns-certificate",
    show_default=True,
    help="Name of the Secret with the certificate.",
)
@click.option("--token-secret", default="apns-token", show_default=True, help="Secret with the token key.")
@click.option(
    "--starttls-secret",
    default="smtp-tls",
    show_default=True,
    help="Name of the Secret with the listener's certificate.",
)
@click.option("--auth-secret", default="smtp-auth", show_default=True, help="Secret with an SMTP user.")
@click.option(
    "--relay-secret", default="relay-auth", show_default=True, help="Secret with the user of a mail relay."
)
@click.option("--force", is_flag=True, help="Overwrite credentials that are there, without asking.")
def make(
    directory: Path,
    topics: tuple[str, ...],
    hosts: tuple[str, ...],
    days: int,
    environment: str,
    certificate_secret: str,
    token_secret: str,
    starttls_secret: str,
    auth_secret: str,
    relay_secret: str,
    force: bool,
) -> None:
    """Make throw-away credentials: as files for `tubepost simulator`, as Secrets for `tubepost run`.

    \b
    tubepost credentials make -o /tmp/throwaway --topic com.example.app
    tubepost simulator --credentials /tmp/throwaway
    tubepost run -f examples/several-credentials -f /tmp/throwaway/secrets.yaml ...
    """
    for topic in topics:
        if not is_topic(topic.encode()):
            raise click.BadParameter(f"{topic!r} is not a bundle identifier.", param_hint="--topic")
    ca = make_ca(days=days)
    try:
        server = make_server_certificate(ca, hosts, days=days)
    except ValueError as error:
        raise click.BadParameter(
            f"no certificate can be made for it: {error}", param_hint="--host"
        ) from error
    client = make_apns_certificate(ca, topics, ENVIRONMENTS[environment], days=days)
    key = make_token_key()
    files = {
        "ca.crt": ca.certificate_pem,
        "server.crt": server.certificate_pem,
        "server.key": server.private_key_pem,
        "client.crt": client.certificate_pem,
        "client.key": client.private_key_pem,
        "token.p8": key,
        "token.json": json.dumps({"keyId": KEY_ID, "teamId": TEAM_ID}, indent=2).encode() + b"\n",
    }
    tls, basic = "kubernetes.io/tls", "kubernetes.io/basic-auth"
    documents = [
        _secret(
            certificate_secret, tls, {"tls.crt": client.certificate_pem, "tls.key": client.private_key_pem}
        ),
        _secret(
            token_secret, "Opaque", {"key.p8": key, "keyId": KEY_ID.encode(), "teamId": TEAM_ID.encode()}
        ),
        _secret(starttls_secret, tls, {"tls.crt": server.certificate_pem, "tls.key": server.private_key_pem}),
        _secret(auth_secret, basic, {"username": b"sender", "password": b"throw-away"}),
        _secret(relay_secret, basic, {"username": b"tubepost", "password": b"throw-away"}),
        _secret("simulator-ca", "Opaque", {"ca.crt": ca.certificate_pem}),
        # Of the other examples: a relay for reports, a proxy, the receiver of a webhook.
        _secret("relay-account", basic, {"username": b"tubepost", "password": b"throw-away"}),
        _secret("relay-ca", "Opaque", {"ca.crt": ca.certificate_pem}),
        _secret("proxy-auth", "Opaque", {"credentials": b"tubepost:throw-away"}),
        _secret("feed", "Opaque", {"key": _word(), "authorization": b"Bearer " + _word()}),
    ]
    files["secrets.yaml"] = yaml.safe_dump_all(documents, sort_keys=False).encode()
    if not force:
        _ask_before_overwriting(directory, [name for name in files if (directory / name).exists()])
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            path = directory / name
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(data)
    except OSError as error:
        raise click.ClickException(f"cannot write to {directory}: {error.strerror}") from error
    click.echo(f"Written to {directory}: {', '.join(files)}")
    click.echo("Throw-away: for the simulator and for tests, never for Apple.")


def _ask_before_overwriting(directory: Path, names: list[str]) -> None:
    """Credentials that are overwritten cannot be had back: ask who is there, else refuse."""
    if not names:
        return
    what = f"{directory} already holds {', '.join(names)}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what}. Name another directory, or overwrite them with --force.")
    click.confirm(f"{what}. Overwrite them?", abort=True, err=True)


def _word() -> bytes:
    return base64.b64encode(os.urandom(32))


def _secret(name: str, kind: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": encoded}


@command.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The certificate's private key, when it is in a file of its own.",
)
@click.option("--key-id", help="Key id of a .p8 key.  [default: from AuthKey_KEYID.p8]")
@click.option("--team-id", default="", help="Team id of a .p8 key.")
@output_format
def inspect(files: tuple[Path, ...], key: Path | None, key_id: str | None, team_id: str, output: str) -> None:
    """Say what credentials are good for: topics, environment, expiry, and whether key and certificate match.

    \b
    tubepost credentials inspect cert.pem --key key.pem
    tubepost credentials inspect AuthKey_ABC1234567.p8 --team-id DEF1234567
    tubepost credentials inspect secrets.yaml

    Exit status 0: usable, 1: something is wrong (expired counts).
    """
    found: list[dict[str, Any]] = []
    for path in files:
        if path.suffix in (".yaml", ".yml", ".json"):
            found += _inspect_manifest(path) or [
                _unusable(str(path), "holds no Secret with a credential", "name a manifest of kind Secret")
            ]
        else:
            found.append(_inspect_file(path, key, key_id, team_id))
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    else:
        for item in found:
            _show(item)
    raise SystemExit(0 if found and all(item["usable"] for item in found) else 1)


def _inspect_file(path: Path, key: Path | None, key_id: str | None, team_id: str) -> dict[str, Any]:
    data = path.read_bytes()
    if path.suffix == ".p8":
        return _inspect_p8(path, data, key_id, team_id)
    if key is None and b"CERTIFICATE-----" in data and b"PRIVATE KEY-----" not in data:
        if authority := _inspect_authorities(path, data):
            return authority
        remedy = "name the file that holds the key: --key FILE"
        return _unusable(str(path), "holds a certificate without its private key", remedy)
    return _describe(str(path), _certificate(data, key.read_bytes() if key else data))


def _inspect_authorities(path: Path, data: bytes) -> dict[str, Any] | None:
    """What a file with certificates of authorities alone is; None for any other."""
    try:
        found = authorities_of(data)
    except CredentialError:
        return None
    if not found:
        return None
    now, last = time.time(), min(authority.not_after for authority in found)
    return {
        "where": str(path),
        "usable": now <= last,
        "validity": "valid" if now <= last else "expired",
        "kind": "authorities",
        "subjects": [authority.subject for authority in found],
        "notAfter": datetime.fromtimestamp(last, UTC).isoformat().replace("+00:00", "Z"),
        "use": "tells whom to trust, and needs no key: ca.crt of a Secret that tls.ca names, or --ca",
    }


def _certificate(certificate: bytes, key: bytes) -> Callable[[], CertificateCredential]:
    return partial(load_certificate, certificate, key, now=time.time())


def _inspect_p8(path: Path, data: bytes, key_id: str | None, team_id: str) -> dict[str, Any]:
    named = key_id or (path.stem.removeprefix("AuthKey_") if path.stem.startswith("AuthKey_") else "")
    # The key can be read without its ids; what stands for them is not shown.
    filled = (named or KEY_ID).encode(), (team_id or TEAM_ID).encode()
    found = _describe(str(path), partial(load_token, data, *filled))
    for given, field, option in ((named, "keyId", "--key-id"), (team_id, "teamId", "--team-id")):
        if not given and "warnings" in found:
            found[field] = None
            found["warnings"].append(f"{field} is not known: give it with {option}.")
    return found


def _inspect_manifest(path: Path) -> list[dict[str, Any]]:
    manifests, problems = load_manifests([path])
    show(problems)
    secrets = ManifestSecrets(manifests)
    found: list[dict[str, Any]] = []
    for manifest in manifests:
        document = manifest.document
        if document.get("kind") != "Secret":
            continue
        name = document["metadata"]["name"]
        keys = secrets.get(name) or {}
        where = f"{path}: Secret {name}"
        if "tls.crt" in keys:
            found.append(_describe(where, _certificate(keys["tls.crt"], keys.get("tls.key", b""))))
        elif any(key.endswith(".p8") for key in keys):
            p8 = next(value for key, value in keys.items() if key.endswith(".p8"))
            found.append(
                _describe(
                    where,
                    partial(load_token, p8, keys.get("keyId", b""), keys.get("teamId", b"")),
                )
            )
    return found


def _describe(where: str, load: Callable[[], CertificateCredential | TokenCredential]) -> dict[str, Any]:
    try:
        credential = load()
    except CredentialError as error:
        return _unusable(where, error.message, error.remedy)
    now = time.time()
    validity = credential.validity(now)
    facts = credential.describe()
    if isinstance(credential, CertificateCredential) and validity == "valid":
        left = credential.not_after.timestamp() - now
        if left < EXPIRES_SOON.total_seconds():
            facts["warnings"].append(f"The certificate expires soon, in {counted(round(left / DAY), 'day')}.")
    return {"where": where, "usable": validity == "valid", "validity": validity, **facts}


def _unusable(where: str, error: str, remedy: str) -> dict[str, Any]:
    return {"where": where, "usable": False, "error": error, "remedy": remedy}


def _show(item: dict[str, Any]) -> None:
    mark = click.style("ok", fg="green") if item["usable"] else click.style("not usable", fg="red")
    click.echo(f"{item['where']}: {mark}")
    for name, value in item.items():
        if name in ("where", "usable") or value in ("", [], None):
            continue
        if name == "warnings":
            for sentence in value:
                click.echo(f"  {'warning:':<14} {sentence}")
            continue
        click.echo(f"  {name + ':':<14} {', '.join(value) if isinstance(value, list) else value}")
