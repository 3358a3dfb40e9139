"""A request while it comes in, and what is refused as soon as its head is complete."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from tubepost_dispatcher.http import idempotency
from tubepost_dispatcher.http.config import EffectiveRest
from tubepost_dispatcher.http.listener import RestState
from tubepost_dispatcher.http.problems import JSON, RETRY_AFTER, Fault
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import DomainT

_LOG = logging.getLogger("tubepost.rest")

PATH: Final = b"/v1/notifications"
DESCRIPTION: Final = b"/v1/openapi.json"
MAX_HEAD: Final = 16_384
"""Octets of target and header fields of one request."""
MAX_FIELDS: Final = 100

_KEPT: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"upgrade",
    }
)
_USUAL: Final = {spelled: name for name in _KEPT for spelled in (name, name.title())}


class Known(NamedTuple):
    """Whose an `Authorization` was, as a connection remembers it: clients send the same one each time."""

    config: object
    header: bytes
    client: str


class Incoming:
    """A request while it comes in, and while it waits for its turn."""

    __slots__ = ("_octets", "body", "client", "fault", "fields", "keep", "parts", "path", "retry_after")

    def __init__(self) -> None:
        self.path = b""
        self.fields: dict[bytes, bytes] = {}
        """Those that matter, by their lower-case names."""
        self.parts = 0
        self.body = bytearray()
        self.keep = False
        """The connection goes on after it."""
        self.client = ""
        self.fault: Fault | None = None
        """Why it is refused, known before its end."""
        self.retry_after = RETRY_AFTER
        self._octets = 0

    def add_target(self, piece: bytes) -> None:
        """A piece of its target."""
        self._octets += len(piece)
        if self._octets > MAX_HEAD:
            self.fault = Fault("HeadTooLarge")
        else:
            self.path += piece

    def add_field(self, name: bytes, value: bytes) -> None:
        """One of its header fields."""
        self.parts += 1
        self._octets += len(name) + len(value)
        if self._octets > MAX_HEAD or self.parts > MAX_FIELDS:
            self.fault = Fault("HeadTooLarge")
            return
        known = _USUAL.get(name) or name.lower()
        if known in _KEPT:
            if known in self.fields:
                self.fault = Fault("BadRequest", f"there are two fields {printable(name)}")
            self.fields[known] = value

    @property
    def expects_continue(self) -> bool:
        """Whether its body comes only when it is asked for (RFC 9110, 10.1.1)."""
        return self.fields.get(b"expect", b"").lower() == b"100-continue"


def check_head(
    request: Incoming,
    method: bytes,
    version: str,
    address: str,
    state: RestState[DomainT],
    known: Known | None,
    now: float,
) -> Fault | None:
    """What keeps a request from being taken whatever its body is; sets who sends it.

    Args:
        request: with its whole head.
        method: its method.
        version: of HTTP, `1.1` or `1.0`.
        address: of its client.
        state: the listener.
        known: who sent the request before this one.
        now: monotonic seconds.
    """
    config = state.config
    path = request.path = request.path.partition(b"?")[0]
    if config is None:
        return Fault("ServiceClosing")
    if b"host" not in request.fields and version != "1.0":
        return Fault("BadRequest", "there is no Host (RFC 9112, 3.2)")
    if b"upgrade" in request.fields:
        # The parser does not read what follows such a head.
        return Fault("BadRequest", "no other protocol is spoken here: leave Upgrade out")
    if not config.allows(address):
        return Fault("ClientNotAllowed")
    if path == DESCRIPTION:
        return None if method == b"GET" else Fault("MethodRefused")
    if path != PATH:
        return Fault("NoSuchPath")
    if method != b"POST":
        return Fault("MethodRefused")
    given = request.fields.get(b"authorization", b"")
    if known is not None and known.config is config and known.header == given:
        request.client = known.client
    elif (refused := _authenticate(request, given, address, state, config, now)) is not None:
        return refused
    if state.refusing:
        return Fault(state.refusing)
    fields = request.fields
    kind = fields.get(b"content-type", JSON)
    if kind != JSON and kind.partition(b";")[0].strip().lower() != JSON:
        return Fault("NotJson")
    if fields.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        return Fault("NotJson")
    if len(fields.get(b"idempotency-key", b"")) > idempotency.MAX_KEY:
        return Fault("BadRequest", f"Idempotency-Key has more than {idempotency.MAX_KEY} characters")
    declared = fields.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > config.max_body:
        return too_large(config)
    return None


def too_large(config: EffectiveRest[DomainT]) -> Fault:
    """The fault of a body that is."""
    return Fault("RequestTooLarge", f"the body is larger than {config.max_body} bytes")


def _authenticate(
    request: Incoming,
    given: bytes,
    address: str,
    state: RestState[DomainT],
    config: EffectiveRest[DomainT],
    now: float,
) -> Fault | None:
    client, digest = config.client(given)
    wait = state.throttle.wait(address, digest, now)
    if wait > 0:
        request.retry_after = int(wait) + 1
        return Fault("AuthThrottled")
    if client is not None:
        state.throttle.succeeded(address, digest)
        request.client = client
        return None
    if given:
        state.throttle.failed(address, digest, now)
        _LOG.warning("requests: a bearer token that is not known, from %s", address)
    return Fault("Unauthorized")
