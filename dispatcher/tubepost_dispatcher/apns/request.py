"""One notification on its way to APNs: what the pool needs to know of it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tubepost_dispatcher.outcome import Outcome

OwnerT_co = TypeVar("OwnerT_co", covariant=True)


class ApnsRequest(Generic[OwnerT_co]):
    """A notification to hand to a pool.

    Header values are checked before they come here (`mcmt`): they hold no byte that could not stand in an
    HTTP/2 field. `expiration` is unix seconds, 0 for "try once". `response_timeout` is in seconds, from
    sending to answer. `give_up_at` is a `time.monotonic()` value: what has not been sent by then comes back
    as a transient outcome. `source` tells apart who sent notifications in, for the environment breaker (one
    list of old tokens must not hold a route for others); its bytes are only compared. `on_outcome` is called
    exactly once for every submitted request, on the event loop, never from inside `submit`. `owner` belongs
    to the caller: to pools every request is an `ApnsRequest[object]`. The remaining slots are the pool's own
    book-keeping.
    """

    __slots__ = (
        "apns_id",
        "channel_id",
        "collapse_id",
        "expiration",
        "give_up_at",
        "header_size",
        "moves",
        "on_outcome",
        "owner",
        "payload",
        "peer",
        "priority",
        "push_type",
        "queue",
        "response_timeout",
        "sent_at",
        "source",
        "token",
        "topic",
    )

    def __init__(
        self,
        *,
        token: bytes,
        payload: bytes,
        apns_id: bytes,
        topic: bytes,
        push_type: bytes,
        priority: int,
        expiration: int,
        collapse_id: bytes,
        response_timeout: float,
        give_up_at: float,
        on_outcome: Callable[[ApnsRequest[OwnerT_co], Outcome], None],
        owner: OwnerT_co,
        source: bytes = b"",
        channel_id: bytes = b"",
    ) -> None:
        self.token = token
        """Lower-case hex digits, empty for a broadcast."""
        self.channel_id = channel_id
        """Base64: a broadcast to this channel; empty: to the device of `token`."""
        self.payload = payload
        self.apns_id = apns_id
        """Lower-case UUID; the same one for every repetition. A broadcast's `apns-request-id`."""
        self.topic = topic
        """Never empty: resolved from part, route or certificate. The app's bundle id for a broadcast."""
        self.push_type = push_type
        self.priority = priority
        self.expiration = expiration
        self.collapse_id = collapse_id
        """Empty: none."""
        self.response_timeout = response_timeout
        self.give_up_at = give_up_at
        self.on_outcome = on_outcome
        self.owner = owner
        self.source = source
        self.queue: object = None
        """The queue in which it waits, None elsewhere. Which one it is matters, not what it can do."""
        self.sent_at = 0.0
        """When it was last put on a connection; monotonic seconds."""
        self.header_size = 0
        """Bytes of its header block, encoded, where it was put last; 0: it was not sent."""
        self.peer = ""
        """IP address of the server (or proxy) that it was last put on a connection to."""
        self.moves = 0
        """How often it was taken off a connection because the server had not seen it."""

    def __copy__(self) -> ApnsRequest[OwnerT_co]:
        """The same request, its book-keeping included, but for the queue: the copy waits in none."""
        made = ApnsRequest(
            token=self.token, payload=self.payload, apns_id=self.apns_id, topic=self.topic,
            push_type=self.push_type, priority=self.priority, expiration=self.expiration,
            collapse_id=self.collapse_id, response_timeout=self.response_timeout, give_up_at=self.give_up_at,
            on_outcome=self.on_outcome, owner=self.owner, source=self.source, channel_id=self.channel_id,
        )  # fmt: skip
        made.sent_at, made.moves = self.sent_at, self.moves
        made.header_size, made.peer = self.header_size, self.peer
        return made

    @property
    def sent_bytes(self) -> int:
        """Bytes of header block and payload as they were sent last; 0: it was not sent."""
        return self.header_size + len(self.payload) if self.header_size else 0

    def unsend(self) -> None:
        """Forget where it was sent: another attempt begins."""
        self.header_size, self.peer = 0, ""
