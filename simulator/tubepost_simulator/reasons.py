"""Every reason that APNs answers with, as data.

Source: Apple, "Handling notification responses from APNs", tables "HTTP status codes" and "Response error
strings". The text of a reason in Apple's table is about the request; `help` here says what the simulator
found.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class ReasonInfo(NamedTuple):
    """What a reason answers with: HTTP status, and a sentence for the reference."""

    status: int
    help: str


class Reason(enum.StrEnum):
    """APNs' reasons, spelled as on the wire."""

    # ruff: noqa: S105 - names of reasons, no passwords

    BAD_COLLAPSE_ID = "BadCollapseId"
    BAD_DEVICE_TOKEN = "BadDeviceToken"
    BAD_EXPIRATION_DATE = "BadExpirationDate"
    BAD_MESSAGE_ID = "BadMessageId"
    BAD_PRIORITY = "BadPriority"
    BAD_TOPIC = "BadTopic"
    DEVICE_TOKEN_NOT_FOR_TOPIC = "DeviceTokenNotForTopic"
    DUPLICATE_HEADERS = "DuplicateHeaders"
    IDLE_TIMEOUT = "IdleTimeout"
    BAD_CHANNEL_ID = "BadChannelId"
    CANNOT_CREATE_CHANNEL_CONFIG = "CannotCreateChannelConfig"
    CHANNEL_NOT_REGISTERED = "ChannelNotRegistered"
    FEATURE_NOT_ENABLED = "FeatureNotEnabled"
    MISSING_CHANNEL_ID = "MissingChannelId"
    MISSING_PUSH_TYPE = "MissingPushType"
    INVALID_PUSH_TYPE = "InvalidPushType"
    MISSING_DEVICE_TOKEN = "MissingDeviceToken"
    MISSING_TOPIC = "MissingTopic"
    PAYLOAD_EMPTY = "PayloadEmpty"
    TOPIC_DISALLOWED = "TopicDisallowed"
    BAD_CERTIFICATE = "BadCertificate"
    BAD_CERTIFICATE_ENVIRONMENT = "BadCertificateEnvironment"
    BAD_ENVIRONMENT_KEY_IN_TOKEN = "BadEnvironmentKeyInToken"
    EXPIRED_PROVIDER_TOKEN = "ExpiredProviderToken"
    FORBIDDEN = "Forbidden"
    INVALID_PROVIDER_TOKEN = "InvalidProviderToken"
    MISSING_PROVIDER_TOKEN = "MissingProviderToken"
    UNRELATED_KEY_ID_IN_TOKEN = "UnrelatedKeyIdInToken"
    BAD_PATH = "BadPath"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    EXPIRED_TOKEN = "ExpiredToken"
    UNREGISTERED = "Unregistered"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    TOO_MANY_PROVIDER_TOKEN_UPDATES = "TooManyProviderTokenUpdates"
    TOO_MANY_REQUESTS = "TooManyRequests"
    INTERNAL_SERVER_ERROR = "InternalServerError"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    SHUTDOWN = "Shutdown"

    @property
    def status(self) -> int:
        """The HTTP status that this reason comes with."""
        return REASONS[self].status


