"""A notification on its way: a value that can be stored, and read back by the next release."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import orjson

NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})
"""The context of a message that sets no variables."""

SCHEMA: Final = 1
"""Version of the stored form. A reader takes its own and older ones; fields that join are optional."""


class PushPart:
    """One `message/vnd.msys.apn` part, checked: nothing in it needs escaping any more.

    `payload` is a JSON object, byte for byte as the sender wrote it (but for a repaired trailing comma).
    The `apns-*` values are None where the part has no such header. `token` is lower-case hex, empty where a
    `channel_id` stands for it (base64): the part is a broadcast. `background`
    and `is_mdm` say what the payload looks like, for parts (and routes) that name no push type.
    """

    __slots__ = (
        "apns_id",
        "background",
        "channel_id",
        "collapse_id",
        "expiration",
        "is_mdm",
        "payload",
        "priority",
        "push_type",
        "return_path",
        "token",
        "topic",
        "warnings",
    )

    def __init__(
        self,
        token: bytes,
        payload: bytes,
        *,
        topic: bytes | None = None,
        push_type: bytes | None = None,
        priority: int | None = None,
        expiration: int | None = None,
        collapse_id: bytes | None = None,
        apns_id: bytes | None = None,
        return_path: str | None = None,
        warnings: tuple[str, ...] = (),
        background: bool = False,
        is_mdm: bool = False,
        channel_id: bytes | None = None,
    ) -> None:
        self.token = token
        self.payload = payload
        self.topic = topic
        self.push_type = push_type
        self.priority = priority
        self.expiration = expiration
        self.collapse_id = collapse_id
        self.apns_id = apns_id
        self.return_path = return_path
        """Where bounces go: an address without angle brackets, empty for the null path, None: MAIL FROM."""
        self.warnings = warnings
        """Warning slugs: keys of `reasons.message.WARNINGS`."""
        self.background = background
        """`aps` asks for `content-available` and shows, badges and plays nothing."""
        self.is_mdm = is_mdm
        """The payload has a member `mdm`."""
        self.channel_id = channel_id
        """Goes to the subscribers of this channel, not to one device."""

    def __copy__(self) -> PushPart:
        return PushPart(
            self.token, self.payload, topic=self.topic, push_type=self.push_type, priority=self.priority,
            expiration=self.expiration, collapse_id=self.collapse_id, apns_id=self.apns_id,
            return_path=self.return_path, warnings=self.warnings, background=self.background,
            is_mdm=self.is_mdm, channel_id=self.channel_id,
        )  # fmt: skip


class Notification:
    """One push part for one recipient: what to send, where it came from, and how often it was tried.

    Nothing in it belongs to a session, an event loop or a pool; all of it survives `encode` and `decode`.
    """

    __slots__ = (
        "accepted_at",
        "apns_id",
        "attempt",
        "awaited_attempts",
        "client_address",
        "context",
        "domain",
        "dsn",
        "expires",
        "headers",
        "message_id",
        "push",
        "recipient",
        "rerouted",
        "sender",
        "size",
        "user",
    )

    def __init__(
        self,
        push: PushPart,
        apns_id: bytes,
        message_id: str,
        sender: str,
        recipient: str,
        domain: str,
        context: Mapping[str, str] = NO_CONTEXT,
        dsn: Mapping[str, str] | None = None,
        user: str = "",
        client_address: str = "",
        size: int = 0,
        accepted_at: float = 0.0,
        attempt: int = 0,
        awaited_attempts: int = 0,
        headers: str = "",
        expires: float = 0.0,
        *,
        rerouted: bool = False,
    ) -> None:
        self.push = push
        self.apns_id = apns_id
        """Lower-case UUID: the part's, else ours. The same one for every attempt."""
        self.message_id = message_id
        """Ours, of the mail: Momentum's `%i`."""
        self.sender = sender
        """MAIL FROM without angle brackets, empty for the null sender."""
        self.recipient = recipient
        """RCPT TO without angle brackets."""
        self.domain = domain
        """Lower-cased domain of the recipient, as written."""
        self.context = context
        """Context variables (Momentum's `DLV_...` and the sender's own)."""
        self.dsn = dsn
        """RET, ENVID, NOTIFY and ORCPT as given (RFC 3461), None without."""
        self.user = user
        """Authenticated SMTP user, empty without."""
        self.client_address = client_address
        """Address of the client that injected it, printable text."""
        self.size = size
        """Bytes of the mail as received."""
        self.accepted_at = accepted_at
        """Unix seconds at which the message was received whole."""
        self.attempt = attempt
        """Attempts made so far."""
        self.awaited_attempts = awaited_attempts
        """Those of them that were made, in quick succession, while the sender waited for the outcome."""
        self.headers = headers
        """The mail's header block as far as it is kept, for reports to its sender; lines ended by CRLF."""
        self.expires = expires
        """Unix seconds at which a queue gives it up, where its sender is to hear before that that it is late;
        else 0.0, and the queue alone knows."""
        self.rerouted = rerouted
        """A policy has sent it to another domain, which it does once."""

    @property
    def scheduled_attempts(self) -> int:
        """Attempts that a schedule goes by."""
        return self.attempt - self.awaited_attempts

    @property
    def return_path(self) -> str:
        """Where bounces go: the part's Return-Path, else the sender; empty for the null path."""
        return self.sender if self.push.return_path is None else self.push.return_path

    @property
    def local_part(self) -> str:
        """Of the recipient."""
        return self.recipient.rpartition("@")[0]


