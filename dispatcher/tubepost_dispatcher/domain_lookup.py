"""From the domain of a recipient to the domain entry that serves it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import idna
import re2

from tubepost_api.config import EntryConfig

CACHE_SIZE: Final = 10_000
"""Domains whose entry (or lack of one) is remembered; the one that was longest unused goes first."""

_MAX_DOMAIN: Final = 253  # RFC 1035 section 2.3.4, in the form of text without the root's dot
_MAX_RAW: Final = 4 * _MAX_DOMAIN
_MAX_LABEL: Final = 63
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?")


def canonical_domain(domain: str) -> str:
    """The form in which domains are compared: lower case, A-labels (UTS #46), no dot at the end.

    Underscores are kept, as Momentum's users have them in the names of push domains. A-labels are taken as
    they are written. Raises ValueError for what is no domain name: empty, too long, an address literal.
    """
    if len(domain) > _MAX_RAW:
        raise ValueError(f"a domain name of {len(domain)} characters is too long")
    name = domain.lower() if domain.isascii() else idna.uts46_remap(domain, std3_rules=False)
    name = name.removesuffix(".")
    labels = name.split(".")
    for index, label in enumerate(labels):
        if _LABEL.fullmatch(label) is None:
            labels[index] = _a_label(label)
    name = ".".join(labels)
    if len(name) > _MAX_DOMAIN:
        raise ValueError(f"a domain name of {len(name)} characters is too long")
    return name


def _a_label(label: str) -> str:
    if label.isascii():
        raise ValueError(f"{label[:80]!r} is no label of a domain name")
    if "_" not in label:
        return idna.alabel(label).decode("ascii")
    # IDNA knows no underscores: the rest of the label must be valid all the same.
    idna.check_label(label.replace("_", "a"))
    encoded = "xn--" + label.encode("punycode").decode("ascii")
    if len(encoded) > _MAX_LABEL:
        raise ValueError(f"{label[:80]!r} is too long for a label of a domain name")
    return encoded


class DomainLookup:
    """Finds the entry of a domain: exact names first, then the patterns in their order.

    Patterns are RE2 expressions, matched against the whole canonical name, whatever their case. Raises
    ValueError for a name that is no domain, a name given twice, a pattern that does not compile, and an
    entry with neither or both.
    """

    def __init__(self, entries: Sequence[EntryConfig]) -> None:
        self._names: dict[str, int] = {}
        self._patterns: list[tuple[Any, int]] = []
        self.entries = tuple(entry.name or entry.pattern or "" for entry in entries)
        """Name or pattern of each entry, as it is written."""
        options = re2.Options()
        options.log_errors = False
        options.case_sensitive = False
        for index, entry in enumerate(entries):
            if (entry.name is None) == (entry.pattern is None):
                raise ValueError(f"entry {index} needs either a name or a pattern")
            if entry.name is not None:
                name = canonical_domain(entry.name)
                if name in self._names:
                    raise ValueError(
                        f"domain {name} is named twice, in entries {self._names[name]} and {index}"
                    )
                self._names[name] = index
                continue
            try:
                pattern = re2.compile(entry.pattern, options)
            except re2.error as error:
                why = error.args[0].decode("utf-8", "replace") if error.args else ""
                raise ValueError(f"entry {index}: pattern {entry.pattern!r}: {why}") from None
            self._patterns.append((pattern, index))
        self._find_cached = lru_cache(CACHE_SIZE)(self._find)

    def find(self, domain: str) -> int | None:
        """The index of the entry that serves `domain` (as written in RCPT TO), None when there is none."""
        return self._find_cached(domain)

    def _find(self, domain: str) -> int | None:
        try:
            name = canonical_domain(domain)
        except ValueError:
            return None
        found = self._names.get(name)
        if found is not None:
            return found
        for pattern, index in self._patterns:
            if pattern.fullmatch(name) is not None:
                return index
        return None
