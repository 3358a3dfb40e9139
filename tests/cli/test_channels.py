from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.simulator.support import CREDENTIAL, KEY_ID, P8, TEAM_ID, TOPIC, settings
from tubepost_cli.channels import command
from tubepost_simulator import Simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(settings()) as running:
        yield running


def _secret(name: str, **data: bytes) -> dict[str, Any]:
    encoded = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}


def _route(name: str, **spec: Any) -> dict[str, Any]:
    head = {"apiVersion": "tubepost.io/v1alpha1", "kind": "ApnRoute", "metadata": {"name": name}}
    return {**head, "spec": spec}


@pytest.fixture
def manifests(simulator: Simulator, tmp_path: Path) -> Path:
    pair = simulator.client_certificate([TOPIC])
    common = {
        "endpoint": f"https://localhost:{simulator.port}",
        "tls": {"ca": {"secretName": "ca", "key": "ca.crt"}},
    }
    documents = [
        _route("by-token", **common, token={"secretName": "key"}, topic=f"{TOPIC}.push-type.liveactivity"),
        _route("by-certificate", **common, certificate={"secretName": "pair"}),
        _secret("key", key_p8=P8, keyId=KEY_ID.encode(), teamId=TEAM_ID.encode()),
        _secret("pair", tls_crt=pair.certificate_pem, tls_key=pair.private_key_pem),
        _secret("ca", ca_crt=simulator.ca_pem),
    ]
    path = tmp_path / "routes.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    return path


async def run(*arguments: str) -> Result:
    # In a thread: the simulator answers on this loop.
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)


@pytest.mark.parametrize("route", ["by-token", "by-certificate", "default/by-token"])
async def test_the_life_of_a_channel(simulator: Simulator, manifests: Path, route: str) -> None:
    of_route = ("--route", route, "-f", str(manifests))
    made = await run("create", *of_route, "--storage", "MostRecent")
    assert made.exit_code == 0, made.output
    channel = made.stdout.strip()
    listed = await run("list", *of_route)
    assert (listed.stdout, listed.exit_code) == (f"{channel}\n", 0)
    assert f"1 channel of {TOPIC}" in listed.stderr
    shown = await run("show", *of_route, channel, "-o", "json")
    assert json.loads(shown.stdout) == {
        "app": TOPIC,
        "id": channel,
        "storage": "MostRecent",
        "pushType": "LiveActivity",
    }
    dry = await run("delete", *of_route, channel)
    assert dry.exit_code == 0
    assert "would delete" in dry.stdout
    assert json.loads((await run("list", *of_route, "-o", "json")).stdout)["channels"] == [channel]
    done = await run("delete", *of_route, channel, "--yes", "-o", "json")
    assert json.loads(done.stdout)["deleted"] is True
    gone = await run("delete", *of_route, channel)
    assert gone.exit_code == 1
    assert "ChannelNotRegistered" in gone.output
    assert "apns-request-id" in gone.output
    assert not simulator.notifications


async def test_text_of_show(simulator: Simulator, manifests: Path) -> None:
    channel = simulator.add_channel(TOPIC)
    shown = await run("show", "--route", "by-token", "-f", str(manifests), channel)
    assert shown.stdout.splitlines() == [
        f"channel:    {channel}",
        f"app:        {TOPIC}",
        "storage:    no message stored",
        "push type:  LiveActivity",
    ]


