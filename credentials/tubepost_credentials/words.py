"""Secrets that people or programs choose: accounts, bearer tokens, keys of signatures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tubepost_credentials.errors import CredentialError

SHORTEST_TOKEN = 16
"""Characters of a bearer token: a shorter one can be guessed."""
LONGEST_TOKEN = 1_024
"""Characters of a bearer token, or of a value of Authorization: what servers take in a header field."""
SHORTEST_KEY = 16
"""Bytes of the key of a signature."""

_LISTED = 8
"""Clients that a message names."""
_TOKEN = re.compile(r"[\x21-\x7e]+")
_FIELD = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_GENERATE = "make one, for example with `openssl rand -hex 32`"


def text(value: bytes) -> str:
    """A value as text; what is not UTF-8 in it cannot match anything."""
    return value.decode("utf-8", "replace")


def account(values: Sequence[bytes]) -> tuple[str, str]:
    """User name and password."""
    # What a file ends with is not meant; a blank in a password is.
    return text(values[0]).strip(), text(values[1]).rstrip("\r\n")


def bearer_tokens(
    secret: Mapping[str, bytes],
) -> tuple[dict[str, str], list[tuple[tuple[str, ...], CredentialError]]]:
    """Bearer tokens by the names of clients, and what is wrong with those that cannot be used.

    A token that several clients have says nothing of which one comes: none of them can use it.
    """
    found: dict[str, str] = {}
    refused: list[tuple[tuple[str, ...], CredentialError]] = []
    for client, value in sorted(secret.items()):
        token = text(value).rstrip("\r\n")
        if not _TOKEN.fullmatch(token):
            what = "is empty" if not token else "holds a blank, or what is not printable ASCII"
            refused.append(((client,), CredentialError(f"the token {what}", _GENERATE)))
        elif not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
            short = len(token) < SHORTEST_TOKEN
            limit = f"shorter than {SHORTEST_TOKEN}" if short else f"longer than {LONGEST_TOKEN}"
            refused.append(((client,), CredentialError(f"the token is {limit} characters", _GENERATE)))
        else:
            found[client] = token
    times = Counter(found.values())
    for token in [token for token, count in times.items() if count > 1]:
        clients = tuple(client for client, own in found.items() if own == token)
        error = CredentialError("the token is the same", "give each client a token of its own")
        refused.append((clients[:_LISTED], error))
        for client in clients:
            del found[client]
    return found, refused


def authorization(value: bytes) -> str:
    """The whole value of an Authorization header field.

    Raises:
        CredentialError: it is none.
    """
    field = text(value).rstrip("\r\n")
    if not _FIELD.fullmatch(field) or len(field) > LONGEST_TOKEN:
        what = (
            "is empty" if not field else f"is no header field of at most {LONGEST_TOKEN} printable characters"
        )
        raise CredentialError(
            f"the value {what}", "store one line, such as Bearer and the token after a blank"
        )
    return field


def signing_key(value: bytes) -> bytes:
    """The key of an HMAC; a line end after it is not part of it.

    Raises:
        CredentialError: it is too short.
    """
    key = value.rstrip(b"\r\n")
    if len(key) < SHORTEST_KEY:
        raise CredentialError(f"the key has {len(key)} bytes, fewer than {SHORTEST_KEY}", _GENERATE)
    return key