REASONS: dict[Reason, ReasonInfo] = {
    Reason.BAD_COLLAPSE_ID: ReasonInfo(400, "`apns-collapse-id` is empty or longer than 64 bytes."),
    Reason.BAD_DEVICE_TOKEN: ReasonInfo(
        400, "The device token is not hexadecimal, not of the required length, or of the other environment."
    ),
    Reason.BAD_EXPIRATION_DATE: ReasonInfo(400, "`apns-expiration` is not a number of unix seconds."),
    Reason.BAD_MESSAGE_ID: ReasonInfo(400, "`apns-id` is not a UUID of 8-4-4-4-12 hexadecimal digits."),
    Reason.BAD_PRIORITY: ReasonInfo(
        400, "`apns-priority` is not 10, 5 or 1; or a background push does not have 5."
    ),
    Reason.BAD_TOPIC: ReasonInfo(400, "`apns-topic` cannot be a topic: letters, digits, `-` and `.` only."),
    Reason.DEVICE_TOKEN_NOT_FOR_TOPIC: ReasonInfo(400, "The device is registered for another topic."),
    Reason.DUPLICATE_HEADERS: ReasonInfo(400, "A header field occurs twice."),
    Reason.IDLE_TIMEOUT: ReasonInfo(
        400, "Comes in a GOAWAY when the connection was idle; as an answer only by magic token or switch."
    ),
    Reason.BAD_CHANNEL_ID: ReasonInfo(400, "`apns-channel-id` is not base64."),
    Reason.CANNOT_CREATE_CHANNEL_CONFIG: ReasonInfo(400, "The app has 10,000 channels already."),
    Reason.CHANNEL_NOT_REGISTERED: ReasonInfo(400, "The app has no such channel."),
    Reason.FEATURE_NOT_ENABLED: ReasonInfo(400, "Only by switch."),
    Reason.MISSING_CHANNEL_ID: ReasonInfo(400, "No `apns-channel-id`."),
    Reason.MISSING_PUSH_TYPE: ReasonInfo(
        400, "No `apns-push-type` of a broadcast, or `push-type` of a channel."
    ),
    Reason.INVALID_PUSH_TYPE: ReasonInfo(
        400, "The push type is not one of Apple's, or not one for channels."
    ),
    Reason.MISSING_DEVICE_TOKEN: ReasonInfo(400, "The path ends where the device token should stand."),
    Reason.MISSING_TOPIC: ReasonInfo(
        400, "No `apns-topic`, and the credential does not stand for exactly one topic."
    ),
    Reason.PAYLOAD_EMPTY: ReasonInfo(400, "No payload, or what was sent holds no JSON dictionary."),
    Reason.TOPIC_DISALLOWED: ReasonInfo(
        400, "The credential does not cover the topic, or its suffix does not fit the push type."
    ),
    Reason.BAD_CERTIFICATE: ReasonInfo(403, "The client certificate names no topic."),
    Reason.BAD_CERTIFICATE_ENVIRONMENT: ReasonInfo(
        403, "The client certificate is for the other environment only."
    ),
    Reason.BAD_ENVIRONMENT_KEY_IN_TOKEN: ReasonInfo(
        403, "The key of the provider token is for the other environment only."
    ),
    Reason.EXPIRED_PROVIDER_TOKEN: ReasonInfo(
        403, "`iat` of the provider token is more than an hour old, or in the future."
    ),
    Reason.FORBIDDEN: ReasonInfo(403, "Only by magic token or switch."),
    Reason.INVALID_PROVIDER_TOKEN: ReasonInfo(
        403, "The provider token cannot be read, its key or team is unknown, or its signature is wrong."
    ),
    Reason.MISSING_PROVIDER_TOKEN: ReasonInfo(
        403, "Neither a client certificate nor `authorization: bearer ...`."
    ),
    Reason.UNRELATED_KEY_ID_IN_TOKEN: ReasonInfo(
        403, "The connection's first push came with a token of another key or team."
    ),
    Reason.BAD_PATH: ReasonInfo(404, "The path is none of those that APNs has."),
    Reason.METHOD_NOT_ALLOWED: ReasonInfo(405, "The method is not POST."),
    Reason.EXPIRED_TOKEN: ReasonInfo(410, "The device is registered as expired. With `timestamp`."),
    Reason.UNREGISTERED: ReasonInfo(410, "The device is registered as gone. With `timestamp`."),
    Reason.PAYLOAD_TOO_LARGE: ReasonInfo(413, "More than 4,096 bytes (VoIP and broadcasts: 5,120)."),
    Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES: ReasonInfo(
        429, "A second provider token on this connection whose `iat` is less than 20 minutes newer."
    ),
    Reason.TOO_MANY_REQUESTS: ReasonInfo(429, "Only by magic token or switch."),
    Reason.INTERNAL_SERVER_ERROR: ReasonInfo(500, "Only by magic token or switch."),
    Reason.SERVICE_UNAVAILABLE: ReasonInfo(503, "Only by magic token or switch."),
    Reason.SHUTDOWN: ReasonInfo(503, "Comes in a GOAWAY; as an answer only by magic token or switch."),
}
"""Total over `Reason`."""

ABOUT_CHANNELS = frozenset(
    {
        Reason.BAD_CHANNEL_ID,
        Reason.CANNOT_CREATE_CHANNEL_CONFIG,
        Reason.CHANNEL_NOT_REGISTERED,
        Reason.FEATURE_NOT_ENABLED,
        Reason.MISSING_CHANNEL_ID,
        Reason.MISSING_PUSH_TYPE,
    }
)
"""Reasons that a push to a device never gets."""
