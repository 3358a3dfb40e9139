"""Reading PEM text (RFC 7468) and saying what is wrong with it, without ever quoting it."""

from __future__ import annotations

import codecs
import re

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tubepost_credentials.errors import CredentialError

MAX_PEM_SIZE = 1024 * 1024
"""Bytes. Secrets are limited to this size, and nothing legitimate comes near it."""

_KEY_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{0,32}PRIVATE KEY)-----[^-]+-----END \1-----")
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----([^-]+)-----END \1-----")
_BODY = re.compile(rb"[A-Za-z0-9+/=\s]+")
_ESCAPES = re.compile(rb"(?:\\r)?\\n|\\r|\\t")
_QUOTED = re.compile(rb"[\"'`][ \t]*-----BEGIN ")
_INDENTED = re.compile(rb"^[ \t]+-----(?:BEGIN|END) ", re.MULTILINE)
_LINE = 64  # characters of base64 on a line (RFC 7468 section 2)
_DER_SEQUENCE = 0x30

_FROM_P12 = (
    "export it as PEM: openssl pkcs12 -in FILE.p12 -clcerts -nokeys -out tls.crt and "
    "openssl pkcs12 -in FILE.p12 -nocerts -nodes -out tls.key (add -legacy for files from older systems)"
)


def tidy(data: bytes) -> tuple[bytes, str]:
    """Bring into order what editors, shells and pipelines do to PEM text, where its meaning is beyond doubt.

    No key or certificate has a backslash, a quotation mark or a blank in its base64. Line ends of any system
    and a missing last one need no word (RFC 7468 section 3).

    Returns:
        The text, `data` itself where nothing was to do; and what was found, to continue "it has ...", empty
        where nothing was.
    """
    if len(data) > MAX_PEM_SIZE or data[:1] == bytes((_DER_SEQUENCE,)):
        return data, ""
    found: dict[str, None] = {}
    text = _plain(data, found)
    if _QUOTED.search(text):
        found["quotation marks around it"] = None
    blocks = [_tidy_block(block[1], block[2], found) for block in _BLOCK.finditer(text)]
    if _INDENTED.search(text):
        found["blanks around its lines"] = None
    if not blocks or not found:
        return data, ""
    return b"".join(blocks), _series([*found])


def _tidy_block(label: bytes, body: bytes, found: dict[str, None]) -> bytes:
    plain = _ESCAPES.sub(b"\n", body)
    if not plain.strip() or not _BODY.fullmatch(
        plain
    ):  # an encrypted key's header, or damage: for others to judge
        return b"-----BEGIN " + label + b"-----" + body + b"-----END " + label + b"-----\n"
    if plain != body:
        found["the two characters \\n in place of line ends"] = None
    bare, lines = plain.strip(b" \t"), plain.strip().splitlines()
    if bare[0] not in b"\r\n" or bare[-1] not in b"\r\n" or any(b" " in line.strip() for line in lines):
        found["blanks, or nothing, in place of line ends"] = None
    elif any(line != line.strip() for line in lines):
        found["blanks around its lines"] = None
    joined = b"".join(plain.split())
    text = [joined[start : start + _LINE] for start in range(0, len(joined), _LINE)]
    return b"\n".join((b"-----BEGIN " + label + b"-----", *text, b"-----END " + label + b"-----\n"))


def _plain(data: bytes, found: dict[str, None]) -> bytes:
    """`data` in an encoding that is ASCII's where PEM is."""
    if data.startswith(codecs.BOM_UTF8):
        found["a byte order mark"] = None
        return data.removeprefix(codecs.BOM_UTF8)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        found["the encoding UTF-16"] = None
        return data.decode("utf-16", "replace").encode()
    return data


def _series(found: list[str]) -> str:
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"


def check_pem(data: bytes, what: str, wanted: str) -> None:
    """Refuse what is not PEM at all; `what` names the value, and `wanted` what should be there.

    Raises:
        CredentialError: empty, too large, binary (DER, PKCS #12), base64 without its frame, or other text.
    """
    if not data.strip():
        raise CredentialError(f"{what} is empty", f"put {wanted} there")
    if len(data) > MAX_PEM_SIZE:
        raise CredentialError(f"{what} is larger than {MAX_PEM_SIZE} bytes", f"put only {wanted} there")
    if b"-----BEGIN " in data:
        return
    if data[0] == _DER_SEQUENCE:
        raise CredentialError(f"{what} is binary (DER or a .p12 file), not PEM", _FROM_P12)
    if re.fullmatch(rb"[A-Za-z0-9+/=\s]+", data) and len(data) > 64:
        raise CredentialError(
            f"{what} is base64 without its PEM frame, or was base64-encoded twice",
            f"put {wanted} there as it is, with its -----BEGIN and -----END lines",
        )
    raise CredentialError(f"{what} is not PEM text", f"put {wanted} there")


def private_key_blocks(data: bytes, what: str, wanted: str) -> list[bytes]:
    """Return the private key blocks in `data`, at least one; there may be other blocks (certificates) too.

    Raises:
        CredentialError: there is none, or one is encrypted.
    """
    check_pem(data, what, wanted)
    if b"ENCRYPTED" in data:
        raise CredentialError(
            f"{what} is encrypted",
            "remove its pass phrase: openssl pkey -in ENCRYPTED.key -out tls.key",
        )
    blocks = [block.group(0) + b"\n" for block in _KEY_BLOCK.finditer(data)]
    if not blocks:
        raise CredentialError(f"{what} holds no private key", f"put {wanted} there")
    return blocks


def private_key_block(data: bytes, what: str, wanted: str) -> bytes:
    """Return the only private key block in `data`, which may hold other blocks (certificates) too.

    Raises:
        CredentialError: there is none, or more than one, or it is encrypted.
    """
    blocks = private_key_blocks(data, what, wanted)
    if len(blocks) > 1:
        raise several_keys(what, len(blocks))
    return blocks[0]


def several_keys(what: str, count: int) -> CredentialError:
    """The refusal of `count` private keys where nothing tells which one is meant."""
    return CredentialError(f"{what} holds {count} private keys", "leave exactly one in it")


def load_key(block: bytes, what: str) -> object:
    """Parse one private key block.

    Raises:
        CredentialError: damaged, or of a kind that the library does not know.
    """
    try:
        return load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without the cause: the library's message might quote the key.
        raise CredentialError(
            f"{what} is damaged or of an unknown kind", "export the key again and copy it whole"
        ) from None
