"""What APNs answered, and what became of a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

OutcomeKind = Literal["delivered", "transient", "permanent"]


class Outcome:
    """What became of an attempt, or of the message in the end. To be read."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.kind: OutcomeKind = facts["kind"]
        """`delivered`, `transient` (it is tried again) or `permanent`."""
        self.reason: str = facts.get("reason", "")
        """APNs' word (`Unregistered`), or Tubepost's (`Expired`); empty when delivered."""
        self.status: int = facts.get("status", 0)
        """HTTP status of APNs' answer; 0 where there was none."""
        self.legacy_status: int = facts.get("legacy", 0)
        """Status code of Momentum's logger (`%S`): 0 delivered, 8 invalid token, ..."""
        self.detail: str = facts.get("detail", "")
        """More about it, for people."""
        self.timestamp: int = facts.get("timestamp", 0)
        """APNs' timestamp of a 410, milliseconds since the epoch: since when the token is dead; else 0."""

    def __repr__(self) -> str:
        return f"<Outcome {self.kind} {self.status} {self.reason}>"


class Status(int):
    """The HTTP status of an answer, an int (200, 410, ...), with what else classifies it."""

    reason: str
    """APNs' word, empty for a 200."""
    legacy: int
    """Status code of Momentum's logger (`%S`)."""

    def __new__(cls, status: int, reason: str = "", legacy: int = 0) -> Self:
        """Make one."""
        made = super().__new__(cls, status)
        made.reason = reason
        made.legacy = legacy
        return made


class Response:
    """An answer of APNs'. `status` and `reason` may be set: the answer then counts as that one."""

    def __init__(self, facts: Mapping[str, Any], message: Any) -> None:
        self._status: int = facts["status"]
        self._reason: str = facts.get("reason", "")
        self._given = (self._status, self._reason)
        self.id: str = facts.get("id", "")
        """The `apns-id` of the answer."""
        self.command = 8
        """Momentum's number of the answer in the old binary protocol, always 8; of no effect."""
        self.legacy_status: int = facts.get("legacy", 0)
        """Status code of Momentum's logger (`%S`) of the answer as it came."""
        self.timestamp: int = facts.get("timestamp", 0)
        """APNs' timestamp of a 410, milliseconds since the epoch; else 0."""
        self.message = message
        """The `Message` that it answers."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._status

    @status.setter
    def status(self, value: int) -> None:
        self._status = _status(value)

    @property
    def reason(self) -> str:
        """APNs' word, empty for a 200."""
        return self._reason

    @reason.setter
    def reason(self, value: str) -> None:
        self._reason = _reason(value)

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def _status(value: object) -> int:
    if not isinstance(value, int) or not 200 <= value <= 599:
        raise ValueError(f"{value!r:.40} is no HTTP status")
    return int(value)


def _reason(value: object) -> str:
    if not isinstance(value, str) or not value.isalnum() or not value.isascii() or len(value) > 64:
        raise ValueError(f"{value!r:.80} is no reason: letters and digits, as APNs' own")
    return value


def changed(response: Response) -> dict[str, Any]:
    """Status and reason where a hook has set them to something else; for Tubepost."""
    if (response.status, response.reason) == response._given:  # noqa: SLF001 - of this module
        return {}
    return {"status": response.status, "reason": "" if response.status == 200 else response.reason}
