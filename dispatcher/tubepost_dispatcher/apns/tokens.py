"""The provider token in use: which one, and when to change it. Pure: the time is passed in.

APNs refuses tokens older than 60 minutes, and tokens that change more often than every 20. All connections
of a key should use the same token, and so should all replicas. So `iat` moves in fixed steps of the clock: a
step begins every 40 minutes, and its token is taken into use 5 minutes after its `iat`. A token in use is
therefore between 5 and 45 minutes old, which leaves room for a clock that is 5 minutes ahead of APNs' or 15
minutes behind it, and every process that starts at any moment makes the token that the others already use.
"""

from __future__ import annotations

from typing import Protocol

STEP = 2400
"""Seconds between two values of `iat`."""
LAG = 300
"""Seconds between `iat` and the moment from which the token is used."""
KEEP = 1200
"""Seconds for which the older token is kept after TooManyProviderTokenUpdates (APNs' own limit)."""
MAX_AGE = 3300
"""Seconds: beyond this age no token is kept, whatever APNs said."""


class Signer(Protocol):
    """What makes tokens: `tubepost_credentials.TokenCredential`."""

    def sign(self, now_unix: int) -> str:
        """Return the token with `iat` = `now_unix`."""


class ProviderToken:
    """The token that requests carry at a moment. Times are unix seconds."""

    __slots__ = ("_early_until", "_header", "_iat", "_kept_until", "_previous_iat", "_signer", "_valid_until")

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._header = b""
        self._iat = 0
        self._previous_iat = 0
        self._valid_until = 0.0  # until then `header` has nothing to decide
        self._early_until = 0.0  # until then the token of the next step is in use already
        self._kept_until = 0.0  # until then an older token is kept

    @property
    def iat(self) -> int:
        """`iat` of the token in use, 0 before the first."""
        return self._iat

    def age(self, now: float) -> float:
        """Seconds since `iat` by our clock; negative after an early step."""
        return now - self._iat

    def header(self, now: float) -> bytes:
        """Return the value of the `authorization` header: `bearer <token>`.

        The same object comes back as long as the token stays the same.
        """
        if now >= self._valid_until or now < self._valid_until - 2 * STEP:
            self._choose(now)
        return self._header

    def early_step(self, now: float) -> bool:
        """Take the next step's token into use now (ExpiredProviderToken).

        If APNs finds a token expired that is at most 45 minutes old here, its clock is more than 15 minutes
        ahead of ours: the next step's `iat` lies in its past, and the other replicas choose the same.

        Returns:
            False if that was done in this step already: then the clock is further off than a step can mend.
        """
        if now < self._early_until:
            return False
        natural = _natural(now)
        self._early_until = float(natural + STEP + LAG)
        self._kept_until = 0.0
        self._use(natural + STEP)
        self._valid_until = self._early_until
        return True

    def keep(self, now: float) -> None:
        """Stay with the older token for 20 minutes (TooManyProviderTokenUpdates).

        That is the token before the newest one if it is still young enough, else the one in use. After an
        early step it is the one in use: APNs called the one before it expired.
        """
        if now < self._kept_until:
            return
        if self._previous_iat and now - self._previous_iat < MAX_AGE and now >= self._early_until:
            self._use(self._previous_iat)
        self._kept_until = max(now, min(now + KEEP, self._iat + MAX_AGE))
        self._valid_until = self._kept_until

    def _choose(self, now: float) -> None:
        if now < self._kept_until <= now + KEEP:
            self._valid_until = self._kept_until
            return
        natural = _natural(now)
        if now < self._early_until <= now + 2 * STEP:
            natural += STEP
        self._use(natural)
        # An early step's token is that of the step after: nothing to decide until then.
        self._valid_until = float(natural + STEP + LAG) if now >= self._early_until else self._early_until

    def _use(self, iat: int) -> None:
        if iat == self._iat:
            return
        self._previous_iat = self._iat
        self._iat = iat
        self._header = b"bearer " + self._signer.sign(iat).encode("ascii")


def _natural(now: float) -> int:
    return int((now - LAG) // STEP) * STEP
