"""The part of the compiled document that is about mail which leaves: relays, and reports to senders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from tubepost_api.compiled import Compiled, SecretKeyRef, later
from tubepost_api.references import ACCOUNT_KEYS, SecretReference, SecretUse


class RelayConfig(Compiled):
    """An SMTP relay.

    `auth` names a basic-auth Secret (username, password); `ca` None: the system's trust store. `timeout`:
    seconds for connecting, and for each command.
    """

    host: str
    port: int = 25
    tls: Literal["None", "StartTls", "Tls"] = "None"
    verify: bool = True
    auth: str | None = None
    timeout: float = 30.0
    ca: SecretKeyRef | None = later(None)

    def references(self, name: str, account: SecretUse, authorities: SecretUse) -> Iterator[SecretReference]:
        """The Secrets that a relay of PushDomain `name` needs, and what they are for."""
        if self.auth is not None:
            yield SecretReference(account, name, self.auth, ACCOUNT_KEYS)
        if self.ca is not None:
            yield SecretReference(authorities, name, self.ca.secret, (self.ca.key,))


class BouncesConfig(Compiled):
    """What a PushDomain has for reports, and for other mail that follows a notification: its relay."""

    relay: RelayConfig

    def references(self, name: str) -> Iterator[SecretReference]:
        """The Secrets that the relay of PushDomain `name` needs."""
        yield from self.relay.references(name, "BounceRelayAccount", "BounceRelayAuthorities")


class BounceConfig(Compiled):
    """Which reports the senders of one domain entry get (RFC 3461 to 3464)."""

    enabled: bool = True
    """Without it there are none at all, not even those that a sender asks for."""
    delay_notices: bool = False
    delay_after: float = 14_400.0
    """Seconds after its acceptance at which a notification that is still on its way is told of, once."""
    direct: Literal["Reply", "Mail"] = "Reply"
    """With Direct acceptance. Reply: the 5xx to DATA is the report. Mail: a report that the relay took, and
    then 250; where the relay does not take it, the 5xx."""
    from_: str | None = None
    """Address in the From: header field; None: MAILER-DAEMON@HOSTNAME of the listener."""
