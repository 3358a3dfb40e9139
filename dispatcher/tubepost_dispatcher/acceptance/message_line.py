"""The one line that a message has in the process log where `messageLog` is Enabled: structured, at Info.

It is written with the reply. What becomes of the notifications after that, loggers tell (`feeds/`): their
lines have the same message id.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from tubepost_dispatcher.acceptance.accounting import MessageKind, result_of
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import clean, hide_tokens
from tubepost_dispatcher.transaction import DomainT, Transaction
from tubepost_runtime.process_log import never_hold_back

_LOG: Final = logging.getLogger("tubepost.message")
never_hold_back(_LOG.name)

_NAMED: Final = 5
"""Domains that a line names."""


def tell(
    transaction: Transaction[DomainT],
    reply: Reply,
    kind: MessageKind,
    notifications: int,
    *,
    size: int,
    seconds: float,
) -> None:
    """Write the line.

    Args:
        transaction: the message.
        reply: what its sender was told, if anybody was there to hear it.
        kind: push, or mail.
        notifications: that were read from it.
        size: its octets; what it was received into may be gone by now.
        seconds: from its end to the reply.
    """
    if not _LOG.isEnabledFor(logging.INFO):
        return
    result = "abandoned" if transaction.abandoned else result_of(reply)
    session = transaction.session
    domains = list(dict.fromkeys(recipient.domain for recipient in transaction.recipients))
    fields: dict[str, Any] = {
        "event": "message",
        "messageId": transaction.message_id,
        "result": result,
        "code": reply.code,
        "reason": reply.reason,
        "kind": kind,
        "sender": _shown(transaction.mail_from),
        "domains": ",".join(domains[:_NAMED]) + (",..." if len(domains) > _NAMED else ""),
        "recipients": len(transaction.recipients),
        "notifications": notifications,
        "apnsId": transaction.apns_id.decode("ascii", "replace"),
        "bytes": size,
        "session": session.session,
        "client": session.remote_ip,
        "user": _shown(session.user),
        "tls": session.tls,
        "durationMs": round(seconds * 1000.0, 3),
    }
    shown = {name: value for name, value in fields.items() if value != ""}
    _LOG.info("message %s: %s", transaction.message_id, result, extra=shown)


def _shown(text: str) -> str:
    return clean(hide_tokens(text))
