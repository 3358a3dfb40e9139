"""Hands mails that follow notifications to the relay, a connection each."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Callable
from typing import Final

from tubepost_api.config_relay import RelayConfig
from tubepost_dispatcher.follow_up import OutgoingMail
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.client import relay
from tubepost_runtime.backoff import Backoff, Exponential
from tubepost_runtime.tasks import TaskSet

_LOG = logging.getLogger("tubepost.bounces")

MOST: Final = 50
"""Mails that are on their way at a time, those of messages that wait for their answer included."""
PAUSES: Final = Exponential(1.0, 60.0, jitter=(0.8, 1.2))
"""How long the relay is left alone after each failure of its own in a row."""
_OWN_FAULTS: Final = frozenset(
    {
        "RelayUnreachable",
        "RelayRefusesConnections",
        "RelayTimeout",
        "RelayConnectionLost",
        "RelayTlsFailed",
        "RelayAuthFailed",
        "RelayCapabilityMissing",
        "RelayOutOfOrder",
        "RelayBusy",
    }
)
"""Answers that the next mail would get as well."""
_NEVER: Final = {"NOTIFY": "NEVER"}
"""Nobody reports on a report (RFC 3461 6.2)."""


class RelaySender:
    """Lives on one event loop; every method is called on it. Implements the queue's `MailSender`.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tasks = TaskSet()
        self._turn = asyncio.Lock()
        self._backoff = Backoff(PAUSES)
        self._config: RelayConfig | None = None
        self._auth: tuple[str, str] | None = None
        self._tls: ssl.SSLContext | None = None
        self._hostname = ""
        self._reason = ""
        """Why the relay is left alone, empty while it is not."""

    def swap(
        self,
        config: RelayConfig | None,
        auth: tuple[str, str] | None,
        tls: ssl.SSLContext | None,
        hostname: str,
    ) -> None:
        """Put another configuration in force; mails that are on their way go on.

        Args:
            config: the relay; None: there is none, and mails wait.
            auth: name and password for it.
            tls: a context for it, None: what `config` describes.
            hostname: ours.
        """
        if self._config is not None and config is None:
            _LOG.warning("relay for bounces: it was removed; queued mails wait for another until they expire")
        self._config, self._auth, self._tls, self._hostname = config, auth, tls, hostname
        # Whatever was wrong, this may be the remedy.
        self._backoff.success()
        self._reason = ""

    @property
    def configured(self) -> bool:
        """Whether there is a relay."""
        return self._config is not None

    @property
    def held_until(self) -> float:
        """See `Gate`."""
        return math.inf if self._config is None else self._backoff.until

    def send(self, mail: OutgoingMail, done: Callable[[Reply], None]) -> None:
        """See `MailSender`."""
        if self._config is None:
            self.refuse(refusal("RelayUnreachable"), done)
        elif len(self._tasks) >= MOST:
            self.refuse(refusal("RelayBusy"), done)
        else:
            self._tasks.spawn(self._send(self._config, mail, done))

    def refuse(self, reply: Reply, done: Callable[[Reply], None]) -> None:
        """Answer in a later turn, without the relay."""
        asyncio.get_running_loop().call_soon(done, reply)

    def blames_relay(self, reply: Reply) -> bool:
        """See `MailSender`."""
        return reply.reason in _OWN_FAULTS

    async def _send(self, config: RelayConfig, mail: OutgoingMail, done: Callable[[Reply], None]) -> None:
        recipient = (mail.recipient, None if mail.kind == "reroute" else _NEVER)
        try:
            reply = await relay(
                config,
                self._auth,
                mail.sender,
                [recipient],
                mail.content,
                hostname=self._hostname,
                message_id=mail.message_id,
                smtputf8=True,
                tls=self._tls,
                turn=self._turn,
            )
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the mail
            _LOG.exception("message %s: handing a mail to the relay failed", mail.message_id)
            reply = refusal("InternalError")
        if config is self._config:
            self._note(reply)
        done(reply)

    def _note(self, reply: Reply) -> None:
        """Leave a relay alone that has a trouble of its own, each time for longer."""
        now = self._clock()
        if not self.blames_relay(reply):
            if self._reason:
                _LOG.info("relay for bounces: it takes mail again")
            self._backoff.success()
            self._reason = ""
        elif now >= self._backoff.until:  # mails that began together say it once
            self._backoff.failure(now)
            if self._reason != reply.reason:
                _LOG.warning("relay for bounces: %s; mails are kept and wait", reply.text)
            self._reason = reply.reason

    async def close(self, grace: float) -> None:
        """Wait for the mails that are on their way, at most `grace` seconds; those left are ended."""
        await self._tasks.join(grace)
