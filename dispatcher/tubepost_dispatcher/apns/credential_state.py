"""The credential's side of a pool: may requests be sent, with which token, and what an answer means.

No I/O: `now` is monotonic seconds, `wall` unix seconds, both passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tubepost_credentials import CertificateCredential, TokenCredential
from tubepost_dispatcher.apns.breaker import EnvironmentBreaker, Hold
from tubepost_dispatcher.apns.error_body import parse_body
from tubepost_dispatcher.apns.health import MOST_REST
from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.apns.tokens import ProviderToken
from tubepost_dispatcher.outcome import Outcome
from tubepost_dispatcher.reasons.catalogue import REASONS, local_outcome, lookup
from tubepost_dispatcher.reasons.spec import Action, ReasonSpec

CREDENTIAL_RECHECK = 60.0
"""Seconds before a route whose credential is missing or out of date is tried again."""
LEAST_HOLD = 1.0
"""Seconds for which a request that a hold refused is kept away at least."""

MISMATCH = "EnvironmentMismatch"
"""The reason of the one hold that concerns some sources only."""
_OWN_WORDS = frozenset({MISMATCH, "ClockWrong"})


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What an answer means: the outcome, and whether its connection is to be replaced."""

    outcome: Outcome
    replace_connection: bool = False
    rests: bool = False
    """Nothing should be sent on the route for as long as Retry-After said."""


