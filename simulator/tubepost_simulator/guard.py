"""Who may ask the API: programs, and the simulator's own page; no other web page.

A page somewhere on the web can make a browser send requests to this machine. It cannot read the answers,
unless it has given its own name this machine's address ("DNS rebinding"); and it cannot change anything that
way, unless we let it. So the Host header has to be an address, or a name that nobody can register, or one
that was allowed; and what changes something is refused when the browser says that another site asks for it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".svc", ".test", ".home.arpa")
"""Endings that the public name service does not hand out (RFC 6761, RFC 8375, and ICANN's `.internal`), and
that of short names of Kubernetes' Services."""
_PORT: Final = re.compile(r":\d{1,5}$")
_NAME: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer: what a payload holds stays text, whatever it looks like; no other site may load it."""


def host_refusal(host: str, allowed: Collection[str] = ()) -> str:
    """Why a request with this Host header is refused, or empty. `allowed` are names, `*` for any."""
    if not host or "*" in allowed:
        return ""
    name = _PORT.sub("", host).removesuffix(".").lower()
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    elif ":" in name:
        return _refusal(host)
    if _is_address(name):
        return ""
    if not _NAME.fullmatch(name):
        return _refusal(host)
    if "." not in name or name.endswith(_LOCAL_SUFFIXES):
        return ""
    return "" if name in {item.lower() for item in allowed} else _refusal(host)


def origin_refusal(headers: Mapping[str, str]) -> str:
    """Why a request that changes something is refused, by what the browser says of its origin; else empty."""
    if headers.get("Sec-Fetch-Site", "none").lower() not in {"none", "same-origin"}:
        return "another web page asks for this; the simulator is changed by its own page and by programs only"
    origin = headers.get("Origin")
    if origin is None:
        return ""
    try:
        where = urlsplit(origin).netloc.lower()
    except ValueError:
        where = ""
    if not where or where != headers.get("Host", "").lower():
        return f"a page of {origin[:100]!r} asks for this; the simulator is changed by its own page only"
    return ""


def _refusal(host: str) -> str:
    return (
        f"{host[:100]!r} is not a name of this machine: ask for localhost or an IP address, or allow the "
        "name with --allowed-host (in the chart: simulator.allowedHosts)"
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
