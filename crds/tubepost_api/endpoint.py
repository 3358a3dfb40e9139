"""The endpoint of an ApnRoute, today's and yesterday's spellings."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

Environment = Literal["Production", "Sandbox"]

HOSTS: dict[Environment, str] = {"Production": "api.push.apple.com", "Sandbox": "api.sandbox.push.apple.com"}
"""APNs' HTTP/2 services. Source: Apple, "Sending notification requests to APNs"."""

_ENVIRONMENTS: dict[str, Environment] = {
    "api.push.apple.com": "Production",
    "api.sandbox.push.apple.com": "Sandbox",
    "api.development.push.apple.com": "Sandbox",
}
_LEGACY: dict[str, Environment] = {
    "gateway.push.apple.com": "Production",
    "gateway.sandbox.push.apple.com": "Sandbox",
}

ENDPOINT_PATTERN = (
    r"^(https://([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?"
    r"|(apn|http)://gateway\.(sandbox\.)?push\.apple\.com(:2195|/?\?port=2195)?/?)$"
)
"""What the CRD accepts; `parse_endpoint` checks more."""

_PARTS = re.compile(
    r"(?P<scheme>[a-z]+)://(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:/?\[]+))(?::(?P<port>[0-9]+))?(?:/|$|/?\?)"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a route leads. `legacy`: it was written for the binary protocol that ended in 2021."""

    host: str
    port: int
    environment: Environment | None
    legacy: bool = False


def parse_endpoint(text: str) -> Endpoint:
    """Read `https://HOST[:PORT]`, or a legacy `apn://` (alias `http://`) address of Apple's gateways.

    The legacy addresses, and none other of their schemes, lead to the HTTP/2 service of the same
    environment. Source of the legacy form: Momentum's `routes` option.

    Raises:
        ValueError: neither of the two.
    """
    if not re.fullmatch(ENDPOINT_PATTERN, text):
        raise ValueError(f"{text!r} is not an endpoint")
    parts = _PARTS.match(text)
    if parts is None:
        raise ValueError(f"{text!r} is not an endpoint")
    host = (parts["v6"] or parts["host"]).lower()
    if parts["scheme"] != "https":
        environment = _LEGACY[host]
        return Endpoint(HOSTS[environment], 443, environment, legacy=True)
    if parts["v6"]:
        try:
            ipaddress.IPv6Address(host)
        except ValueError as error:
            raise ValueError(f"{host!r} is not an IPv6 address") from error
    port = int(parts["port"] or 443)
    if not 1 <= port <= 65_535:
        raise ValueError(f"port {port} does not exist")
    return Endpoint(host, port, _ENVIRONMENTS.get(host))
