"""From a request's body to notifications with their envelopes. Pure.

The members are those of a push part: each header field by its name in camelCase.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson

from tubepost_dispatcher.http.problems import Fault
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.syntax import (
    FAST_MAIL,
    FAST_RCPT,
    Mail,
    Rcpt,
    parse_mail,
    parse_rcpt,
    plain_domain,
)
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import PushFields
from tubepost_runtime.words import counted

BATCH: Final = "notifications"
"""The member that makes a request a batch."""
DEFAULT_LOCAL_PART: Final = "device"
"""Of the recipient where a request names its domain alone."""
MAX_TEXT: Final = 4_096
"""Characters of a member's text; the payload's is bounded by the body."""

HEADERS: Final[Mapping[str, bytes]] = MappingProxyType(
    {
        "deviceToken": b"x-device-token",
        "apnsChannelId": b"apns-channel-id",
        "apnsTopic": b"apns-topic",
        "apnsPushType": b"apns-push-type",
        "apnsPriority": b"apns-priority",
        "apnsExpiration": b"apns-expiration",
        "apnsCollapseId": b"apns-collapse-id",
        "apnsId": b"apns-id",
        "returnPath": b"return-path",
    }
)
"""Members that stand for a header field of a push part."""
NUMBERS: Final = frozenset({"apnsPriority", "apnsExpiration"})
"""Those of them that are numbers."""
ENVELOPE: Final = ("payload", "domain", "recipient", "sender", "context", "dsn")
MEMBERS: Final = (*HEADERS, *ENVELOPE)
"""All members of a notification."""
DSN: Final[Mapping[str, str]] = MappingProxyType(
    {"notify": "NOTIFY", "orcpt": "ORCPT", "ret": "RET", "envid": "ENVID"}
)
"""Members of `dsn`, and the parameters of RFC 3461 that they are."""


class Item(NamedTuple):
    """One notification of a request, and its envelope."""

    address: str
    domain: str
    sender: str
    recipient_dsn: Mapping[str, str] | None
    sender_dsn: Mapping[str, str] | None
    fields: PushFields
    payload: bytes


class Batch(NamedTuple):
    """What a body holds: JSON values that should be notifications. `single`: it is one by itself."""

    values: Sequence[object]
    single: bool


def read_body(body: bytes | bytearray, most: int) -> Batch | Fault:
    """Parse a body: one notification, or `{"notifications": [...]}` with at most `most`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        what = error.msg if error.msg.isascii() and error.msg.isprintable() else "malformed"
        where = f"line {error.lineno} column {error.colno}"
        return Fault("BadRequest", f"the body is not JSON: {what[:120]} at {where}")
    if type(document) is not dict:
        return Fault("BadRequest", "the body is not a JSON object")
    if BATCH not in document:
        return Batch((document,), single=True)
    values = document[BATCH]
    if len(document) > 1:
        other = next(name for name in document if name != BATCH)
        return Fault("BadRequest", f"beside {BATCH} there is {printable(other)}", f"/{BATCH}")
    if type(values) is not list or not values:
        return Fault("BadRequest", f"{BATCH} is not a list of at least one notification", f"/{BATCH}")
    if len(values) > most:
        text = f"the request has {counted(len(values), 'notification')}, the limit is {most}"
        return Fault("BatchTooLarge", text, f"/{BATCH}")
    return Batch(values, single=False)


def read_item(value: object) -> Item | Fault:
    """Read one notification; its push part is checked by acceptance."""
    if type(value) is not dict:
        return Fault("BadRequest", "a notification is a JSON object")
    headers: dict[bytes, bytes] = {}
    envelope: dict[str, Any] = {}
    for name, given in value.items():
        header = HEADERS.get(name)
        if header is not None:
            if type(given) is str and len(given) <= MAX_TEXT:
                headers[header] = given.encode("utf-8")
            elif type(given) is int and name in NUMBERS:
                headers[header] = b"%d" % given
            else:
                kind = "a number or a text" if name in NUMBERS else "a text"
                return Fault(
                    "BadRequest", f"{name} is not {kind} of at most {MAX_TEXT} characters", f"/{name}"
                )
        elif name in ENVELOPE:
            envelope[name] = given
        else:
            return _unknown(name)
    payload = _payload(envelope.get("payload"))
    if isinstance(payload, Fault):
        return payload
    to = _recipient(envelope)
    if isinstance(to, Fault):
        return to
    sender = _sender(envelope)
    if isinstance(sender, Fault):
        return sender
    context = envelope.get("context", _NO_CONTEXT)
    if context is not _NO_CONTEXT and not (
        type(context) is dict and all(type(text) is str for text in context.values())
    ):
        return Fault("BadRequest", "context is not an object of texts", "/context")
    return Item(
        to.address, to.domain, sender.address, to.dsn, sender.dsn, PushFields(headers, context), payload
    )


