"""What the operator cannot watch: refusals of the API server, by kind and namespace. Pure.

A namespace that is gone, a role that was taken away, a definition that is missing: each is the trouble of the
objects it concerns, and of no other. They are told about it, and everything else is served.
"""

from __future__ import annotations

from typing import Final

from tubepost_operator.api import WatchSource
from tubepost_operator.kinds import OWN, Kind
from tubepost_operator.observed import Refusal


class Access:
    """Remembers of every watch whether it has brought all that there was, and whether it is refused."""

    def __init__(self) -> None:
        self._expected: set[WatchSource] = set()
        self._complete: set[WatchSource] = set()
        self._refused: dict[WatchSource, Refusal] = {}

    def expect(self, source: WatchSource) -> None:
        """This is to be watched: until it is complete, what it has not brought may exist all the same."""
        self._expected.add(source)

    def completed(self, source: WatchSource) -> None:
        """Everything that exists was brought."""
        self._complete.add(source)

    def settled(self, source: WatchSource) -> bool:
        """Whether it is known what there is, or that it cannot be known for now."""
        return source in self._complete or source in self._refused

    def restored(self, source: WatchSource) -> bool:
        """It is watched; whether it was refused until now."""
        return self._refused.pop(source, None) is not None

    def refused(self, source: WatchSource, status: int, message: str) -> bool:
        """The API server refuses; whether it does so for the first time, or now for another reason."""
        refusal = Refusal(
            source.kind.name,
            source.namespace,
            f"{source.name} cannot be watched: {status} {message.rstrip('.')}. Remedy: "
            f"{remedy(source, status)}.",
        )
        before = self._refused.get(source)
        self._refused[source] = refusal
        return before is None or before.text != refusal.text

    def complete(self, kind: str, namespace: str) -> bool:
        """Whether all of a kind in a namespace was brought at least once: what is unknown does not exist."""
        return all(
            source in self._complete
            for source in self._expected
            if source.kind.name == kind and source.namespace in {None, namespace}
        )

    def refusals(self, namespace: str) -> tuple[Refusal, ...]:
        """What is refused now in a namespace, sorted by text."""
        found = (
            refusal for source, refusal in self._refused.items() if source.namespace in {None, namespace}
        )
        return tuple(sorted(found, key=lambda refusal: refusal.text))

    def why(self, source: WatchSource) -> str:
        """Why it is refused, empty when it is not."""
        refusal = self._refused.get(source)
        return refusal.text if refusal is not None else ""

    def names(self) -> tuple[str, ...]:
        """Names of the watches that are refused now."""
        return tuple(sorted(source.name for source in self._refused))

    def blind(self, kind: Kind) -> str:
        """Why not one object of a kind can be seen; empty when some can, or nobody has looked yet."""
        sources = [source for source in self._expected if source.kind == kind]
        if not sources or not all(source in self._refused for source in sources):
            return ""
        return self._refused[min(sources, key=lambda source: source.name)].text


_NO_DEFINITION: Final = (
    "apply the definitions (`kubectl apply --server-side -f crds/`, or crds.enabled of the chart); it is "
    "looked for every few seconds"
)


def remedy(source: WatchSource, status: int) -> str:
    """What a person can do about a refusal."""
    if status == 404 and source.kind.name in OWN:
        return _NO_DEFINITION
    if status in {401, 403}:
        resource = f"{source.kind.plural}.{source.kind.group}" if source.kind.group else source.kind.plural
        if source.namespace is None:
            return f"let the operator get, list and watch {resource} (`helm upgrade` restores its roles)"
        return (
            f"if namespace {source.namespace} exists, let the operator get, list and watch "
            f"{resource} in it (`helm upgrade` restores its roles); if not, take it out of watch.namespaces"
        )
    return "see the log of the API server"
