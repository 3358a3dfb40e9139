"""From a delivery to the request that its pool is given."""

from __future__ import annotations

from collections.abc import Callable

from tubepost_dispatcher.apns.request import ApnsRequest
from tubepost_dispatcher.delivery.listeners import Delivery
from tubepost_dispatcher.networks import network_of
from tubepost_dispatcher.outcome import Outcome


def prepared_request(
    delivery: Delivery, on_outcome: Callable[[ApnsRequest[Delivery], Outcome], None]
) -> ApnsRequest[Delivery]:
    """The request of a delivery for the attempt to come, with the header values that were resolved for it."""
    headers, notification, push = delivery.headers, delivery.notification, delivery.push
    assert headers is not None
    timeout = delivery.domain.options.response_timeout
    request = delivery.request
    if request is None:
        source = notification.user or network_of(notification.client_address)
        request = delivery.request = ApnsRequest(
            token=push.token,
            payload=push.payload,
            apns_id=notification.apns_id,
            topic=headers.topic,
            push_type=headers.push_type,
            priority=headers.priority,
            expiration=headers.expiration,
            collapse_id=headers.collapse_id,
            response_timeout=timeout,
            give_up_at=delivery.end_at,
            on_outcome=on_outcome,
            owner=delivery,
            source=source.encode("utf-8", "replace"),
            channel_id=push.channel_id or b"",
        )
    else:
        request.topic = headers.topic
        request.push_type = headers.push_type
        request.priority = headers.priority
        request.collapse_id = headers.collapse_id
        request.response_timeout = timeout
    return request
