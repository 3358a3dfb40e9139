"""APNs' own reasons ("Handling notification responses from APNs"). Data."""

from __future__ import annotations

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import Action, ReasonSpec

_T, _P = OutcomeKind.TRANSIENT, OutcomeKind.PERMANENT

DELIVERED = ReasonSpec("", OutcomeKind.DELIVERED, 250, "2.0.0", "APNs took it.", legacy_code=0, status=200)


def _refused(
    reason: str, enhanced: str, legacy_code: int, help_: str, remedy: str, status: int = 400
) -> ReasonSpec:
    return ReasonSpec(reason, _P, 550, enhanced, help_, remedy, legacy_code, status=status)


def _mismatch(reason: str, help_: str, remedy: str) -> ReasonSpec:
    return ReasonSpec(reason, _P, 550, "5.1.1", help_, remedy, 8, status=400, action=Action.COUNT_MISMATCH)


def _configuration(reason: str, help_: str, remedy: str) -> ReasonSpec:
    return ReasonSpec(reason, _T, 451, "4.3.5", help_, remedy, 1, status=403, action=Action.HOLD_ROUTE)


def _transient(
    status: int,
    reason: str,
    enhanced: str,
    action: Action,
    help_: str,
    remedy: str = "",
    legacy_code: int = 1,
) -> ReasonSpec:
    return ReasonSpec(reason, _T, 451, enhanced, help_, remedy, legacy_code, status=status, action=action)


_DROP = "Remove the token from the list of devices."
_OURS = "Report it with the message id."

