"""From what hooks answer to a `Ruling`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tubepost_dispatcher.delivery.hooks import Ruling
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.policy.changes import (
    Refused,
    changed_context,
    changed_outcome,
    changed_part,
    dropped,
    rerouted_mail,
)


def ruling_of(
    answer: Mapping[str, Any], notification: Notification, outcome: Outcome | None, now: float
) -> Ruling:
    """What an answer means.

    Args:
        answer: of the policy process.
        notification: that was asked about.
        outcome: of the attempt or the end that was asked about; None before an attempt.
        now: unix seconds.

    Raises:
        Refused: something that cannot be gone by.
    """
    ruling = Ruling()
    if (context := answer.get("context")) is not None:
        ruling.context = changed_context(context)
    if (changes := answer.get("request")) is not None:
        if not isinstance(changes, dict):
            raise Refused("the changes of the request are none")
        ruling.push, ruling.apns_id = changed_part(notification.push, changes)
    response, classified = answer.get("response"), answer.get("classified")
    if outcome is not None and (response or classified is not None):
        made = changed_outcome(outcome, response, classified)
        ruling.outcome = None if made is outcome else made
    if (action := answer.get("action")) is not None:
        _act(ruling, notification, action, now)
    elif answer.get("done") and outcome is not None and outcome.kind is not OutcomeKind.DELIVERED:
        ruling.outcome = dropped(f"{outcome.reason}; the policy has seen to it")
    return ruling


def _act(ruling: Ruling, notification: Notification, action: Any, now: float) -> None:
    match action.get("type") if isinstance(action, dict) else None:
        case "drop":
            ruling.outcome = dropped(action.get("reason"))
        case "mail":
            ruling.mail = rerouted_mail(action, notification, now)
        case "domain" if isinstance(action.get("domain"), str):
            ruling.domain = action["domain"]
        case _:
            raise Refused("an action that does not exist")
