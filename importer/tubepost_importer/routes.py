"""ApnRoutes: from `routes` and the TLS options that are in force for a domain."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tubepost_api.endpoint import ENDPOINT_PATTERN, parse_endpoint
from tubepost_importer.delivery import NotConverted, text_of
from tubepost_importer.draft import Draft
from tubepost_importer.needed import Secrets
from tubepost_importer.report import Account
from tubepost_importer.scopes import Found
from tubepost_importer.syntax import Array, Option, Scalar, Statement

KIND: Final = "ApnRoute"
FIRST_SECRET: Final = "apns-certificate"  # noqa: S105 - a Secret's name
_CIPHERS = re.compile(r"[A-Za-z0-9:+!@=._-]{1,1024}")
TLS_OPTIONS: Final = ("tls_certificate", "tls_key", "tls_verify", "tls_ca", "tls_ca_file", "tls_ciphers")
WITHOUT_FIELD: Final = {
    "delivery_method": "every PushDomain delivers to APNs",
    "tls": "connections to APNs always have TLS",
    "tls_engine": "the library is always OpenSSL",
    "tls_protocols": "TLS 1.2 is the lowest version; ApnRoute spec.tls.minVersion: 1.3 demands more",
    "tls_ifavailable_fallback": "connections to APNs always have TLS",
    "tls_allow_renegotiation": "HTTP/2 forbids renegotiation",
    "tls_dhparams_file": "modern cipher suites need no parameters",
    "tls_enable_dhe_ciphers": "tls_ciphers says which ciphers there are",
}
"""Options of the way to APNs that need no field, and why."""

Lookup = Callable[[str], Found | None]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a route leads: the field that says so, and its value."""

    field: str
    value: str
    note: str = ""
    by_hand: str = ""

    def same_environment(self, other: _Target) -> bool:
        """Whether a later route may take over."""
        return self.field == other.field and (self.field == "endpoint" or self.value == other.value)


@dataclass(frozen=True, slots=True)
class _Key:
    target: tuple[str, str]
    secret: str
    ca: str
    ciphers: str


