"""Which operator looks after a PushDomain, where two releases watch the same namespace. Pure.

Children name the operator that wrote them. One that finds another's name claims a child: it writes its own
name on it, nothing else, and waits. An operator that lives sees that and claims it back; then the newcomer
yields, and looks again much later. Where nobody answers, the other is gone, and its objects are taken over.
So whoever was there first stays, an uninstalled release leaves nothing behind, and no pod is rolled to find
out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from tubepost_operator.names import Names
from tubepost_operator.observed import Key, Meta

ANSWER: Final = 10.0
"""Seconds that another operator has to claim a child back."""
YIELDED: Final = 600.0
"""Seconds until an operator that has yielded looks again."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What to do about a PushDomain.

    `serve`: it is ours. `claim`: write our name on `child`, and wait. `wait`: for an answer. `yield`: it is
    `other`'s. `again`: seconds until the next look; `news`: this was decided just now.
    """

    action: Literal["serve", "claim", "wait", "yield"]
    child: Key | None = None
    other: str = ""
    again: float | None = None
    news: bool = False


SERVE: Final = Hold("serve")


@dataclass(slots=True)
class _Claim:
    child: Key
    other: str
    since: float
    yielded: bool = False


@dataclass(slots=True)
class Holdings:
    """Remembers claims, by PushDomain.

    Attributes:
        holder: our own name.
    """

    holder: str
    _claims: dict[Key, _Claim] = field(default_factory=dict)

    @property
    def yielded(self) -> int:
        """PushDomains that are left to another operator."""
        return sum(claim.yielded for claim in self._claims.values())

    def look(self, push_domain: Key, children: Iterable[Meta], now: float) -> Hold:
        """Decide about a PushDomain, from the children that it owns."""
        names = {child.key: holder_of(child) for child in children}
        foreign = {key: name for key, name in names.items() if name not in {"", self.holder}}
        if not foreign:
            self._claims.pop(push_domain, None)
            return SERVE
        claim = self._claims.get(push_domain)
        if claim is not None and claim.yielded:
            left = claim.since + YIELDED - now
            if left > 0:
                return Hold("yield", claim.child, claim.other, left)
            claim = None
        if claim is None:
            # Of all children this is the one that nothing depends on but its name.
            child = min(foreign, key=lambda key: (key.kind != "ServiceAccount", key))
            self._claims[push_domain] = _Claim(child, foreign[child], now)
            return Hold("claim", child, foreign[child], ANSWER + 0.1, news=True)
        answer = names.get(claim.child, "")
        if answer not in {"", self.holder}:
            claim.yielded, claim.since, claim.other = True, now, answer
            return Hold("yield", claim.child, answer, YIELDED, news=True)
        left = claim.since + ANSWER - now
        return Hold("wait", claim.child, claim.other, left + 0.1) if left > 0 else SERVE

    def forget(self, push_domain: Key) -> None:
        """The PushDomain is gone."""
        self._claims.pop(push_domain, None)


def holder_of(child: Meta) -> str:
    """Name of the operator that wrote a child, empty for one of a release that did not say."""
    return child.annotations.get(Names.HOLDER_ANNOTATION, "")


def yielded_text(holder: str, other: str) -> str:
    """The message of the event about a PushDomain that is left to another operator."""
    return (
        f"It is looked after by the operator {other} (namespace/Lease); {holder} leaves it alone. Remedy: "
        "let only one of the releases watch this namespace (watch.namespaces), or uninstall one."
    )