def encode(notification: Notification) -> bytes:
    """The stored form: JSON in UTF-8, of version `SCHEMA`, without the fields that have their default."""
    push = notification.push
    document: dict[str, Any] = {
        "v": SCHEMA,
        "token": push.token.decode("ascii"),
        "payload": push.payload.decode("utf-8"),
        "apnsId": notification.apns_id.decode("ascii"),
        "messageId": notification.message_id,
        "sender": notification.sender,
        "recipient": notification.recipient,
        "domain": notification.domain,
        "size": notification.size,
        "acceptedAt": notification.accepted_at,
        "attempt": notification.attempt,
    }
    # One by one: this is done for every message of a queue.
    if push.channel_id is not None:
        # Without a token, a release that knows no channels holds it back as unreadable.
        document["channelId"] = push.channel_id.decode("ascii")
        del document["token"]
    if push.topic is not None:
        document["topic"] = push.topic.decode("ascii")
    if push.push_type is not None:
        document["pushType"] = push.push_type.decode("ascii")
    if push.priority is not None:
        document["priority"] = push.priority
    if push.expiration is not None:
        document["expiration"] = push.expiration
    if push.collapse_id is not None:
        document["collapseId"] = push.collapse_id.decode("ascii")
    if push.apns_id is not None:
        document["ownApnsId"] = True
    if push.return_path is not None:
        document["returnPath"] = push.return_path
    if push.warnings:
        document["warnings"] = push.warnings
    if push.background:
        document["background"] = True
    if push.is_mdm:
        document["mdm"] = True
    if notification.context:
        document["context"] = dict(notification.context)
    if notification.dsn:
        document["dsn"] = dict(notification.dsn)
    if notification.user:
        document["user"] = notification.user
    if notification.client_address:
        document["clientAddress"] = notification.client_address
    if notification.awaited_attempts:
        document["awaitedAttempts"] = notification.awaited_attempts
    if notification.headers:
        document["headers"] = notification.headers
    if notification.expires:
        document["expires"] = notification.expires
    if notification.rerouted:
        document["rerouted"] = True
    return orjson.dumps(document)


def decode(stored: bytes) -> Notification:
    """Read what `encode` wrote, in this release or an earlier one; fields it does not know are passed over.

    Raises:
        ValueError: it is not such a document, or a later release wrote it.
    """
    try:
        document = orjson.loads(stored)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not a stored notification: {error}") from None
    version = document.get("v") if isinstance(document, dict) else None
    if not isinstance(version, int):
        raise ValueError("not a stored notification: no version")  # noqa: TRY004 - of bytes, not of a call
    if version > SCHEMA:
        raise ValueError(
            f"a notification of schema {version}, written by a later release; this one reads up to {SCHEMA}"
        )
    try:
        apns_id = document["apnsId"].encode("ascii")
        channel_id = _bytes(document.get("channelId"))
        push = PushPart(
            document["token"].encode("ascii") if channel_id is None else b"",
            document["payload"].encode("utf-8"),
            topic=_bytes(document.get("topic")),
            push_type=_bytes(document.get("pushType")),
            priority=document.get("priority"),
            expiration=document.get("expiration"),
            collapse_id=_bytes(document.get("collapseId")),
            apns_id=apns_id if document.get("ownApnsId") else None,
            return_path=document.get("returnPath"),
            warnings=tuple(document.get("warnings", ())),
            background=document.get("background", False),
            is_mdm=document.get("mdm", False),
            channel_id=channel_id,
        )
        return Notification(
            push,
            apns_id,
            document["messageId"],
            document["sender"],
            document["recipient"],
            document["domain"],
            context=document.get("context", NO_CONTEXT),
            dsn=document.get("dsn"),
            user=document.get("user", ""),
            client_address=document.get("clientAddress", ""),
            size=document["size"],
            accepted_at=document["acceptedAt"],
            attempt=document["attempt"],
            awaited_attempts=document.get("awaitedAttempts", 0),
            headers=document.get("headers", ""),
            expires=document.get("expires", 0.0),
            rerouted=document.get("rerouted", False),
        )
    except (KeyError, AttributeError, TypeError, UnicodeEncodeError) as error:
        raise ValueError(f"a stored notification is incomplete or damaged: {error!r}") from None


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode("ascii")
