"""A broadcast channel from its making to a message in it, by the commands of docs/broadcast.md."""

from __future__ import annotations

import json
import smtplib
from pathlib import Path

import pytest

from tests.e2e.app import tubepost, wait_until
from tests.e2e.conftest import Stack
from tests.support.mcmt import message, part

pytestmark = pytest.mark.xdist_group("e2e")

UPDATE = b'{"aps":{"timestamp":1764500000,"event":"update","content-state":{"home":2}}}'


def _channels(stack: Stack, name: str, *arguments: str, route: str = "by-token") -> str:
    files = ("-f", str(stack.manifests), "-f", str(stack.directory / "secrets.yaml"))
    done = tubepost("channels", name, "--route", route, *files, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _inject(stack: Stack, channel: str, domain: str) -> tuple[int, bytes]:
    mail = message(part(UPDATE, token=None, inner=[b"apns-channel-id: " + channel.encode()]))
    with smtplib.SMTP("127.0.0.1", stack.dispatcher.port, timeout=60) as smtp:
        smtp.ehlo()
        smtp.mail("scores@sender.example")
        smtp.rcpt(f"all@{domain}")
        return smtp.data(mail)


@pytest.mark.parametrize(
    ("domain", "auth"), [("apn_example.com", "certificate"), ("token.example.com", "token")]
)
def test_a_channel_is_made_and_a_message_reaches_it(stack: Stack, domain: str, auth: str) -> None:
    channel = _channels(stack, "create", "--storage", "MostRecent", route=f"by-{auth}")
    assert channel in json.loads(_channels(stack, "list", "-o", "json"))["channels"]
    code, text = _inject(stack, channel, domain)
    assert (code, text[:15]) == (250, b"2.0.0 Delivered")
    (got,) = stack.simulator.api(
        f"notifications?channel_id={channel.replace('=', '%3D').replace('+', '%2B')}"
    )["notifications"]
    assert (got["token"], got["topic"], got["auth"]) == ("", "com.example.app", auth)
    assert (got["pushType"], got["status"], got["payload"]) == ("liveactivity", 200, json.loads(UPDATE))
    assert got["apnsId"] in text.decode()
    line = wait_until(lambda: _line_about(stack.directory / "json.log", channel))
    assert (line["event"], line["channelId"], line["tokenPrefix"]) == ("delivery", channel, "")
    _channels(stack, "delete", channel, "--yes")
    code, text = _inject(stack, channel, domain)
    assert code == 550
    assert b"ChannelNotRegistered" in text


def test_send_takes_a_channel(stack: Stack) -> None:
    channel = _channels(stack, "create")
    done = tubepost(
        *("send", "--port", str(stack.dispatcher.port), "--domain", "token.example.com"),
        *("--channel", channel, "--alert", "hello", "--expiration", "0", "-o", "json"),
    )
    assert json.loads(done.stdout)["outcome"] == "delivered", done.stdout
    (got,) = [one for one in stack.simulator.notifications() if one["channelId"] == channel]
    assert got["expiration"] == 0


def _line_about(path: Path, channel: str) -> dict[str, str] | None:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return next((line for line in lines if line.get("channelId") == channel), None)
