"""The push types of APNs, as data: topic suffix, priorities, payload limit, what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

PAYLOAD_LIMIT: Final = 4_096
"""Bytes of the largest payload (Apple, "Generating a remote notification")."""
VOIP_PAYLOAD_LIMIT: Final = 5_120
"""Bytes of the largest VoIP payload."""
BROADCAST_PAYLOAD_LIMIT: Final = 5_120
"""Bytes of the largest payload to a channel (Apple, "Sending broadcast push notification requests")."""


@dataclass(frozen=True, slots=True)
class PushType:
    """One value of apns-push-type (Apple, "Sending notification requests to APNs").

    `priorities` are those that are allowed, `default_priority` is sent where nobody says which. `expiration`
    None: any. `token_only`: APNs takes it with a provider token only, not with a certificate.
    """

    name: str
    suffix: str = ""
    priorities: tuple[int, ...] = (10, 5, 1)
    default_priority: int = 10
    payload_limit: int = PAYLOAD_LIMIT
    token_only: bool = False
    expiration: int | None = None
    help: str = ""


_TYPES = (
    PushType("alert", help="Shows an alert, plays a sound or sets a badge."),
    PushType("background", priorities=(5,), default_priority=5, help="Wakes the app (content-available)."),
    PushType("voip", ".voip", payload_limit=VOIP_PAYLOAD_LIMIT, help="An incoming call."),
    PushType("complication", ".complication", help="Updates a watch complication."),
    PushType("fileprovider", ".pushkit.fileprovider", help="Changes for a File Provider extension."),
    PushType("mdm", help="Device management; the topic is the UID of the MDM certificate."),
    PushType("location", ".location-query", token_only=True, help="Asks for the device's location."),
    PushType("liveactivity", ".push-type.liveactivity", token_only=True, help="Updates a Live Activity."),
    PushType("pushtotalk", ".voip-ptt", (10,), expiration=0, help="A Push to Talk session."),
    PushType("widgets", ".push-type.widgets", help="Reloads widgets."),
    PushType("controls", ".push-type.controls", help="Reloads controls."),
)

BROADCAST_TYPE: Final = "liveactivity"
"""The push type of every notification to a channel."""
PUSH_TYPES: Final[Mapping[str, PushType]] = MappingProxyType({spec.name: spec for spec in _TYPES})
"""Every push type that is known, in the order of Apple's documentation."""
