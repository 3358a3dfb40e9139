"""The port to a policy's hooks: what delivery asks about a notification, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.outcome import Outcome


class Ruling:
    """What the hooks of one point have come to. Empty: they changed nothing."""

    __slots__ = ("apns_id", "busy", "context", "domain", "fault", "mail", "outcome", "push")

    def __init__(
        self,
        *,
        fault: str = "",
        busy: bool = False,
        push: PushPart | None = None,
        apns_id: bytes = b"",
        context: Mapping[str, str] | None = None,
        outcome: Outcome | None = None,
        mail: OutgoingMail | None = None,
        domain: str = "",
    ) -> None:
        self.fault = fault
        """Why there is no ruling, in words; empty where there is one."""
        self.busy = busy
        """With a fault: the hooks were not even called."""
        self.push = push
        """To be sent instead, in this attempt."""
        self.apns_id = apns_id
        """To be used from now on; empty: the one that it has."""
        self.context = context
        """All context variables from now on."""
        self.outcome = outcome
        """What the attempt's outcome is taken for; or, elsewhere, what the notification ends with."""
        self.mail = mail
        """To be sent instead: the end."""
        self.domain = domain
        """Whose routes are to be tried from now on."""


Ruled = Callable[[Ruling], None]
"""Told what hooks have come to; called once, never from inside the question, or not at all if withdrawn."""


class Question(Protocol):
    """One that is not answered yet."""

    def withdraw(self) -> None:
        """Nobody waits for the answer any more."""


class Hooks(Protocol):
    """Asks the hooks of a policy. Called on the event loop; none of it waits. None: there is no such hook."""

    def before_attempt(self, delivery: Delivery, ruled: Ruled) -> Question | None:
        """What is to be sent."""

    def after_attempt(self, delivery: Delivery, outcome: Outcome, ruled: Ruled) -> Question | None:
        """What APNs' answer means."""

    def before_end(self, delivery: Delivery, outcome: Outcome, ruled: Ruled) -> Question | None:
        """What becomes of it, now that no attempt follows."""
