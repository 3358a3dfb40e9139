"""The configuration as Momentum resolves it: scopes merged, and the most specific value found.

Sources: Momentum's manual, "Configuration Scopes and Fallback", "domain" (exact stanzas before expressions,
expressions in their order, each option for itself), "binding" and "binding_group" (the ones called `default`
take what no script assigns), "pathway".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tubepost_importer.files import Configuration
from tubepost_importer.report import Account
from tubepost_importer.syntax import Elision, Include, Option, Scope, Statement

_CASE_SENSITIVE: Final = frozenset({"binding", "binding_group", "pathway", "pathway_group"})
DEFAULT: Final = "default"


@dataclass(slots=True)
class Node:
    """A scope with everything that is said of it; `stanzas` are its statements, none for the global one."""

    kind: str
    name: str
    stanzas: list[Scope] = field(default_factory=list)
    options: dict[str, Option] = field(default_factory=dict)
    children: dict[tuple[str, str], Node] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Node]:
        """Its scopes of a kind, as they were declared."""
        return [node for (k, _), node in self.children.items() if k == kind]

    def child(self, kind: str, name: str) -> Node | None:
        """The scope of that kind and name."""
        return self.children.get((kind, name))

    @property
    def title(self) -> str:
        """Its kind and name, for notes."""
        return f"{self.kind} {self.name!r}" if self.name else self.kind


def merged(configuration: Configuration, account: Account) -> Node:
    """All statements as one tree; accounts for includes and for what is set again later."""
    root = Node("global", "")
    _merge(configuration, account, root, configuration.files[configuration.main].statements)
    return root


def _merge(
    configuration: Configuration, account: Account, node: Node, statements: Sequence[Statement]
) -> None:
    for statement in statements:
        if isinstance(statement, Elision):
            account.none(statement, "stands for what a manual leaves out")
        elif isinstance(statement, Include):
            _include(configuration, account, node, statement)
        elif isinstance(statement, Scope):
            name = statement.argument
            key = name if statement.name in _CASE_SENSITIVE or is_regex(name) else name.lower()
            child = node.children.setdefault((statement.name, key), Node(statement.name, key))
            child.stanzas.append(statement)
            _merge(configuration, account, child, statement.body)
        else:
            before = node.options.get(statement.name)
            if before is not None and before is not statement:
                account.none(
                    before, f"set again at {statement.place.file}:{statement.place.line}, which wins"
                )
            node.options[statement.name] = statement


def _include(configuration: Configuration, account: Account, node: Node, include: Include) -> None:
    why = configuration.not_included.get(include)
    if why is not None:
        account.by_hand(include, why)
        return
    names = configuration.included[include]
    account.none(include, f"read: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}")
    for name in names:
        _merge(configuration, account, node, configuration.files[name].statements)


def is_regex(name: str) -> bool:
    """Whether the name of a domain is a regular expression, between slashes."""
    return len(name) > 1 and name.startswith("/") and (name.endswith(("/", "/i")))


@dataclass(frozen=True, slots=True)
class Found:
    """The value that is in force: the option, and the scope that it stands in."""

    option: Option
    node: Node


class Resolution:
    """Which value is in force for mail of a domain that no script has assigned to a binding."""

    def __init__(self, root: Node) -> None:
        self.root = root
        group = root.child("binding_group", DEFAULT)
        self.bindings = [
            node
            for node in (
                group.child("binding", DEFAULT) if group else None,
                root.child("binding", DEFAULT),
                group,
            )
            if node is not None
        ]
        """The bindings that mail goes by when no script says another, the most specific first."""

    @property
    def containers(self) -> list[Node]:
        """Scopes that hold domains, the most specific first."""
        return [*self.bindings, self.root]

    def base(self, option: str) -> Found | None:
        """The value for domains that have none of their own."""
        return _first(self.containers, option)

    def of(self, stanzas: Sequence[Node], option: str) -> Found | None:
        """The value for a domain with these stanzas, children of containers, the most specific first."""
        inside = [node for node in stanzas if not _in(self.root, node)]
        outside = [node for node in stanzas if _in(self.root, node)]
        return _first([*inside, *self.bindings, *outside, self.root], option)


def _in(container: Node, node: Node) -> bool:
    return any(child is node for child in container.children.values())


def _first(nodes: Sequence[Node], option: str) -> Found | None:
    return next((Found(node.options[option], node) for node in nodes if option in node.options), None)


def descendants(node: Node) -> Iterator[Node]:
    """The scopes below a scope."""
    for child in node.children.values():
        yield child
        yield from descendants(child)