class Routes:
    """Makes an ApnRoute of each combination of target and credential, once."""

    def __init__(self, draft: Draft, account: Account, secrets: Secrets) -> None:
        self._draft, self._account, self._secrets = draft, account, secrets
        self._names: dict[_Key, str] = {}

    def of(self, lookup: Lookup, owner: Statement) -> tuple[tuple[str, ...], Option | None]:
        """Names of the ApnRoutes for a domain, in their order, and the option that names them.

        `lookup` finds the value in force; `owner` is the domain's stanza, blamed for what is missing.
        """
        for name, why in WITHOUT_FIELD.items():
            if found := lookup(name):
                self._account.none(found.option, why)
        targets, by = self._targets(lookup("routes"), owner)
        secret, secret_by = self._credential(lookup, owner)
        ca, ca_by = self._authorities(lookup)
        ciphers, ciphers_by = self._ciphers(lookup("tls_ciphers"))
        names = []
        for target in targets:
            key = _Key((target.field, target.value), secret, ca, ciphers)
            name = self._names.setdefault(key, self._new_name(key))
            names.append(name)
            self._draft.set(KIND, name, (target.field,), target.value, by, note=target.note)
            if target.by_hand and by is not None:
                self._account.by_hand(by, target.by_hand)
            for statement in secret_by or (None,):
                self._draft.set(KIND, name, ("certificate", "secretName"), secret, statement)
            if ca:
                self._draft.set(KIND, name, ("tls", "ca", "secretName"), ca, ca_by)
            if ciphers:
                self._draft.set(KIND, name, ("tls", "ciphers"), ciphers, ciphers_by)
            self._verify(lookup("tls_verify"), name)
        return tuple(dict.fromkeys(names)), by

    def _new_name(self, key: _Key) -> str:
        name = "apns-sandbox" if key.target[1] == "Sandbox" else "apns"
        if key.target[0] == "endpoint":
            name = "apns-endpoint"
        suffix = key.secret.removeprefix(FIRST_SECRET)
        taken = set(self._names.values())
        wanted, count = f"{name}{suffix}"[:60].strip("-"), 2
        unique = wanted
        while unique in taken:
            unique, count = f"{wanted[:56]}-{count}", count + 1
        return unique

    def _targets(self, found: Found | None, owner: Statement) -> tuple[list[_Target], Option | None]:
        if found is None:
            self._account.by_hand(owner, "no routes: Production is assumed; set environment of the ApnRoute")
            return [_Target("environment", "Production", "assumed: there were no routes")], None
        value = found.option.value
        texts = (
            value.texts() if isinstance(value, Array) else (value.text,) if isinstance(value, Scalar) else ()
        )
        targets: dict[tuple[str, str], _Target] = {}
        for text in texts:
            target = _target(text)
            targets.setdefault((target.field, target.value), target)
        if not targets:
            self._account.by_hand(found.option, "no route in it: Production is assumed")
            targets["", ""] = _Target("environment", "Production", "assumed: there were no routes")
        first = next(iter(targets.values()))
        kept = [target for target in targets.values() if target.same_environment(first)]
        for target in targets.values():
            if target not in kept:
                self._account.by_hand(
                    found.option,
                    f"{target.value} is left out: a device token is valid in one environment, "
                    f"here {first.value}; make a domain of its own for it",
                )
        return kept, found.option

    def _credential(self, lookup: Lookup, owner: Statement) -> tuple[str, tuple[Option, ...]]:
        certificate, key = lookup("tls_certificate"), lookup("tls_key")
        path = self._path(certificate)
        if not path or certificate is None:
            self._account.by_hand(
                owner,
                f"no tls_certificate: the ApnRoute names Secret {FIRST_SECRET}; make it, or use a token",
            )
            if key:
                self._account.none(key.option, "a key without a certificate")
            return FIRST_SECRET, ()
        key_path = self._path(key)
        secret = self._secrets.certificate(FIRST_SECRET, path, key_path or path)
        options = (certificate.option, *((key.option,) if key_path and key else ()))
        return secret, options

    def _path(self, found: Found | None) -> str:
        if found is None:
            return ""
        try:
            text = text_of(found.option)
        except NotConverted as error:
            self._account.by_hand(found.option, error.why)
            return ""
        if text.lower() == "none":
            self._account.none(found.option, "none: no file")
            return ""
        return text

    def _authorities(self, lookup: Lookup) -> tuple[str, Option | None]:
        found = lookup("tls_ca") or lookup("tls_ca_file")
        if found is None or not (path := self._path(found)):
            return "", None
        return self._secrets.authorities(path), found.option

    def _ciphers(self, found: Found | None) -> tuple[str, Option | None]:
        if found is None:
            return "", None
        try:
            text = text_of(found.option)
        except NotConverted as error:
            self._account.by_hand(found.option, error.why)
            return "", None
        if not _known(text):
            self._account.by_hand(
                found.option,
                "OpenSSL knows no such cipher (a priority string of GnuTLS?): the defaults are used",
            )
            return "", None
        return text, found.option

    def _verify(self, found: Found | None, name: str) -> None:
        if found is None:
            return
        try:
            text = text_of(found.option).lower()
        except NotConverted as error:
            self._account.by_hand(found.option, error.why)
            return
        if text in {"ca", "host"}:
            self._draft.set(KIND, name, ("tls", "verify"), True, found.option, note="name and authority")
            return
        self._account.by_hand(
            found.option,
            "not taken over: APNs' certificate is verified, so that nobody else gets the tokens; for tests "
            f"set tls.verify: false in ApnRoute {name}",
        )


def _target(text: str) -> _Target:
    """Where a route of Momentum leads today."""
    route = text.strip()
    if "://" not in route:
        route = f"apn://{route}"
    try:
        parts = urlsplit(route)
        host = (parts.hostname or "").lower()
        query = dict(parse_qsl(parts.query))
        legacy = f"{parts.scheme}://{host}?port=2195"
        if parts.scheme in {"apn", "http"} and re.fullmatch(ENDPOINT_PATTERN, legacy):
            environment = parse_endpoint(legacy).environment
            assert environment is not None
            return _Target(
                "environment", environment, "the HTTP/2 service; the binary protocol ended in 2021"
            )
        port = query.get("port") or parts.port or 443
        return _Target(
            "endpoint",
            f"https://{_endpoint(host, int(port))}",
            by_hand="no gateway of Apple's: whatever answers there has to speak HTTP/2; check name and port",
        )
    except ValueError:
        return _Target(
            "environment", "Production", by_hand=f"{text!r:.60} is no address: Production is assumed instead"
        )


def _endpoint(host: str, port: int) -> str:
    endpoint = f"{f'[{host}]' if ':' in host else host}:{port}"
    parse_endpoint(f"https://{endpoint}")
    return endpoint


def _known(ciphers: str) -> bool:
    """Whether OpenSSL takes the list."""
    if not _CIPHERS.fullmatch(ciphers):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers(ciphers)
    except ssl.SSLError:
        return False
    return True