# Momentum has no code for "the request is at fault in another way". 4 is permanent like these, and unlike 5
# and 8 it does not make a script that reads the log drop the device token.
APNS_REASONS: tuple[ReasonSpec, ...] = (
    _refused(
        "BadCollapseId",
        "5.6.0",
        4,
        "The collapse id is longer than 64 bytes.",
        "Shorten apns-collapse-id; it takes printable ASCII.",
    ),
    _refused(
        "BadExpirationDate",
        "5.6.0",
        4,
        "The expiration is not unix seconds.",
        "Give apns-expiration in seconds since 1970, or 0 for one try.",
    ),
    _refused(
        "BadMessageId",
        "5.6.0",
        4,
        "The apns-id is not a UUID.",
        "Leave apns-id out, or send a UUID (8-4-4-4-12).",
    ),
    _refused(
        "BadPriority",
        "5.6.0",
        4,
        "The priority does not exist, or not for this push type.",
        "Use 10, 5 or 1 as the push type allows.",
    ),
    _refused(
        "BadTopic",
        "5.6.0",
        6,
        "The topic is not a bundle identifier.",
        "Correct apns-topic or the route's topic.",
    ),
    _refused("DuplicateHeaders", "5.6.0", 4, "A header came twice.", "Send each header once."),
    _refused(
        "InvalidPushType",
        "5.6.0",
        4,
        "The push type does not exist.",
        "Use a push type that Apple documents.",
    ),
    _refused(
        "MissingDeviceToken",
        "5.1.1",
        2,
        "There is no device token.",
        "Give X-Device-Token, the context variable DLV_Dest_ID, or a recipient that is the token.",
    ),
    _refused(
        "MissingTopic",
        "5.6.0",
        3,
        "There is no topic, and the credential does not imply one.",
        "Set spec.topic on the ApnRoute, or apns-topic in the part.",
    ),
    _refused("PayloadEmpty", "5.6.0", 4, "The payload is empty.", "Put one JSON object into the push part."),
    _refused(
        "TopicDisallowed",
        "5.7.1",
        6,
        "Pushing to this topic is not allowed with this credential.",
        "Use a certificate or key that covers the topic, or correct the topic.",
    ),
    _mismatch(
        "BadDeviceToken",
        "The device token is malformed, or does not exist in this environment.",
        "Check that the token is hex and that the route's environment is the one it was made for.",
    ),
    _mismatch(
        "DeviceTokenNotForTopic",
        "The token belongs to another topic.",
        "Send it with the topic of the app that registered it.",
    ),
    _refused(
        "BadChannelId",
        "5.1.1",
        4,
        "The channel id is not base64, or stands beside a device token.",
        "Send apns-channel-id as it came when the channel was made, and no X-Device-Token.",
    ),
    _refused(
        "ChannelNotRegistered",
        "5.1.1",
        4,
        "There is no such channel for this app in this environment.",
        "Make the channel (`tubepost channels create`), or stop sending to it.",
    ),
    _refused("MissingChannelId", "5.1.1", 2, "There is no channel id.", "Give apns-channel-id."),
    _refused("MissingPushType", "5.6.0", 4, "There is no push type: a fault of Tubepost.", _OURS),
    _refused(
        "FeatureNotEnabled",
        "5.7.1",
        6,
        "The app has no broadcast capability.",
        "Enable Broadcast for the app's identifier in Apple's developer account.",
    ),
    _refused(
        "CannotCreateChannelConfig",
        "5.2.2",
        4,
        "The app has as many channels as Apple allows (10,000 for each environment).",
        "Delete channels that are not used any more (`tubepost channels delete`).",
    ),
    _transient(400, "IdleTimeout", "4.4.2", Action.RECONNECT, "APNs closed the connection as idle."),
    _configuration(
        "BadCertificate",
        "The client certificate is not accepted.",
        "Renew the certificate in the route's Secret.",
    ),
    _configuration(
        "BadCertificateEnvironment",
        "The client certificate belongs to the other environment.",
        "Set the route's environment to the certificate's.",
    ),
    _configuration(
        "Forbidden",
        "The request is not allowed with this credential.",
        "Check what the certificate or key may do in Apple's developer account.",
    ),
    _configuration(
        "InvalidProviderToken",
        "The provider token is not valid: wrong key, key id or team id.",
        "Check key, keyId and teamId in the route's Secret.",
    ),
    _configuration(
        "MissingProviderToken",
        "No certificate was presented and no provider token sent.",
        "Give the route a certificate or a token credential.",
    ),
    _configuration(
        "BadEnvironmentKeyIdInToken",
        "The key belongs to the other environment.",
        "Set the route's environment to the key's.",
    ),
    _configuration(
        "BadEnvironmentKeyInToken",
        "The same, as APNs spells it on the wire.",
        "Set the route's environment to the key's.",
    ),
    _transient(
        403,
        "ExpiredProviderToken",
        "4.7.0",
        Action.NEW_TOKEN,
        "The provider token is older than an hour by APNs' clock.",
        "Check this machine's clock.",
    ),
    _transient(
        403,
        "UnrelatedKeyIdInToken",
        "4.7.0",
        Action.RECONNECT,
        "The connection was bound to another key by its first push.",
    ),
    _refused("BadPath", "5.3.0", 4, "The path is wrong: a fault of Tubepost.", _OURS, 404),
    _refused("MethodNotAllowed", "5.3.0", 4, "The method is wrong: a fault of Tubepost.", _OURS, 405),
    _refused("Unregistered", "5.1.6", 8, "The device token is no longer in use.", _DROP, 410),
    _refused("ExpiredToken", "5.1.6", 8, "The device token has expired.", _DROP, 410),
    ReasonSpec(
        "PayloadTooLarge",
        _P,
        552,
        "5.3.4",
        "The payload is larger than APNs takes for the push type.",
        "Shorten the payload to 4,096 bytes, 5,120 for voip and for a channel.",
        7,
        status=413,
    ),
    _transient(
        429,
        "TooManyRequests",
        "4.2.1",
        Action.BACK_OFF,
        "Too many notifications for this one device.",
        "Send less to this device; a collapse id replaces what waits.",
    ),
    _transient(
        429,
        "TooManyProviderTokenUpdates",
        "4.7.0",
        Action.KEEP_TOKEN,
        "The provider token changed more than once in 20 minutes.",
        "Let nobody else use the key with tokens of another age.",
    ),
    _transient(500, "InternalServerError", "4.3.0", Action.BACK_OFF, "A fault of APNs."),
    _transient(503, "ServiceUnavailable", "4.3.2", Action.BACK_OFF, "APNs is not available."),
    _transient(
        503, "Shutdown", "4.3.2", Action.RECONNECT, "This APNs server is shutting down.", legacy_code=10
    ),
)
"""APNs' own reasons. Where Tubepost finds the same fault before APNs sees it, it uses the same word."""
