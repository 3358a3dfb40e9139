"""Which lane a notification is in: one for each sender and domain, up to a number of them. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Final

from tubepost_dispatcher.networks import network_of
from tubepost_dispatcher.notification import Notification
from tubepost_dispatcher.queue.groups import MAILS
from tubepost_dispatcher.queue.lanes import Group, Lane
from tubepost_dispatcher.queue.slot import Slot

OF_A_DOMAIN: Final = 64
"""Lanes of one domain for a sender each; the other senders of the domain share as many."""
MOST: Final = 20_000
"""Lanes of a partition beyond which senders of all new domains share `OF_A_DOMAIN`."""
_REMEMBERED: Final = 20_000
"""Senders whose lane is remembered."""
_STEM: Final = re.compile(r"[^0-9+=\-]*")


def sender_key(notification: Notification) -> str:
    """Who sent it: the authenticated user, and the sender's address without what changes with each message.

    Bounce addresses have the recipient or a number in them (VERP): of the local part only what is before the
    first digit, `+`, `-` or `=` counts. Where there is neither user nor address it is the client, of IPv6 its
    /64.
    """
    local, _, domain = notification.sender.rpartition("@")
    if not domain:
        return f"{notification.user} {'' if notification.user else network_of(notification.client_address)}"
    stem = _STEM.match(local)
    assert stem is not None
    return f"{notification.user} {stem[0] or local}@{domain}".lower()


class Senders:
    """The lanes of one partition.

    Args:
        slot: the partition.
        group_of: the group of a domain.
    """

    def __init__(self, slot: Slot, group_of: Callable[[str], Group]) -> None:
        self._slot = slot
        self._group_of = group_of
        self._lanes: dict[int, Lane] = {}
        self._of_domain: dict[str, int] = {}
        """How many lanes each domain has."""
        self._remembered: dict[tuple[str, str, str, str], Lane] = {}

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def __len__(self) -> int:
        return len(self._lanes)

    def lane(self, notification: Notification) -> Lane:
        """The lane of a notification that is new here."""
        key = (
            notification.domain,
            notification.sender,
            notification.user,
            "" if notification.sender or notification.user else network_of(notification.client_address),
        )
        found = self._remembered.get(key)
        if found is None:
            found = self._lane(notification)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def known(self, ident: int, domain: str) -> Lane:
        """A lane that stands in the store; `domain` of one of its notifications."""
        if ident == MAIL_LANE:
            domain = MAILS
        found = self._lanes.get(ident)
        if found is None:
            self._forget_idle()
            found = self._lanes[ident] = Lane(ident, domain, self._slot, self._group_of(domain))
            self._of_domain[domain] = self._of_domain.get(domain, 0) + 1
        return found

    def _lane(self, notification: Notification) -> Lane:
        sender, domain = sender_key(notification), notification.domain
        ident = lane_ident(f"{domain} {sender}")
        found = self._lanes.get(ident)
        if found is not None:
            return found
        self._forget_idle()
        if self._of_domain.get(domain, 0) >= OF_A_DOMAIN:
            ident = lane_ident(f"{domain} {lane_ident(sender) % OF_A_DOMAIN}")
        if len(self._lanes) >= MOST and ident not in self._lanes:
            # They share the routes of whoever came first; a lane that is read says whose domain is whose.
            ident = lane_ident(f"{lane_ident(sender) % OF_A_DOMAIN}")
        return self.known(ident, domain)

    def _forget_idle(self) -> None:
        if len(self._lanes) < MOST // 2 or len(self._lanes) % 100:
            return
        idle = [ident for ident, lane in self._lanes.items() if lane.idle]
        for ident in idle:
            lane = self._lanes.pop(ident)
            left = self._of_domain[lane.domain] - 1
            if left:
                self._of_domain[lane.domain] = left
            else:
                del self._of_domain[lane.domain]
        if idle:
            self._remembered.clear()


def lane_ident(name: str) -> int:
    """A number for a name: positive, of 63 bits, the same in every process and release."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


MAIL_LANE: Final = lane_ident(MAILS)
"""The lane of all mails of a partition."""
