"""`tubepost policy`: try a module of hooks out, without a dispatcher."""

from __future__ import annotations

import email
import email.policy
import email.utils
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tubepost_api.config import McmtReception, PolicyConfig
from tubepost_cli.output_format import output_format
from tubepost_dispatcher.intake.apns_ids import apns_ids
from tubepost_dispatcher.intake.receive import Push, receive
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.policy.check import Session
from tubepost_dispatcher.policy.rehearsal import Step, apns_answer, rehearse, rehearsed
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import DomainT, Recipient, SessionFacts, Transaction

FAULT = 1
"""Exit status where a hook failed."""
UNUSABLE = 2
"""Exit status where there was nothing to try: the module, the message or the answer."""


@click.group()
def command() -> None:
    """Try hooks out (spec.policy of a PushDomain).

    \b
      tubepost policy test policy.py message.eml
    """


class _Answer(click.ParamType[Outcome]):
    name = "STATUS[:REASON]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Outcome:
        if isinstance(value, Outcome):
            return value
        try:
            return apns_answer(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@command.command()
@click.argument("module", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("message", metavar="MESSAGE", type=click.File("rb"))
@click.option(
    "--outcome",
    type=_Answer(),
    default="200",
    show_default=True,
    help="What APNs answers: 200, 410:Unregistered, 503:ServiceUnavailable ...",
)
@click.option("--from", "sender", metavar="ADDRESS", help="MAIL FROM.  [default: the From field's]")
@click.option("--to", "recipient", metavar="ADDRESS", help="RCPT TO.  [default: the To field's]")
@click.option("--topic", default="com.example.app", show_default=True, help="The route's topic.")
@click.option("--timeout", default=1.0, show_default=True, help="Seconds for one call (spec.policy.timeout).")
@output_format
def test(
    module: Path,
    message: Any,
    outcome: Outcome,
    sender: str | None,
    recipient: str | None,
    topic: str,
    timeout: float,
    output: str,
) -> None:
    """Show what the hooks of FILE (policy.py) do with MESSAGE, an MCMT message (- for standard input).

    The module runs in a process of its own with the limits that it has in a dispatcher. Nothing is sent.

    \b
    tubepost policy test policy.py message.eml --outcome 410:Unregistered

    Exit status: 0, 1 where a hook failed, 2 where the module or the message cannot be used.
    """
    notifications = list(_notifications(message.read(), sender, recipient))
    config = PolicyConfig(name=module.name, source=module.read_text(encoding="utf-8"), timeout=timeout)
    report: dict[str, Any] = {"notifications": []}
    with Session(config) as session:
        checked = session.checked
        if checked.finding is not None:
            raise _Unusable(str(checked.finding))
        for notification in notifications:
            delivery = rehearsed(notification, topic)
            if isinstance(delivery, Outcome):
                raise _Unusable(f"the notification cannot be sent: {delivery.reason}: {delivery.detail}")
            steps = [_public(step) for step in rehearse(session, delivery, outcome)]
            report["notifications"].append({"recipient": notification.recipient, "steps": steps})
    report = {"hooks": checked.hooks, "warnings": checked.warnings, "printed": checked.printed, **report}
    click.echo(json.dumps(report, indent=2) if output == "json" else "\n".join(_lines(report)))
    failed = any(step["fault"] for one in report["notifications"] for step in one["steps"])
    raise SystemExit(FAULT if failed else 0)


class _Unusable(click.ClickException):
    exit_code = UNUSABLE


def _notifications(content: bytes, sender: str | None, recipient: str | None) -> Iterator[Notification]:
    """The notifications of a message, read as a listener's."""
    content = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    head = email.message_from_bytes(content, policy=email.policy.compat32)
    to = recipient or email.utils.parseaddr(str(head.get("To", "")))[1]
    domain = to.rpartition("@")[2].lower()
    if "@" not in to or not domain:
        raise _Unusable("the message has no To field with an address: say --to ADDRESS")
    mail_from = sender if sender is not None else email.utils.parseaddr(str(head.get("From", "")))[1]
    received = receive(
        Transaction(
            _Nobody(),
            SessionFacts("127.0.0.1", 0),
            "rehearsal",
            mail_from,
            [Recipient(to, domain, None)],
            content,
        ),
        McmtReception.ALLOW,
        relay=True,
        next_id=apns_ids(),
        now=time.time(),
    )
    if isinstance(received, Reply):
        raise _Unusable(f"the message is refused: {received.code} {received.text}")
    if not isinstance(received, Push):
        raise _Unusable("the message has no push part")
    yield from received.notifications


class _Nobody:
    def transaction_done(self, transaction: Transaction[DomainT], reply: Reply) -> None:
        """Nobody waits for a reply."""


def _public(step: Step) -> dict[str, Any]:
    """A step as JSON has it."""
    ruling = step.ruling
    mail = ruling.mail if ruling is not None else None
    action = {name: value for name, value in step.answer.get("action", {}).items() if name != "content"}
    changed = ruling.outcome if ruling is not None else None
    return {
        "hooks": step.hooks,
        "milliseconds": round(step.seconds * 1000, 2),
        "request": step.answer.get("request", {}),
        "context": step.answer.get("context"),
        "outcome": None
        if changed is None
        else {"kind": changed.kind.value, "reason": changed.reason, "detail": changed.detail},
        "action": action or None,
        "mail": None
        if mail is None
        else {"sender": mail.sender, "recipient": mail.recipient, "content": mail.content.decode("utf-8")},
        "fault": step.fault or None,
    }


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"hooks: {', '.join(report['hooks']) or 'none'}"
    yield from (f"warning: {text}" for text in report["warnings"])
    yield from (f"printed: {text}" for text in report["printed"])
    for notification in report["notifications"]:
        yield f"notification for {notification['recipient']}"
        for step in notification["steps"]:
            yield f"  {', '.join(step['hooks'])}: {step['milliseconds']} ms"
            yield from (f"    {line}" for line in _what(step))


def _what(step: dict[str, Any]) -> Iterator[str]:
    if step["fault"]:
        yield f"failed: {step['fault']}"
        yield "the message is tried again later (451 to whoever waits), unless it is delivered"
        return
    for name, value in step["request"].items():
        yield f"request.{name} = {value}"
    if step["context"] is not None:
        yield "context: " + (
            ", ".join(f"{name}={value}" for name, value in step["context"].items()) or "none"
        )
    if step["outcome"] is not None:
        outcome = step["outcome"]
        words = " ".join(filter(None, (outcome["kind"], outcome["reason"])))
        yield f"outcome: {words} ({outcome['detail']})"
    if step["mail"] is not None:
        yield f"mail to {step['mail']['recipient']}, bounces to <{step['mail']['sender']}>:"
        yield from (f"  {line}".rstrip() for line in step["mail"]["content"].splitlines())
    elif step["action"] is not None and step["action"]["type"] == "domain":
        yield f"sent on to domain {step['action']['domain']}"
    if not any((step["request"], step["context"], step["outcome"], step["mail"], step["action"])):
        yield "changes nothing"
