"""What APNs answers to a request: one pure function, without sockets, clocks or switches.

Apple documents the reasons, not the order in which they are looked for ("Sending notification requests to
APNs", "Handling notification responses from APNs"). Here a request with several faults gets the first of:

1. method (MethodNotAllowed), path (BadPath);
2. repeated fields (DuplicateHeaders), `apns-id` (BadMessageId), since the answer repeats it;
3. who sends: certificate (BadCertificate, BadCertificateEnvironment), or provider token
   (MissingProviderToken, InvalidProviderToken, BadEnvironmentKeyInToken, ExpiredProviderToken,
   UnrelatedKeyIdInToken, TooManyProviderTokenUpdates);
4. `apns-push-type`, `apns-expiration`, `apns-priority`, `apns-collapse-id`;
5. the topic (MissingTopic, BadTopic, TopicDisallowed);
6. the device token (MissingDeviceToken, BadDeviceToken, DeviceTokenNotForTopic, Unregistered,
   ExpiredToken);
7. the payload (PayloadTooLarge, PayloadEmpty);
8. magic device tokens.

On a connection with a client certificate, `authorization` is not looked at. Broadcasts
(`/4/broadcasts/apps/BUNDLE`) and the management of channels (`/1/apps/BUNDLE/channels`,
`/1/apps/BUNDLE/all-channels`, which Apple serves on ports of their own) have these checks:

1. path and method; repeated fields; `apns-request-id` (BadMessageId); who sends, as above; whether the
   credential covers the app (TopicDisallowed);
2. the channel (MissingChannelId, BadChannelId), but for a new one and for the list of all;
3. of a broadcast `apns-push-type` (MissingPushType, InvalidPushType), `apns-expiration`, which must be there,
   and `apns-priority`; the payload, of at most 5,120 bytes;
4. of a new channel `push-type` and `message-storage-policy` in the body, and whether there is room for it
   (CannotCreateChannelConfig);
5. whether the channel is this app's (ChannelNotRegistered).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from tubepost_runtime.words import counted
from tubepost_simulator import broadcast, magic
from tubepost_simulator.channels import ChannelStore
from tubepost_simulator.exchange import ConnectionAuth, Reply, Request
from tubepost_simulator.identity import ClientCertificate
from tubepost_simulator.provider_tokens import TokenVerifier
from tubepost_simulator.reasons import Reason
from tubepost_simulator.settings import Device, Environment, SimulatorSettings


class PushType(NamedTuple):
    """What a push type demands: the topic's suffix, the payload's limit in bytes, token authentication."""

    suffix: str
    max_payload: int = 4_096
    token_only: bool = False


PUSH_TYPES: dict[str, PushType] = {
    "alert": PushType(""),
    "background": PushType(""),
    "complication": PushType(".complication"),
    "controls": PushType(".push-type.controls"),
    "fileprovider": PushType(".pushkit.fileprovider"),
    "liveactivity": PushType(".push-type.liveactivity", token_only=True),
    "location": PushType(".location-query", token_only=True),
    "mdm": PushType(""),
    "pushtotalk": PushType(".voip-ptt"),
    "voip": PushType(".voip", max_payload=5_120),
    "widgets": PushType(".push-type.widgets"),
}
"""Apple, "Sending notification requests to APNs", table of `apns-push-type`."""

_SUFFIXES = {spec.suffix: name for name, spec in PUSH_TYPES.items() if spec.suffix}
_PATH = "/3/device"
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_TOPIC = re.compile(r"[A-Za-z0-9.-]{1,255}")
_HEX = re.compile(r"[0-9a-f]{1,400}")
_EXPIRATION = re.compile(r"[0-9]{1,18}")
_PRIORITIES = {"10": 10, "5": 5, "1": 1}
_MAX_COLLAPSE_ID = 64
_DAY_MS = 86_400_000


class Policy:
    """The rules that one simulator judges by. What changes in it: caches, known devices and channels."""

    def __init__(self, settings: SimulatorSettings) -> None:
        """Take the rules from `settings`.

        Raises:
            ValueError: a token key cannot be read.
        """
        self.environment: Environment = settings.environment
        self.devices: Mapping[str, Device] = settings.devices
        self.channels = ChannelStore(settings.max_channels)
        self._verifier = TokenVerifier(settings.token_keys, verify=settings.verify_tokens)
        self._lifetime = settings.token_lifetime
        self._update_interval = settings.token_update_interval
        self._accept_unknown = settings.accept_unknown_devices
        self._token_digits = settings.token_digits
        self._check_payload = settings.check_payload

    def validate(
        self, request: Request, certificate: ClientCertificate | None, state: ConnectionAuth, now: float
    ) -> Reply:
        """Judge one request; `now` is in unix seconds. Never raises, whatever the request holds."""
        reply = Reply(state)
        fields = request.fields
        if broadcast.is_about_channels(request.path):
            return self._validate_channel(reply, request, certificate, now)
        apns_id = fields.get("apns-id", "")
        good_id = bool(_UUID.fullmatch(apns_id))
        reply.apns_id = apns_id if good_id else str(uuid.uuid4())
        if request.method != "POST":
            return reply.refuse(Reason.METHOD_NOT_ALLOWED, f"{request.method} where POST is needed")
        path = request.path
        if path != _PATH and not path.startswith(_PATH + "/"):
            return reply.refuse(Reason.BAD_PATH, "the path is not /3/device/TOKEN")
        reply.token = path[len(_PATH) + 1 :].lower()
        if request.repeated:
            return reply.refuse(Reason.DUPLICATE_HEADERS, f"{request.repeated} occurs more than once")
        if "apns-id" in fields and not good_id:
            return reply.refuse(Reason.BAD_MESSAGE_ID, "apns-id is not a UUID of 8-4-4-4-12 digits")
        if certificate is None:
            refused = self._check_token(reply, fields, now)
        else:
            refused = self._check_certificate(reply, certificate)
        if (
            refused
            or _check_headers(reply, fields)
            or _check_topic(reply, fields, certificate)
            or self._check_device(reply, now)
            or self._check_body(reply, request)
        ):
            return reply
        found = magic.lookup(reply.token)
        if isinstance(found, Reason):
            if found.status == 410:
                reply.timestamp = int(now * 1000) - _DAY_MS
            return reply.refuse(found, "magic device token")
        reply.behaviour = found
        return reply

    def _validate_channel(
        self, reply: Reply, request: Request, certificate: ClientCertificate | None, now: float
    ) -> Reply:
        refused = broadcast.check_request(reply, request)
        if refused is None:
            if certificate is None:
                refused = self._check_token(reply, request.fields, now)
            else:
                refused = self._check_certificate(reply, certificate)
        return refused or broadcast.check(reply, request, certificate, self.channels)

    def _check_certificate(self, reply: Reply, certificate: ClientCertificate) -> Reply | None:
        if not certificate.topics:
            return reply.refuse(Reason.BAD_CERTIFICATE, "the certificate names no topic")
        if certificate.environments and self.environment not in certificate.environments:
            return reply.refuse(
                Reason.BAD_CERTIFICATE_ENVIRONMENT, f"the certificate is not for {self.environment}"
            )
        reply.auth = "certificate"
        reply.identity = certificate.subject
        return None

    def _check_token(self, reply: Reply, fields: Mapping[str, str], now: float) -> Reply | None:
        scheme, _, text = fields.get("authorization", "").partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            return reply.refuse(
                Reason.MISSING_PROVIDER_TOKEN, "no client certificate and no authorization: bearer"
            )
        token = self._verifier.read(text.encode("latin-1", "replace"))
        if isinstance(token, str):
            return reply.refuse(Reason.INVALID_PROVIDER_TOKEN, f"the provider token: {token}")
        key = token.key
        if key is not None and key.environment not in {None, self.environment}:
            return reply.refuse(Reason.BAD_ENVIRONMENT_KEY_IN_TOKEN, f"the key is not for {self.environment}")
        age = now - token.issued_at
        if not 0 <= age <= self._lifetime:
            return reply.refuse(Reason.EXPIRED_PROVIDER_TOKEN, f"iat is {age:.0f} s ago")
        bound = reply.state.token
        if bound is None or bound.text != token.text:
            if bound is not None:
                if (bound.key_id, bound.team_id) != (token.key_id, token.team_id):
                    return reply.refuse(
                        Reason.UNRELATED_KEY_ID_IN_TOKEN, "the connection began with another key or team"
                    )
                # An expired predecessor must be replaceable at once, hence by iat and not by time of use.
                if abs(token.issued_at - bound.issued_at) < self._update_interval:
                    return reply.refuse(
                        Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES,
                        f"another token with iat {token.issued_at - bound.issued_at:+.0f} s",
                    )
            reply.state = ConnectionAuth(token)
        reply.auth = "token"
        reply.identity = f"{token.team_id}/{token.key_id}"
        return None

    def _check_device(self, reply: Reply, now: float) -> Reply | None:
        token = reply.token
        if not token:
            return reply.refuse(Reason.MISSING_DEVICE_TOKEN, "the path ends before the device token")
        if not _HEX.fullmatch(token):
            return reply.refuse(Reason.BAD_DEVICE_TOKEN, "the device token is not hexadecimal")
        if self._token_digits and len(token) != self._token_digits:
            return reply.refuse(
                Reason.BAD_DEVICE_TOKEN,
                f"{counted(len(token), 'digit')} where {self._token_digits} are needed",
            )
        device = self.devices.get(token)
        if device is None:
            if self._accept_unknown or magic.lookup(token) is not None:
                return None
            return reply.refuse(Reason.BAD_DEVICE_TOKEN, "the device token is unknown")
        if device.environment not in {None, self.environment}:
            return reply.refuse(Reason.BAD_DEVICE_TOKEN, "the device token is of the other environment")
        if device.topic is not None and device.topic != base_topic(reply.topic, reply.push_type):
            return reply.refuse(Reason.DEVICE_TOKEN_NOT_FOR_TOPIC, f"the device is for {device.topic}")
        if device.gone_since is not None:
            reply.timestamp = min(device.gone_since, int(now * 1000))
            return reply.refuse(Reason(device.gone_reason), "the device is registered as gone")
        return None

    def _check_body(self, reply: Reply, request: Request) -> Reply | None:
        limit = PUSH_TYPES[reply.push_type].max_payload
        if request.body_size > limit:
            return reply.refuse(Reason.PAYLOAD_TOO_LARGE, f"{request.body_size} bytes, limit {limit}")
        if not request.body_size:
            return reply.refuse(Reason.PAYLOAD_EMPTY, "no payload")
        if self._check_payload:
            try:
                document = orjson.loads(request.body)
            except orjson.JSONDecodeError as error:
                return reply.refuse(Reason.PAYLOAD_EMPTY, f"the payload is not JSON: {error}")
            if not isinstance(document, dict):
                return reply.refuse(Reason.PAYLOAD_EMPTY, "the payload is not a JSON dictionary")
        return None


def _check_headers(reply: Reply, fields: Mapping[str, str]) -> Reply | None:
    push_type = fields.get("apns-push-type")
    if push_type is not None:
        if push_type not in PUSH_TYPES:
            return reply.refuse(Reason.INVALID_PUSH_TYPE, f"there is no push type {push_type[:40]!r}")
        reply.push_type = push_type
    expiration = fields.get("apns-expiration")
    if expiration is not None:
        if not _EXPIRATION.fullmatch(expiration):
            return reply.refuse(Reason.BAD_EXPIRATION_DATE, "apns-expiration is not unix seconds")
        reply.expiration = int(expiration)
    priority = fields.get("apns-priority")
    if priority is not None:
        reply.priority = _PRIORITIES.get(priority)
        if reply.priority is None:
            return reply.refuse(Reason.BAD_PRIORITY, "apns-priority is not 10, 5 or 1")
    # Without the field the priority is 10, and "it is an error" to send a background push with 10.
    if push_type == "background" and reply.priority != 5:
        return reply.refuse(Reason.BAD_PRIORITY, "a background push needs apns-priority 5")
    collapse_id = fields.get("apns-collapse-id")
    if collapse_id is not None:
        # Header values are latin-1 text here, so that characters are bytes.
        if not 0 < len(collapse_id) <= _MAX_COLLAPSE_ID:
            return reply.refuse(Reason.BAD_COLLAPSE_ID, f"apns-collapse-id has {len(collapse_id)} bytes")
        reply.collapse_id = collapse_id
    return None


def _check_topic(
    reply: Reply, fields: Mapping[str, str], certificate: ClientCertificate | None
) -> Reply | None:
    topic = fields.get("apns-topic")
    if topic is None:
        if certificate is None or len(certificate.topics) != 1:
            return reply.refuse(Reason.MISSING_TOPIC, "apns-topic is needed")
        topic = certificate.topics[0]
    if not _TOPIC.fullmatch(topic):
        return reply.refuse(Reason.BAD_TOPIC, "apns-topic holds what no topic can hold")
    reply.topic = topic
    implied = next((name for suffix, name in _SUFFIXES.items() if topic.endswith(suffix)), "alert")
    if not reply.push_type:
        reply.push_type = implied
    spec = PUSH_TYPES[reply.push_type]
    # mdm has the topic of its own certificate, whatever that is.
    if reply.push_type != "mdm" and PUSH_TYPES[implied].suffix != spec.suffix:
        return reply.refuse(
            Reason.TOPIC_DISALLOWED,
            f"push type {reply.push_type} needs a topic that ends in {spec.suffix}"
            if spec.suffix
            else f"push type {reply.push_type} does not go with a topic for {implied}",
        )
    if certificate is not None:
        if topic not in certificate.topics or spec.token_only:
            return reply.refuse(Reason.TOPIC_DISALLOWED, "the certificate does not cover the topic")
        return None
    token = reply.state.token
    topics = token.key.topics if token is not None and token.key is not None else None
    if topics is not None and topic not in topics and base_topic(topic, reply.push_type) not in topics:
        return reply.refuse(Reason.TOPIC_DISALLOWED, "the key does not cover the topic")
    return None


def base_topic(topic: str, push_type: str) -> str:
    """The app's bundle id: `topic` without the suffix of its push type."""
    return topic.removesuffix(PUSH_TYPES[push_type].suffix)
