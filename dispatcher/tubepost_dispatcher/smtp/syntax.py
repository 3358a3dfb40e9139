"""The arguments of MAIL and RCPT, parsed (RFC 5321 4.1, 3461 4, 1870, 6152, 6531, 4954 5). Pure.

Two readers of one grammar: `FAST_MAIL` and `FAST_RCPT` match the plain lines that nearly every client
sends, whole; `parse_mail` and `parse_rcpt` read everything else, and agree with them where both apply.
Local parts are read leniently (any run of atom characters and dots, any length the line allows): addresses
with two dots in a row exist, and a device token does not fit the 64 octets of RFC 5321.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

_ATOM: Final = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~.-"
_HOST: Final = rb"[A-Za-z0-9_.-]+"

FAST_MAIL: Final = re.compile(
    rb"(?i:MAIL FROM:)<([" + _ATOM + rb"]+@(" + _HOST + rb"))?>"
    rb"(?: (?i:SIZE)=([0-9]{1,20}))?(?: (?i:BODY)=(7BIT|8BITMIME))?"
).fullmatch
"""Groups: address, its domain (both None for the null sender), SIZE, BODY. The whole line without CRLF must
match, and `plain_domain` must know the domain."""

FAST_RCPT: Final = re.compile(rb"(?i:RCPT TO:)<([" + _ATOM + rb"]+@(" + _HOST + rb"))>").fullmatch
"""Groups: address, its domain; as with `FAST_MAIL`."""

_SOURCE_ROUTE: Final = re.compile(r"@[^\s:,<>@\"]+(?:,@[^\s:,<>@\"]+)*:")
_DOT_STRING: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\u0080-\U0010ffff]+")
_QUOTED: Final = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')
_BARE: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*+")?+[^ <>"]++(?= |\Z)')
_DOMAIN_LABEL: Final = re.compile(
    r"[A-Za-z0-9_\u0080-\U0010ffff](?:[A-Za-z0-9_\-\u0080-\U0010ffff]*[A-Za-z0-9_\u0080-\U0010ffff])?"
)
_LITERAL: Final = re.compile(r"\[[!-Z^-~]+\]")
_KEYWORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE: Final = re.compile(r"[!-<>-~\u0080-\U0010ffff]+")
_XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_ORCPT: Final = re.compile(r"[A-Za-z0-9-]+;[!-~\u0080-\U0010ffff]+")
_NOTIFY: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})

MAX_DOMAIN = 255
"""Octets of a domain (RFC 5321 4.5.3.1.2)."""

_SYNTAX_MAIL: Final = refusal("MailSyntax")
_SYNTAX_RCPT: Final = refusal("RcptSyntax")
_BAD_SENDER: Final = refusal("BadSender")
_BAD_RECIPIENT: Final = refusal("BadRecipient")
_NEEDS_UTF8: Final = refusal("NeedsSmtputf8")
_BAD_PARAMETER: Final = refusal("BadParameter")
_DUPLICATE: Final = refusal("DuplicateParameter")
_UNKNOWN_MAIL: Final = refusal("UnknownMailParameter")
_UNKNOWN_RCPT: Final = refusal("UnknownRcptParameter")


@dataclass(frozen=True, slots=True)
class Mail:
    """A MAIL command. `address` is empty for the null sender; `size` in octets, 0 when not declared.

    `body` is `7BIT`, `8BITMIME` or empty; `dsn` holds RET and ENVID as given, None without; `auth` is the
    decoded AUTH parameter (RFC 4954 5), which is accepted and not relied upon. `bare`: the angle brackets
    were missing.
    """

    address: str
    size: int = 0
    body: str = ""
    smtputf8: bool = False
    dsn: Mapping[str, str] | None = None
    auth: str = ""
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Rcpt:
    """A RCPT command. `domain` is lower-cased, empty for `postmaster` alone; the rest is as in `Mail`."""

    address: str
    domain: str
    dsn: Mapping[str, str] | None = None
    bare: bool = False


def xtext_encode(text: str) -> str:
    """Encode ASCII text as xtext (RFC 3461 4)."""
    return "".join(c if "!" <= c <= "~" and c not in "+=" else f"+{ord(c):02X}" for c in text)


def xtext_decode(text: str) -> str | None:
    """Decode xtext (RFC 3461 4); None when it is malformed or hides characters that are not printable."""
    if not _XTEXT.fullmatch(text):
        return None
    plain = re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)
    return plain if all(" " <= c <= "~" for c in plain) else None


_plain_domains: dict[bytes, str] = {}
_MAX_PLAIN_DOMAINS = 4_096


def plain_domain(raw: bytes) -> str | None:
    """The lower-cased domain for a domain of `_HOST` characters, None when it is not well-formed.

    Clients repeat a few domains over and over, so the answers are kept (at most 4,096).
    """
    domain = _plain_domains.get(raw)
    if domain is None:
        text = raw.decode("ascii")
        if not _domain_is_valid(text):
            return None
        if len(_plain_domains) >= _MAX_PLAIN_DOMAINS:
            _plain_domains.clear()
        domain = _plain_domains[raw] = text.lower()
    return domain


_plain_mails: dict[bytes, tuple[str, int, str]] = {}
_plain_rcpts: dict[bytes, tuple[str, str]] = {}
_MAX_PLAIN_LINES: Final = 1_024
_PLAIN_LINE: Final = 128
"""Octets of the longest line that is remembered."""


def plain_mail(line: bytes) -> tuple[str, int, str] | None:
    """Address, SIZE (0 without) and BODY of a plain MAIL command; None: `parse_mail` has to read it.

    A sender repeats the line with every message, so the answers are kept, as with `plain_domain`.
    """
    known = _plain_mails.get(line)
    if known is not None:
        return known
    plain = FAST_MAIL(line)
    if plain is None or (plain[2] is not None and plain_domain(plain[2]) is None):
        return None
    sender, _, declared, kind = plain.groups()
    mail = (
        sender.decode() if sender else "",
        int(declared) if declared else 0,
        kind.decode() if kind else "",
    )
    if len(line) <= _PLAIN_LINE:
        if len(_plain_mails) >= _MAX_PLAIN_LINES:
            _plain_mails.clear()
        _plain_mails[line] = mail
    return mail


def plain_rcpt(line: bytes) -> tuple[str, str] | None:
    """Address and lower-cased domain of a plain RCPT command, likewise; None: `parse_rcpt` has to read it."""
    known = _plain_rcpts.get(line)
    if known is not None:
        return known
    plain = FAST_RCPT(line)
    domain = plain_domain(plain[2]) if plain is not None else None
    if plain is None or domain is None:
        return None
    rcpt = plain[1].decode(), domain
    if len(line) <= _PLAIN_LINE:
        if len(_plain_rcpts) >= _MAX_PLAIN_LINES:
            _plain_rcpts.clear()
        _plain_rcpts[line] = rcpt
    return rcpt


def parse_mail(argument: bytes) -> Mail | Reply:
    """Read what follows `MAIL `: `FROM:<reverse-path> parameters`."""
    text = _decode(argument)
    if text is None:
        return _BAD_SENDER
    if text[:5].upper() != "FROM:":
        return _SYNTAX_MAIL
    text = text[5:].lstrip(" ")
    bracketed = _bracketed(text)
    if bracketed is None:
        return _SYNTAX_MAIL
    bare, text = bracketed is not text, bracketed
    if text.startswith("<>"):
        address, rest = "", text[2:]
    else:
        path = _read_path(text)
        if path is None:
            return _BAD_SENDER
        address, domain, rest = path
        if not domain:
            return _BAD_SENDER
    params = _parameters(rest)
    if isinstance(params, Reply):
        return params
    mail = _mail_parameters(address, params, bare=bare)
    if isinstance(mail, Mail) and not mail.smtputf8 and not argument.isascii():
        return _NEEDS_UTF8
    return mail


def parse_rcpt(argument: bytes, *, smtputf8: bool) -> Rcpt | Reply:
    """Read what follows `RCPT `: `TO:<forward-path> parameters`; `smtputf8` as MAIL declared it."""
    text = _decode(argument)
    if text is None:
        return _BAD_RECIPIENT
    if text[:3].upper() != "TO:":
        return _SYNTAX_RCPT
    text = text[3:].lstrip(" ")
    bracketed = _bracketed(text)
    if bracketed is None:
        return _SYNTAX_RCPT
    bare, text = bracketed is not text, bracketed
    path = _read_path(text)
    if path is None:
        return _BAD_RECIPIENT
    address, domain, rest = path
    if not domain and address.lower() != "postmaster":
        return _BAD_RECIPIENT
    if not smtputf8 and not argument.isascii():
        return _NEEDS_UTF8
    params = _parameters(rest)
    if isinstance(params, Reply):
        return params
    dsn: dict[str, str] = {}
    for keyword, value in params.items():
        if keyword == "NOTIFY":
            words = value.upper().split(",")
            if words != ["NEVER"] and not (_NOTIFY.issuperset(words) and len(set(words)) == len(words)):
                return _BAD_PARAMETER
        elif keyword == "ORCPT":
            if len(value) > 500 or not _orcpt_is_valid(value):
                return _BAD_PARAMETER
        else:
            return _UNKNOWN_RCPT
        dsn[keyword] = value
    return Rcpt(address, domain.lower(), dsn or None, bare)


def _decode(argument: bytes) -> str | None:
    try:
        return argument.decode()
    except UnicodeDecodeError:
        return None


def _bracketed(text: str) -> str | None:
    """`text` itself when it begins with an angle bracket; with brackets around its address when it does not.

    Old clients and scripts leave them out. None when that is not all that is wrong with it.
    """
    if text.startswith("<"):
        return text
    bare = _BARE.match(text)
    if bare is None or not ("@" in bare[0] or bare[0].lower() == "postmaster"):
        return None
    return f"<{bare[0]}>{text[bare.end() :]}"


def _read_path(text: str) -> tuple[str, str, str] | None:
    """Split `<[route:]local@domain>rest` into address, domain and rest; the domain may be missing."""
    position = 1
    if text.startswith("@", position):
        route = _SOURCE_ROUTE.match(text, position)
        if route is None:
            return None
        # RFC 5321 appendix C: a source route is recognised and ignored.
        position = route.end()
    start = position
    local = (_QUOTED if text.startswith('"', position) else _DOT_STRING).match(text, position)
    if local is None:
        return None
    position = local.end()
    if text.startswith(">", position):
        return text[start:position], "", text[position + 1 :]
    if not text.startswith("@", position):
        return None
    end = text.find(">", position)
    if end < 0:
        return None
    domain = text[position + 1 : end]
    # isprintable() excludes Unicode's line separators and C1 controls too, which could forge a log line.
    if not _domain_is_valid(domain) or not text[start:end].isprintable():
        return None
    return text[start:end], domain, text[end + 1 :]


def _domain_is_valid(domain: str) -> bool:
    if domain.startswith("["):
        return _literal_is_valid(domain)
    if len(domain.encode()) > MAX_DOMAIN:
        return False
    return all(
        _DOMAIN_LABEL.fullmatch(label) is not None and (len(label) <= 63 or not label.isascii())
        for label in domain.removesuffix(".").split(".")
    )


def _literal_is_valid(domain: str) -> bool:
    if not _LITERAL.fullmatch(domain):
        return False
    inner = domain[1:-1]
    try:
        if inner[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(inner[5:])
        elif ":" not in inner:
            ipaddress.IPv4Address(inner)
    except ValueError:
        return False
    return True


def _parameters(rest: str) -> dict[str, str] | Reply:
    """Read ` KEY=value KEY ...`; a keyword without a value maps to an empty text."""
    if not rest:
        return {}
    if not rest.startswith(" "):
        return _BAD_PARAMETER
    found: dict[str, str] = {}
    for word in rest.split(" "):
        if not word:
            continue
        keyword, equals, value = word.partition("=")
        if not _KEYWORD.fullmatch(keyword) or (
            equals and not (_VALUE.fullmatch(value) and value.isprintable())
        ):
            return _BAD_PARAMETER
        keyword = keyword.upper()
        if keyword in found:
            return _DUPLICATE
        found[keyword] = value
    return found


def _mail_parameters(address: str, params: Mapping[str, str], *, bare: bool) -> Mail | Reply:
    size = 0
    body = auth = ""
    smtputf8 = False
    dsn: dict[str, str] = {}
    for keyword, value in params.items():
        if keyword == "SIZE":
            if not (value.isascii() and value.isdigit() and len(value) <= 20):
                return _BAD_PARAMETER
            size = int(value)
        elif keyword == "BODY":
            body = value.upper()
            if body not in ("7BIT", "8BITMIME"):
                return _BAD_PARAMETER
        elif keyword == "SMTPUTF8":
            if value:
                return _BAD_PARAMETER
            smtputf8 = True
        elif keyword == "AUTH":
            decoded = "" if value == "<>" else xtext_decode(value)
            if decoded is None:
                return _BAD_PARAMETER
            auth = decoded
        elif keyword == "RET":
            if value.upper() not in ("FULL", "HDRS"):
                return _BAD_PARAMETER
            dsn[keyword] = value
        elif keyword == "ENVID":
            if len(value) > 100 or xtext_decode(value) is None:
                return _BAD_PARAMETER
            dsn[keyword] = value
        else:
            return _UNKNOWN_MAIL
    return Mail(address, size, body, smtputf8, dsn or None, auth, bare)


def _orcpt_is_valid(value: str) -> bool:
    if not _ORCPT.fullmatch(value):
        return False
    kind, _, address = value.partition(";")
    if kind.upper() == "UTF-8":
        return True
    return xtext_decode(address) is not None
