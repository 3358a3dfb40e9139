"""What leaves a cluster in a support bundle: objects and texts without anything secret. Pure.

Secrets are not read at all. What else could hold one is cut by where it stands (objects) and by what it looks
like (every text), so that a value that somebody put in the wrong place stays behind too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

HIDDEN: Final = "[hidden]"
"""In the place of what was cut."""
_SECRET_NAME: Final = re.compile(
    r"(?i)(pass(word|wd|phrase)?|token|secret|api-?_?key|private-?_?key|authorization|cookie)"
)
_REFERENCES: Final = re.compile(
    r"(?i)(secretName|secretRef|secretKeyRef|imagePullSecrets|automountServiceAccountToken|tokenPrefix|privateKeyKey)$"
)
"""Keys that name a Secret, or say something about one, and hold none."""
_DROPPED: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_LOOKS_SECRET: Final = re.compile(
    # What follows an authentication scheme; a JWT; userinfo of a URL.
    r"(?i:\b(bearer|basic|negotiate|digest)\s+)[^\s,;\"'\\]{6,}"
    r"|eyJ[A-Za-z0-9_\-]{4,}(?:\.[A-Za-z0-9_\-]*)*"
    r"|(?<=://)[^/\s@\"']+(?=@)"
)
_PAIR: Final = re.compile(
    r"(?i)\b((?:pass(?:word|wd)?|token|secret|api-?_?key|authorization)\"?\s*[=:]\s*\"?)(?!\s*[{\[])[^\s\",;&}]{4,}"
)
_HEX: Final = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{33,}(?![0-9A-Za-z])")
_DIGEST_BEFORE: Final = re.compile(r"(?:sha256:|hash\"?[:=]\s*\"?|Hash\"?[:=]\s*\"?)\Z")
_BASE64: Final = re.compile(
    r"(?<![A-Za-z0-9+/_\-])(?=[A-Za-z0-9+/_\-]*[0-9])(?=[A-Za-z0-9+/_\-]*[A-Z])[A-Za-z0-9+/_\-]{40,}={0,2}"
)


def text(value: str) -> str:
    """A text, such as a log, without PEM, tokens, keys, passwords and device tokens.

    Digests stay: those of images, and of configurations (`hash`).
    """
    value = _PEM.sub(HIDDEN, value)
    value = _PAIR.sub(lambda found: found[1] + HIDDEN, value)
    value = _LOOKS_SECRET.sub(HIDDEN, value)
    value = _HEX.sub(_unless_digest, value)
    return _BASE64.sub(_unless_digest, value)


def _unless_digest(found: re.Match[str]) -> str:
    before = found.string[max(0, found.start() - 12) : found.start()]
    is_digest = len(found[0]) <= 64 and _DIGEST_BEFORE.search(before)
    return found[0] if is_digest else HIDDEN


def value(document: Any, key: str = "") -> Any:
    """A JSON value without secrets: by the names of keys, and by what its texts look like."""
    if isinstance(document, Mapping):
        named = document.get("name")
        return {
            name: HIDDEN
            if name == "value" and isinstance(named, str) and _SECRET_NAME.search(named)
            else value(one, name)
            for name, one in document.items()
            if name not in _DROPPED
        }
    if isinstance(document, list | tuple):
        return [value(one, key) for one in document]
    if isinstance(document, str):
        if key and _SECRET_NAME.search(key) and not _REFERENCES.search(key):
            return HIDDEN
        return HIDDEN if _is_argument(document) else text(_without_query(document))
    return document


def _is_argument(one: str) -> bool:
    name, equals, rest = one.partition("=")
    return bool(equals and rest and name.startswith("--") and _SECRET_NAME.search(name))


def _without_query(one: str) -> str:
    """A URL without what follows `?`, where webhooks have their keys."""
    if one.startswith(("http://", "https://")) and "?" in one:
        return one.partition("?")[0] + "?" + HIDDEN
    return one