def _unknown(name: str) -> Fault:
    near = difflib.get_close_matches(name, MEMBERS, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(MEMBERS)}"
    return Fault("BadRequest", f"a notification has no member {printable(name)}; {hint}")


def _payload(given: object) -> bytes | Fault:
    if type(given) is dict:
        return orjson.dumps(given)
    if type(given) is str:
        return given.encode("utf-8")
    if given is None:
        return Fault("PayloadEmpty", "there is no payload", "/payload")
    return Fault("BadPayload", "the payload is neither a JSON object nor a text that holds one", "/payload")


def _recipient(envelope: Mapping[str, Any]) -> Rcpt | Fault:
    domain, recipient = envelope.get("domain"), envelope.get("recipient")
    if (domain is None) == (recipient is None):
        return Fault("BadRequest", "exactly one of domain and recipient is needed", "/domain")
    member, address = (
        ("domain", f"{DEFAULT_LOCAL_PART}@{domain}") if recipient is None else ("recipient", recipient)
    )
    if type(domain if recipient is None else recipient) is not str:
        return Fault("BadRequest", f"{member} is not a text", f"/{member}")
    parameters = _dsn(envelope, ("notify", "orcpt"))
    if isinstance(parameters, Fault):
        return parameters
    raw = address.encode("utf-8")
    if not parameters:
        plain = FAST_RCPT(b"RCPT TO:<" + raw + b">")
        known = plain_domain(plain[2]) if plain is not None else None
        if known is not None:
            return Rcpt(address, known)
    if not _is_word(address):
        return Fault("BadRecipient", f"{member} {printable(address)} cannot be read", f"/{member}")
    read = parse_rcpt(b"TO:<" + raw + b">" + parameters, smtputf8=True)
    if isinstance(read, Reply):
        return Fault(read.reason, read.text, f"/{member}" if not parameters else "/dsn")
    return read


def _sender(envelope: Mapping[str, Any]) -> Mail | Fault:
    sender = envelope.get("sender", "")
    if type(sender) is not str:
        return Fault("BadSender", "sender is not an address, or empty", "/sender")
    parameters = _dsn(envelope, ("ret", "envid"))
    if isinstance(parameters, Fault):
        return parameters
    raw = sender.encode("utf-8")
    if not parameters:
        if not sender:
            return _NULL_SENDER
        plain = FAST_MAIL(b"MAIL FROM:<" + raw + b">")
        if plain is not None and plain_domain(plain[2]) is not None:
            return Mail(sender)
    if sender and not _is_word(sender):
        return Fault("BadSender", "sender is not an address, or empty", "/sender")
    read = parse_mail(b"FROM:<" + raw + b"> SMTPUTF8" + parameters)
    if isinstance(read, Reply):
        return Fault(read.reason, read.text, "/sender" if not parameters else "/dsn")
    return read


def _dsn(envelope: Mapping[str, Any], names: Sequence[str]) -> bytes | Fault:
    """Parameters of MAIL or RCPT, each after a blank."""
    given = envelope.get("dsn")
    if given is None:
        return b""
    if type(given) is not dict or not DSN.keys() >= given.keys():
        return Fault("BadRequest", f"dsn is not an object with some of {', '.join(DSN)}", "/dsn")
    found = b""
    for name in names:
        value = given.get(name)
        if value is None:
            continue
        if type(value) is not str or not _is_word(value):
            return Fault("BadParameter", f"dsn.{name} cannot be read", f"/dsn/{name}")
        found += f" {DSN[name]}={value}".encode()
    return found


def _is_word(text: str) -> bool:
    """Whether it stands in a command of SMTP as one word: nothing in it begins another."""
    return 0 < len(text) <= MAX_TEXT and text.isprintable() and not any(char in ' <>"' for char in text)


_NULL_SENDER: Final = Mail("")
_NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})