async def test_a_credential_in_files(simulator: Simulator, tmp_path: Path) -> None:
    key, ca, pem = tmp_path / "key.p8", tmp_path / "ca.crt", tmp_path / "app.pem"
    key.write_bytes(P8)
    ca.write_bytes(simulator.ca_pem)
    pair = simulator.client_certificate([TOPIC])
    pem.write_bytes(pair.certificate_pem + pair.private_key_pem)
    at = ("--management-endpoint", f"https://localhost:{simulator.port}", "--ca", str(ca))
    token = ("--token-key", str(key), "--key-id", KEY_ID, "--team-id", TEAM_ID, "--topic", TOPIC)
    made = await run("create", *at, *token)
    assert made.exit_code == 0, made.output
    listed = await run("list", *at, "--certificate", str(pem))
    assert listed.stdout == made.stdout


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (("list",), "Name a route with --route and -f", 2),
        (("list", "--token-key", "{p8}", "--key-id", "a", "--team-id", "b"), "Say where", 2),
        (("list", "--token-key", "{p8}", "--environment", "Sandbox"), "--key-id and --team-id", 2),
        (("list", "-f", "{manifests}"), "choose an ApnRoute with --route", 1),
        (("list", "-f", "{manifests}", "--route", "other"), "there is no ApnRoute other", 1),
        (("list", "-f", "{manifests}", "--token-key", "{p8}"), "leave those out", 2),
        (("list", "-f", "{manifests}", "--topic", "no topic"), "not a bundle identifier", 2),
        (("show", "-f", "{manifests}", "not base64!"), "not a channel id", 2),
        (("list", "--management-endpoint", "apn://gateway.push.apple.com"), "write https://", 2),
        (
            (
                "list",
                "--route",
                "by-token",
                "-f",
                "{manifests}",
                "--management-endpoint",
                "https://localhost:1",
            ),
            "does not answer",
            69,
        ),
    ],
)
async def test_what_is_said_of_wrong_usage(
    manifests: Path, tmp_path: Path, arguments: tuple[str, ...], said: str, status: int
) -> None:
    p8 = tmp_path / "key.p8"
    p8.write_bytes(P8)
    done = await run(*(one.format(manifests=manifests, p8=p8) for one in arguments))
    assert said in done.output
    assert done.exit_code == status


def _replace(manifests: Path, name: str, *instead: dict[str, Any]) -> None:
    documents = [one for one in yaml.safe_load_all(manifests.read_text()) if one["metadata"]["name"] != name]
    manifests.write_text(yaml.safe_dump_all([*documents, *instead]))


async def test_secrets_that_cannot_be_used_are_named_and_not_shown(manifests: Path) -> None:
    _replace(
        manifests, "key", _secret("key", key_p8=b"no key", keyId=KEY_ID.encode(), teamId=TEAM_ID.encode())
    )
    done = await run("list", "--route", "by-token", "-f", str(manifests))
    assert done.exit_code == 1
    assert "its credential cannot be used" in done.output
    assert "no key" not in done.output


@pytest.mark.parametrize("there", [True, False])
async def test_without_its_authorities_a_route_is_not_asked_by_those_of_the_system(
    simulator: Simulator, manifests: Path, there: bool
) -> None:
    _replace(manifests, "ca", *([_secret("ca", other_crt=simulator.ca_pem)] if there else []))
    done = await run("list", "--route", "by-token", "-f", str(manifests))
    assert done.exit_code == 1
    assert "route by-token: its Secrets cannot be used" in done.output
    assert "ca.crt" in done.output or not there


async def test_a_proxy_with_its_account(simulator: Simulator, manifests: Path) -> None:
    heads: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def proxied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        inner, outer = await asyncio.open_connection("127.0.0.1", simulator.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(relay(reader, outer), relay(inner, writer), return_exceptions=True)

    server = await asyncio.start_server(proxied, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _through(manifests, f"http://127.0.0.1:{port}")
    made = await run("create", "--route", "by-token", "-f", str(manifests))
    server.close()
    assert made.exit_code == 0, made.output
    (head,) = heads
    assert head.startswith(f"CONNECT localhost:{simulator.port} ".encode())
    assert b"Basic " + base64.b64encode(b"user:pass") in head


def _through(manifests: Path, url: str) -> None:
    documents = list(yaml.safe_load_all(manifests.read_text()))
    documents[0]["spec"]["proxy"] = {"url": url, "auth": {"secretName": "proxy", "key": "account"}}
    documents.append(_secret("proxy", account=b"user:pass"))
    manifests.write_text(yaml.safe_dump_all(documents))


async def test_what_apple_cannot_do_now_is_another_status(simulator: Simulator, manifests: Path) -> None:
    simulator.apply_chaos({"failNext": {"ServiceUnavailable": 1}})
    done = await run("list", "--route", "by-token", "-f", str(manifests))
    assert done.exit_code == 69
    assert "503 ServiceUnavailable" in done.output
    assert CREDENTIAL.sign(0)[:20] not in done.output
