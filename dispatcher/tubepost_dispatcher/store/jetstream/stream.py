"""What a queue's stream has to be, and what to say of one that is not. Pure.

A stream that somebody else made, or made otherwise, is left as it is: what differs is told in words. Of our
own, told by its metadata, what a configuration may change is brought up to date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from tubepost_dispatcher.store.jetstream.settings import JetStreamSettings

LEAST_SERVER: Final = (2, 12)
"""The first with scheduled messages (ADR-51)."""
DUPLICATES: Final = 120.0
"""Seconds for which the server knows a message id again."""
HEADROOM: Final = 0.9
"""Part of the bytes of a stream that is for new messages: the rest lets those that are in it move."""
_OURS: Final = {"tubepost-queue": "1"}
_NANO: Final = 1_000_000_000
_MUST: Final = (
    "subjects", "retention", "discard", "allow_msg_schedules", "allow_direct", "allow_rollup_hdrs",
    "deny_delete", "deny_purge", "max_msgs", "max_bytes", "max_msgs_per_subject", "max_msg_size", "no_ack",
    "sealed", "mirror", "sources", "republish", "subject_transform",
)  # fmt: skip
_GROWS: Final = ("max_age", "num_replicas", "placement", "duplicate_window")
_UNBOUNDED: Final = {"max_msgs", "max_bytes", "max_msg_size", "max_msgs_per_subject"}


def wanted(settings: JetStreamSettings) -> dict[str, Any]:
    """The stream that the settings ask for, as its API has it."""
    placement: dict[str, Any] = {}
    if settings.cluster:
        placement["cluster"] = settings.cluster
    if settings.tags:
        placement["tags"] = list(settings.tags)
    age = int(settings.max_age * _NANO)
    window = DUPLICATES if not age else min(DUPLICATES, settings.max_age)
    return {
        "name": settings.stream,
        "subjects": [f"{settings.prefix}.>"],
        "retention": "limits",
        "storage": "file",
        # Scheduled messages need `old`, and a bound would drop what was accepted: the store keeps its own.
        "discard": "old",
        "num_replicas": settings.replicas,
        "max_bytes": -1,
        "max_age": age,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "duplicate_window": int(window * _NANO),
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "allow_msg_schedules": True,
        "metadata": dict(_OURS),
        **({"placement": placement} if placement else {}),
    }


def differences(found: Mapping[str, Any], wish: Mapping[str, Any]) -> list[str]:
    """What keeps a stream from being used, in words; empty: nothing."""
    metadata = found.get("metadata") or {}
    if any(metadata.get(key) != value for key, value in _OURS.items()):
        return ["it was not made by Tubepost"]
    return [
        f"its {name} is {_word(found.get(name))}, and has to be {_word(wish.get(name))}"
        for name in _MUST
        if _normal(name, found.get(name)) != _normal(name, wish.get(name))
    ]


def grown(found: Mapping[str, Any], wish: Mapping[str, Any]) -> dict[str, Any] | None:
    """Our own stream, brought up to date; None: it is."""
    new = {
        name: wish.get(name)
        for name in _GROWS
        if _normal(name, found.get(name)) != _normal(name, wish.get(name))
    }
    if not new:
        return None
    return {key: value for key, value in {**found, **new}.items() if value is not None}


def warnings(found: Mapping[str, Any]) -> tuple[str, ...]:
    """What a 250 is worth less by, in words."""
    told = []
    if found.get("storage") != "file":
        told.append("its storage is memory: what was accepted is lost when its servers restart")
    if found.get("num_replicas", 1) < 2:
        told.append("it has one replica: what was accepted is lost with the disk of one server")
    return tuple(told)


def weaknesses(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The same as states of the stream (`STREAM_STATES`)."""
    memory = ("memory_storage",) if found.get("storage") != "file" else ()
    return (*memory, *(("one_replica",) if found.get("num_replicas", 1) < 2 else ()))


def version_problem(version: str) -> str:
    """Why a server is too old, in words; empty: it is not."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None or (int(match[1]), int(match[2])) < LEAST_SERVER:
        found = version or "of an unknown version"
        return f"nats-server is {found}; 2.12 or later is needed, for its scheduled messages"
    return ""


def room(max_bytes: int) -> float:
    """Bytes that a stream may have before new messages are refused; infinite: no bound."""
    return max_bytes * HEADROOM if max_bytes > 0 else math.inf


def _normal(name: str, value: Any) -> Any:
    if name in _UNBOUNDED and (value is None or value <= 0):
        return -1
    if name == "subjects" and isinstance(value, list):
        return sorted(value)
    if name == "placement" and isinstance(value, Mapping):
        return {key: part for key, part in value.items() if part and key in {"cluster", "tags"}} or None
    return value or (0 if name == "max_age" else None)


def _word(value: Any) -> str:
    return "not set" if value in (None, "", [], {}) else str(value)
