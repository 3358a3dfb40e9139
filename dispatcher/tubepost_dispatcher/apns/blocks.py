"""Header blocks of notification requests.

Sources: Apple, "Sending notification requests to APNs" and "Sending broadcast push notification requests to
APNs".
"""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.apns.http2.hpackenc import field, path_field, request_prefix
from tubepost_dispatcher.apns.request import ApnsRequest

CACHE_SIZE = 4096
"""Combinations of topic, push type, priority and expiration that are kept encoded."""

_DEVICE: Final = b"/3/device/"
_ID_SIZE: Final = 36
"""Octets of a UUID."""
_ID: Final = field(b"apns-id", b"0" * _ID_SIZE)[:-_ID_SIZE]
"""What stands before one."""


class BlockBuilder:
    """Encodes requests for one endpoint. Blocks refer to no dynamic table: any connection can take them."""

    __slots__ = ("_authorization", "_bearer", "_cache", "_prefix", "_starts")

    def __init__(self, host: str, port: int) -> None:
        name = f"[{host}]" if ":" in host else host
        authority = name if port == 443 else f"{name}:{port}"
        self._prefix = request_prefix(authority.encode("ascii"))
        self._starts: dict[int, bytes] = {}
        """What stands before a device token, by its length; callers have a limit on that."""
        self._cache: dict[tuple[bytes, bytes, int, int], bytes] = {}
        self._bearer = b""
        self._authorization = b""

    def authorize(self, bearer: bytes) -> None:
        """Use this value of the `authorization` header from now on; empty for none."""
        if bearer is not self._bearer:
            self._bearer = bearer
            # Never indexed: no intermediary may keep it in its table.
            self._authorization = field(b"authorization", bearer, never_indexed=True) if bearer else b""

    def block(self, request: ApnsRequest[object]) -> bytes:
        """Encode the header block of a request.

        Raises:
            ValueError: a value that is not allowed in a header field. Callers check that beforehand.
        """
        if request.channel_id:
            return self._broadcast(request)
        key = (request.topic, request.push_type, request.priority, request.expiration)
        common = self._cache.get(key)
        if common is None:
            common = self._remember(key)
        token, apns_id = request.token, request.apns_id
        start = self._starts.get(len(token))
        # What is made of letters and digits alone may stand in any field: to ask that costs a tenth of the
        # general check.
        if start is None or not token.isalnum():
            start = self._remember_start(token)
        if len(apns_id) == _ID_SIZE and apns_id.replace(b"-", b"").isalnum():
            block = b"".join((start, token, self._authorization, common, _ID, apns_id))
        else:
            block = b"".join((start, token, self._authorization, common, field(b"apns-id", apns_id)))
        if request.collapse_id:
            block += field(b"apns-collapse-id", request.collapse_id)
        return block

    def _broadcast(self, request: ApnsRequest[object]) -> bytes:
        """The same for a channel: the app is in the path, and there is no topic and no collapse id."""
        return (
            self._prefix
            + path_field(b"/4/broadcasts/apps/" + request.topic)
            + self._authorization
            + field(b"apns-channel-id", request.channel_id)
            + field(b"apns-push-type", request.push_type)
            + field(b"apns-priority", b"%d" % request.priority)
            + field(b"apns-expiration", b"%d" % request.expiration)
            + field(b"apns-request-id", request.apns_id)
        )

    def _remember_start(self, token: bytes) -> bytes:
        start = self._prefix + path_field(_DEVICE + token)[: -len(token) or None]
        self._starts[len(token)] = start
        return start

    def _remember(self, key: tuple[bytes, bytes, int, int]) -> bytes:
        topic, push_type, priority, expiration = key
        common = (
            field(b"apns-topic", topic)
            + field(b"apns-push-type", push_type)
            + field(b"apns-priority", b"%d" % priority)
            + field(b"apns-expiration", b"%d" % expiration)
        )
        if len(self._cache) >= CACHE_SIZE:
            # Expirations move with the clock: old entries are not used again.
            self._cache.clear()
        self._cache[key] = common
        return common