class CredentialState:
    """Holds, provider token and lifetime of one credential."""

    __slots__ = (
        "_bearer_accepted",
        "_bearer_changed_at",
        "_last_bearer",
        "credential",
        "environment",
        "hold",
        "token",
    )

    def __init__(self, credential: CertificateCredential | TokenCredential | None) -> None:
        self.credential = credential
        self.hold = Hold()
        self.environment = EnvironmentBreaker()
        self.token = ProviderToken(credential) if isinstance(credential, TokenCredential) else None
        self._last_bearer = b""
        self._bearer_changed_at = 0.0
        self._bearer_accepted = False

    def bearer(self, now: float, wall: float) -> bytes:
        """Return the `authorization` value for requests sent now, empty with certificates."""
        if self.token is None:
            return b""
        bearer = self.token.header(wall)
        if bearer is not self._last_bearer:
            self._last_bearer = bearer
            self._bearer_changed_at = now
            self._bearer_accepted = False
        return bearer

    def refusal(self, now: float, wall: float) -> Outcome | None:
        """Return the outcome of a request that may not be sent now; None when it may.

        None also when the route is held and a probe is due: then send one, and call `hold.admit`; and when
        it is held for some sources only: see `blames`.
        """
        credential = self.credential
        if credential is None:
            return local_outcome("CredentialMissing", held_until=now + CREDENTIAL_RECHECK)
        if isinstance(credential, CertificateCredential):
            if wall > credential.not_after.timestamp():
                detail = f"the certificate expired on {_day(credential.not_after)}"
                return local_outcome("CredentialExpired", detail, held_until=now + CREDENTIAL_RECHECK)
            if wall < credential.not_before.timestamp():
                detail = f"the certificate is not valid before {_day(credential.not_before)}"
                return local_outcome("CredentialExpired", detail, held_until=now + CREDENTIAL_RECHECK)
        return None if self.blames_some or self.hold.open_to_probe(now) else self.held(now)

    @property
    def blames_some(self) -> bool:
        """Whether the hold concerns the sources of refused device tokens alone."""
        return self.hold.reason == MISMATCH

    def blames(self, source: bytes) -> bool:
        """Whether a hold concerns what comes from this source."""
        return not self.blames_some or source in self.environment.blamed

    def unusable(self, now: float, wall: float) -> bool:
        """Whether no request can be made with it at present: APNs refuses it, or it cannot be used."""
        return self.hold.held or self.refusal(now, wall) is not None

    def held(self, now: float) -> Outcome:
        """Return the outcome of a request that a held route does not take."""
        hold = self.hold
        until = max(hold.until, now + LEAST_HOLD)
        if hold.reason in _OWN_WORDS:
            return local_outcome(hold.reason, hold.detail, held_until=until)
        return local_outcome("RouteHeld", hold.detail or hold.reason, held_until=until)

    def accepted(self, sent_at: float, now: float) -> None:
        """Note a 200."""
        if sent_at >= self._bearer_changed_at:
            self._bearer_accepted = True
        if not self.hold.reason or self.hold.success(sent_at):
            self.environment.success(now)

    def interpret(
        self,
        status: int,
        body: bytes,
        request: ApnsRequest[object],
        sent_at: float,
        now: float,
        wall: float,
        retry_after: float = 0.0,
    ) -> Interpretation:
        """Say what an answer other than 200 means, and note what it says about the credential.

        `retry_after`: seconds, 0.0 where the answer names none.
        """
        reason, timestamp = parse_body(body)
        spec = lookup(status, reason)
        retry_at_once = replace = False
        match spec.action:
            case Action.HOLD_ROUTE:
                self.hold.failure(now, sent_at, spec.reason, f"APNs answered {status} {spec.reason}")
            case Action.NEW_TOKEN:
                retry_at_once, replace = self._renew(sent_at, now, wall)
            case Action.KEEP_TOKEN:
                if self.token is not None:
                    self.token.keep(wall)
                replace = True
            case Action.RECONNECT:
                retry_at_once = replace = True
            case Action.COUNT_MISMATCH:
                self._mismatch(request, sent_at, now)
            case _:
                pass
        self._note_authenticated(spec, sent_at, now)
        outcome = Outcome(
            spec.kind,
            spec.reason,
            status,
            request.apns_id.decode("ascii", "replace"),
            timestamp,
            "" if spec.known else spec.help,
            retry_at_once=retry_at_once,
            held_until=max(self.hold.until, now + min(retry_after, MOST_REST) if retry_after else 0.0),
        )
        return Interpretation(outcome, replace, retry_after > 0.0 and _is_the_routes(spec))

    def goaway(self, reason: str, now: float) -> None:
        """Note the reason of a GOAWAY; some of them are about the credential."""
        spec = REASONS.get(reason)
        if spec is not None and spec.action is Action.HOLD_ROUTE:
            self.hold.failure(now, now, reason, f"APNs closed the connection with {reason}")

    def _renew(self, sent_at: float, now: float, wall: float) -> tuple[bool, bool]:
        """Handle ExpiredProviderToken.

        Returns:
            Whether the request should be sent again at once, and whether on another connection.
        """
        if self.token is None or sent_at < self._bearer_changed_at:
            return True, False  # it was sent with the previous token
        if self.token.early_step(wall):
            self.bearer(now, wall)
            return True, False
        if self._bearer_accepted:
            # The token is good, others are answered 200 with it: this server remembers the one before.
            return True, True
        self.hold.failure(
            now, sent_at, "ClockWrong", "a fresh provider token is expired by APNs' clock: set this clock"
        )
        return False, False

    def _mismatch(self, request: ApnsRequest[object], sent_at: float, now: float) -> None:
        tripped = self.environment.refused(request.token, request.source, now)
        if self.blames_some:
            if self.blames(request.source):
                self.hold.failure(now, sent_at, MISMATCH, self.hold.detail)
        elif tripped:
            self.hold.failure(
                now,
                now,
                MISMATCH,
                "many device tokens refused and none accepted: is this the right environment and topic?",
            )

    def _note_authenticated(self, spec: ReasonSpec, sent_at: float, now: float) -> None:
        """An answer about the notification means that the credential itself was accepted."""
        hold = self.hold
        if not hold.reason or spec.status // 100 != 4 or spec.status in {401, 403, 407}:
            return
        if spec.action in {Action.RECONNECT, Action.KEEP_TOKEN}:
            return  # not about the notification
        # Only a token that was valid in this environment, 410, proves that it is the right one.
        if hold.reason != MISMATCH:
            hold.success(sent_at)
        elif spec.status == 410 and hold.success(sent_at):
            self.environment.success(now)

    def describe(self, now: float, wall: float) -> dict[str, Any]:
        """Facts for the status page; nothing secret."""
        facts: dict[str, Any] = {
            "credential": self.credential.describe() if self.credential else None,
            "held": None,
            "refusedTokensSinceSuccess": self.environment.count,
        }
        if self.hold.held:
            facts["held"] = {
                "reason": self.hold.reason,
                "detail": self.hold.detail,
                "probeInSeconds": round(max(0.0, self.hold.until - now), 1),
            }
        else:
            refusal = self.refusal(now, wall)
            if refusal is not None:
                facts["held"] = {"reason": refusal.reason, "detail": refusal.detail}
        if self.token is not None and self.token.iat:
            facts["providerTokenAgeSeconds"] = round(self.token.age(wall), 1)
        return facts


def _is_the_routes(spec: ReasonSpec) -> bool:
    """Whether Retry-After concerns all that is sent on the route, not one device or notification."""
    return spec.status == 503 or (spec.status == 429 and (spec.action is Action.KEEP_TOKEN or not spec.known))


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
