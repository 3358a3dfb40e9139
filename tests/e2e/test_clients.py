"""Mail from clients that nobody here wrote."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import subprocess
import uuid
from email.message import EmailMessage
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from pathlib import Path

import pytest

from tests.e2e.app import wait_until
from tests.e2e.conftest import Stack
from tests.peers.tools import require
from tests.support.mcmt import mail

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("e2e")]

TOKEN = "0123456789abcdef" * 4


def _message(alert: str) -> bytes:
    return mail(json.dumps({"aps": {"alert": alert}}).encode(), token=TOKEN.encode())


def _got(stack: Stack, alert: str, count: int = 1) -> None:
    def there() -> bool:
        sent = (item["payload"]["aps"] for item in stack.simulator.notifications())
        alerts = [aps.get("alert") for aps in sent]
        return alerts.count(alert) == count

    wait_until(there)


@pytest.mark.parametrize("extra", [[], ["--pipeline"]], ids=["plain", "pipelined"])
def test_swaks_with_starttls_and_auth(stack: Stack, tmp_path: Path, extra: list[str]) -> None:
    alert = f"swaks-{uuid.uuid4()}"
    data = tmp_path / "message.eml"
    data.write_bytes(_message(alert))
    done = subprocess.run(
        [
            str(require("swaks")), "--server", "127.0.0.1", "--port", str(stack.dispatcher.port),
            "--from", "alerts@sender.example", "--to", "x@apn_example.com", "--data", f"@{data}",
            "--tls", "--auth", "PLAIN", "--auth-user", "sender", "--auth-password", "throw-away", *extra,
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "250 2.0.0 Delivered apns-id=" in done.stdout
    _got(stack, alert)


def test_swaks_with_a_wrong_password_is_refused(stack: Stack, tmp_path: Path) -> None:
    data = tmp_path / "message.eml"
    data.write_bytes(_message("never"))
    done = subprocess.run(
        [
            str(require("swaks")), "--server", "127.0.0.1", "--port", str(stack.dispatcher.port),
            "--from", "a@b.example", "--to", "x@apn_example.com", "--data", f"@{data}",
            "--tls", "--auth", "LOGIN", "--auth-user", "sender", "--auth-password", "guess",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 28
    assert "535 5.7.8" in done.stdout


@pytest.mark.parametrize("sessions", [1, 10])
def test_smtp_source(stack: Stack, tmp_path: Path, sessions: int) -> None:
    alert = f"smtp-source-{uuid.uuid4()}"
    data = tmp_path / "message.eml"
    data.write_bytes(_message(alert).replace(b"\r\n", b"\n"))
    done = subprocess.run(
        [
            str(require("smtp-source")), "-m", "60", "-s", str(sessions), "-F", str(data),
            "-f", "alerts@sender.example", "-t", "x@apn_example.com", f"127.0.0.1:{stack.dispatcher.port}",
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _got(stack, alert, 60)


NODEMAILER = """
const nodemailer = require('nodemailer');
const [port, pool, ca, alert] = process.argv.slice(1);
const transport = nodemailer.createTransport({
  host: 'localhost', port: Number(port), secure: false, requireTLS: true, pool: pool === 'true',
  tls: { ca: require('fs').readFileSync(ca) }, auth: { user: 'sender', pass: 'throw-away' },
});
const raw = [
  'From: alerts@sender.example', 'To: x@token.example.com', 'MIME-Version: 1.0',
  'Content-Type: multipart/vnd.msys.mcmt; boundary=nm', '', '--nm',
  'Content-Type: message/vnd.msys.apn', '', 'X-Device-Token: ' + 'cd'.repeat(32), '',
  JSON.stringify({ aps: { alert } }), '--nm--', ''].join('\\r\\n');
const envelope = { from: 'alerts@sender.example', to: ['x@token.example.com'] };
Promise.all(Array.from({ length: 5 }, () => transport.sendMail({ envelope, raw })))
  .then((all) => { console.log(all[0].response); transport.close(); })
  .catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.parametrize("pool", [False, True], ids=["one-by-one", "pooled"])
def test_nodemailer(stack: Stack, pool: bool) -> None:
    alert = f"nodemailer-{uuid.uuid4()}"
    done = subprocess.run(
        [str(require("node")), "-e", NODEMAILER, str(stack.dispatcher.port), str(pool).lower(), str(stack.ca), alert],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "NODE_PATH": str(require("nodemailer"))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "250 2.0.0 Delivered" in done.stdout
    _got(stack, alert, 5)


def test_smtplib_with_the_email_package(stack: Stack) -> None:
    alert = f"smtplib-{uuid.uuid4()} \N{SNOWMAN}"
    message = MIMEMultipart("vnd.msys.mcmt")
    message["From"], message["To"], message["Subject"] = "a@b.example", "x@apn_example.com", "push"
    part = MIMEBase("application", "octet-stream")
    part.replace_header("Content-Type", "message/vnd.msys.apn")
    inner = f"X-Device-Token: {TOKEN}\r\napns-collapse-id: one\r\n\r\n" + json.dumps(
        {"aps": {"alert": alert}}
    )
    part.set_payload(inner, "utf-8")
    message.attach(part)
    context = ssl.create_default_context(cafile=str(stack.ca))
    with smtplib.SMTP("localhost", stack.dispatcher.port, timeout=60) as smtp:
        smtp.starttls(context=context)
        smtp.login("sender", "throw-away")
        for _ in range(3):
            assert smtp.sendmail("a@b.example", ["x@apn_example.com"], message.as_bytes()) == {}
    _got(stack, alert, 3)


def test_smtplib_hears_of_a_second_recipient_and_of_other_mail(stack: Stack) -> None:
    with smtplib.SMTP("localhost", stack.dispatcher.port, timeout=60) as smtp:
        refused = smtp.sendmail(
            "a@b.example",
            ["x@apn_example.com", "y@apn_example.com", "z@nowhere.example"],
            _message("one of three"),
        )
        assert refused["y@apn_example.com"][0] == 452
        assert refused["z@nowhere.example"][0] == 452
        plain = EmailMessage()
        plain.set_content("just mail")
        with pytest.raises(smtplib.SMTPDataError) as caught:
            smtp.sendmail("a@b.example", ["x@apn_example.com"], plain.as_bytes())
        assert caught.value.smtp_code == 554
