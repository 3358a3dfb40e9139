"""The message behind a push notification, as hooks see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tubepost_policy import actions
from tubepost_policy.actions import Action, PolicyError
from tubepost_policy.context import Context
from tubepost_policy.response import Outcome


class Message:
    """One push part of an MCMT message for one recipient. Made by Tubepost; a hook reads it, and acts."""

    def __init__(self, facts: Mapping[str, Any], outcome: Outcome | None) -> None:
        self.id: str = facts["id"]
        """Tubepost's id of the mail, as in logs and in `tubepost queue trace`."""
        self.sender: str = facts["sender"]
        """MAIL FROM, empty for the null sender."""
        self.return_path: str = facts["returnPath"]
        """Where bounces go; empty for nowhere."""
        self.recipient: str = facts["recipient"]
        """RCPT TO."""
        self.domain: str = facts["domain"]
        """The recipient's domain, in lower case."""
        self.user: str = facts.get("user", "")
        """The authenticated SMTP user, empty without."""
        self.client_address: str = facts.get("client", "")
        """Address of the client that sent the mail."""
        self.token: str = facts["token"]
        """The device token, lower-case hex digits; empty for a broadcast."""
        self.channel: str = facts.get("channel", "")
        """The channel of a broadcast, base64; empty for a device."""
        self.apns_id: str = facts["apnsId"]
        """The notification's id at APNs."""
        self.payload: bytes = facts["payload"].encode("utf-8")
        """The JSON payload as the sender wrote it."""
        self.accepted_at: float = facts["acceptedAt"]
        """Unix seconds at which the mail was received."""
        self.attempt: int = facts["attempt"]
        """Attempts made so far."""
        self.route: str = facts.get("route", "")
        """Name of the ApnRoute of the last attempt, or of the one to come."""
        self.context = Context(facts["context"])
        """Context variables. What is set here lasts for the rest of the message's life."""
        self.outcome = outcome
        """What became of it; None before the first attempt."""
        self._rerouted: bool = facts.get("rerouted", False)
        self._action: Action | None = None

    @property
    def json(self) -> Any:
        """The payload, parsed; a new copy each time."""
        return json.loads(self.payload)

    @property
    def rerouted(self) -> bool:
        """Whether `send_to` has sent it to another domain before: it does so once."""
        return self._rerouted

    def is_mcmt(self) -> bool:
        """Whether it came as an MCMT message, as every notification does (Momentum's `msg:is_mcmt()`)."""
        return True

    def drop(self, reason: str) -> None:
        """End the message as DroppedByPolicy: it is not sent (again), and no bounce is made.

        Args:
            reason: why, in words; it is in logs and in the reply.
        """
        self._act(actions.drop(reason))

    def send_mail(
        self,
        to: str,
        subject: str,
        body: str,
        html: str | None = None,
        headers: dict[str, str] | None = None,
        from_: str | None = None,
    ) -> None:
        """Send a mail through the relay of `spec.bounces.relay` instead; no bounce is made.

        Args:
            to: its recipient, one address.
            subject: one line.
            body: plain text.
            html: an HTML alternative.
            headers: further header fields, or others in the place of those that are made (`From`, `To`,
                `Subject`, `Date`, `Message-ID`, `Auto-Submitted`).
            from_: the From field; by default the sender of the message, or `postmaster` of its domain.

        Bounces of the mail go to the message's return path.
        """
        author = from_ or self.sender or f"postmaster@{self.domain}"
        self._act(actions.send_mail(to, subject, body, html, headers, author))

    def send_to(self, domain: str) -> bool:
        """Deliver it by another domain of the same PushDomain: its routes, its options; once in its life.

        Args:
            domain: one that `spec.domains` has an entry for.

        Returns:
            False where it was sent to another domain before: nothing is done, it goes on as without.
        """
        if self._rerouted:
            return False
        self._act(actions.send_to(domain))
        return True

    def _act(self, action: Action) -> None:
        if self.outcome is not None and self.outcome.kind == "delivered":
            raise PolicyError("this message is delivered: there is nothing left to do with it")
        if self._action is not None:
            raise PolicyError("one of drop(), send_mail() and send_to() was called before: one is all")
        self._action = action

    def __repr__(self) -> str:
        return f"<Message {self.id} for {self.recipient}>"


def action_of(message: Message) -> Action | None:
    """What hooks have asked for; for Tubepost."""
    return message._action  # noqa: SLF001 - of this module
