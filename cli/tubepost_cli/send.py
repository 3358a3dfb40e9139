"""`tubepost send`: inject one push notification over SMTP."""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import click

from tubepost_cli.message import push_message
from tubepost_cli.output_format import output_format
from tubepost_cli.waiting import Waiting

EX_TEMPFAIL = 75
"""Exit status of a transient failure (sysexits.h)."""


@click.command()
@click.option("--domain", required=True, help="A domain that the PushDomain serves; becomes RCPT TO.")
@click.option("--token", help="Device token, hex digits.  [default: none, the local part of --to may be one]")
@click.option("--channel", help="Broadcast channel, base64, instead of a device token.")
@click.option("--alert", help="Text of the alert.")
@click.option("--title", help="Title of the alert.")
@click.option("--badge", type=int, help="Number on the app's icon.")
@click.option("--sound", help="Name of the sound; there is none by default.")
@click.option(
    "--payload",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A file with the whole JSON payload (- for standard input), instead of --alert and its like.",
)
@click.option("--topic", help="apns-topic.  [default: the route's]")
@click.option("--push-type", help="apns-push-type.  [default: the route's, or by the payload]")
@click.option("--priority", type=click.Choice(["1", "5", "10"]), help="apns-priority.  [default: by type]")
@click.option("--expiration", metavar="UNIX_SECONDS", help="apns-expiration.  [default: by delivery.expiry]")
@click.option("--collapse-id", help="apns-collapse-id.")
@click.option("--apns-id", help="apns-id, a UUID.  [default: made by Tubepost]")
@click.option("--to", "local_part", default="device", show_default=True, help="Local part of the recipient.")
@click.option("--from", "sender", default="tubepost@localhost", show_default=True, help="MAIL FROM.")
@click.option("--host", default="127.0.0.1", show_default=True, help="SMTP host.")
@click.option("--port", default=2525, show_default=True, help="SMTP port.")
@click.option("--starttls", is_flag=True, help="Use STARTTLS.")
@click.option("--ca", type=click.Path(exists=True, path_type=Path), help="CA of the listener's certificate.")
@click.option("--insecure", is_flag=True, help="Do not verify the listener's certificate.")
@click.option("--user", help="AUTH user name.")
@click.option("--password", envvar="TUBEPOST_PASSWORD", help="AUTH password; better in TUBEPOST_PASSWORD.")
@click.option("--timeout", default=90.0, show_default=True, help="Seconds to wait for each reply.")
@output_format
def command(**options: Any) -> None:
    """Inject one push notification over SMTP and print what became of it.

    \b
    tubepost send --domain apn_example.com --token 123abc... --alert 'You have mail'
    tubepost send --domain apn_example.com --token 123abc... --payload payload.json --push-type background

    With Queued acceptance the outcome of a 250 is "queued": `tubepost queue trace ID` tells how it ended.

    Exit status: 0 delivered or queued (250), 1 permanent failure (5xx), 75 transient failure (4xx, or no
    connection).
    """
    payload = _payload(options)
    recipient = f"{options['local_part']}@{options['domain']}"
    message = push_message(
        payload,
        sender=options["sender"],
        recipient=recipient,
        token=options["token"],
        headers=_headers(options),
    )
    started = time.monotonic()
    with Waiting(_say if options["output"] == "text" else _nothing):
        code, text = _inject(options, recipient, message)
    result = {
        "outcome": _outcome(code, text),
        "code": code,
        "reply": text,
        "seconds": round(time.monotonic() - started, 3),
    }
    if options["output"] == "json":
        click.echo(json.dumps(result))
    else:
        colour = {"permanent": "red", "transient": "yellow"}.get(str(result["outcome"]), "green")
        word = click.style(str(result["outcome"]), fg=colour)
        click.echo(f"{word}: {f'{code} ' if code else ''}{text} ({result['seconds']} s)")
    raise SystemExit({"transient": EX_TEMPFAIL, "permanent": 1}.get(str(result["outcome"]), 0))


def _say(seconds: float) -> None:
    click.echo(
        f"no reply yet after {seconds:.0f} s: with Direct acceptance it waits for APNs' answer, at most for "
        "acceptance.deadline (30s by default)",
        err=True,
    )


def _nothing(_: float) -> None:
    """For programs, which read the result."""


def _outcome(code: int, text: str) -> str:
    if code == 250:
        # Without an enhanced code in between: the words of the two modes of acceptance.
        return "queued" if "Queued as " in text else "delivered"
    return "permanent" if code >= 500 else "transient"


def _payload(options: dict[str, Any]) -> bytes:
    if options["payload"] is not None:
        if options["alert"] or options["title"] or options["badge"] is not None or options["sound"]:
            raise click.UsageError("--payload is the whole payload: no --alert, --title, --badge, --sound.")
        with click.open_file(str(options["payload"]), "rb") as file:
            return bytes(file.read())
    if not options["alert"] and not options["title"] and options["badge"] is None:
        raise click.UsageError("Say what to send: --alert TEXT, --title TEXT, --badge N, or --payload FILE.")
    aps: dict[str, Any] = {}
    if options["title"]:
        aps["alert"] = {"title": options["title"], "body": options["alert"] or ""}
    elif options["alert"]:
        aps["alert"] = options["alert"]
    for name in ("badge", "sound"):
        if options[name] is not None:
            aps[name] = options[name]
    return json.dumps({"aps": aps}, ensure_ascii=False).encode()


def _headers(options: dict[str, Any]) -> dict[str, str]:
    names = ("topic", "push_type", "priority", "expiration", "collapse_id")
    headers = {f"apns-{name.replace('_', '-')}": options[name] for name in names if options[name] is not None}
    if options["apns_id"] is not None:
        headers["apns-id"] = options["apns_id"]
    if options["channel"] is not None:
        if options["token"] is not None:
            raise click.UsageError("It goes to a device or to a channel: --token or --channel.")
        headers["apns-channel-id"] = options["channel"]
    for name, value in headers.items():
        if not value.isprintable():
            raise click.UsageError(f"{name}: control characters cannot stand in a header.")
    return headers


def _inject(options: dict[str, Any], recipient: str, message: bytes) -> tuple[int, str]:
    try:
        with smtplib.SMTP(options["host"], options["port"], timeout=options["timeout"]) as smtp:
            if options["starttls"]:
                smtp.starttls(context=_tls(options))
            if options["user"]:
                smtp.login(options["user"], options["password"] or "")
            mail_options = () if message.isascii() else ("BODY=8BITMIME",)
            smtp.ehlo_or_helo_if_needed()
            code, text = smtp.mail(options["sender"], mail_options)
            if code == 250:
                code, text = smtp.rcpt(recipient)
            if code in (250, 251):
                code, text = smtp.data(message)
            return code, text.decode("utf-8", "replace").replace("\n", " ")
    except smtplib.SMTPResponseException as error:
        reply: Any = error.smtp_error  # bytes as a rule, str when the client itself made it
        return error.smtp_code, reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    except smtplib.SMTPException as error:
        return 0, f"{error}"
    except OSError as error:
        where = f"{options['host']}:{options['port']}"
        hint = (
            "Is --host right?" if isinstance(error, socket.gaierror) else "Is `tubepost run` serving there?"
        )
        return 0, f"no connection to {where}: {error}. {hint}"


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options["ca"])
    if options["insecure"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
