"""Listeners of PushDomains, from `esmtp_listener`, `listen`, `peer` and `pathway` scopes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tubepost_api.listener import OWN_PORTS
from tubepost_importer.delivery import NotConverted, boolean, duration, number, text_of
from tubepost_importer.draft import Draft
from tubepost_importer.known import no_counterpart
from tubepost_importer.needed import Secrets
from tubepost_importer.report import UNKNOWN, Account
from tubepost_importer.scopes import Node
from tubepost_importer.syntax import Array, Option, Scalar, Scope

KIND: Final = "PushDomain"
PORT: Final = 2525
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_AUTH: Final = (
    "authloginparameters",
    "authplainparameters",
    "authcrammd5parameters",
    "authdigestmd5parameters",
)
_ELSEWHERE: Final = frozenset(
    {"mcmt_reception", "tls_certificate", "tls_key", "enable_authentication", *_AUTH}
)
"""Options that other methods deal with."""
_NONE: Final = {
    "enable": "true is the default",
    "starttls_injection_policy": "what a client sends before the handshake is never run",
    "tls_ciphers": "a listener has no choice of ciphers; startTls.minVersion is the choice",
    "tls_protocols": "TLS 1.2 is the lowest version; startTls.minVersion: 1.3 demands more",
    "tls_engine": "the library is always OpenSSL",
    "tls_allow_renegotiation": "renegotiation is off",
    "tls_dhparams_file": "modern cipher suites need no parameters",
    "smtp_extensions": "STARTTLS and AUTH are offered where startTls and auth are set, the others always",
    "relay_domains": "mail is taken for the domains of spec.domains only",
    "open_relay": "mail is taken for the domains of spec.domains only",
    "pathway": "its options are taken over",
}
_BY_HAND: Final = {
    "use_ssl": "TLS from the first byte has no counterpart: use STARTTLS (startTls), or a proxy in front",
    "tls_client_ca": "client certificates have no counterpart: use AUTH (listener.auth) or allowedNetworks",
    "tls_verify_mode": "client certificates have no counterpart: use AUTH (listener.auth) or allowedNetworks",
    "relay_for_sending_domains": "senders are not judged by domain: use listener.auth or allowedNetworks",
    "always_deny": "it refuses every client: leave the PushDomain out, or use allowedNetworks",
    "context": "a hook can set context variables: policy",
}


def _count(path: str) -> Callable[[Option], tuple[tuple[str, ...], Any]]:
    return lambda option: (("listener", "limits", path), number(option))


_FIELDS: Final[dict[str, Callable[[Option], tuple[tuple[str, ...], Any]]]] = {
    "max_recipients_per_message": _count("maxRecipients"),
    "max_receptions_per_connection": _count("maxMessagesPerSession"),
    "listener_sessions": _count("maxConnections"),
    "service_sessions": _count("maxConnections"),
    "idle_time": lambda option: (("listener", "limits", "commandTimeout"), duration(number(option))),
    "max_message_size": lambda option: (("listener", "limits", "maxMessageSize"), _size(option)),
    "banner_hostname": lambda option: (("listener", "hostname"), _host(option)),
}


def _size(option: Option) -> int:
    size = number(option, most=2**40)
    if not size:
        raise NotConverted(
            "0 is no limit there: the default of 10 MB is kept; limits.maxMessageSize", by_hand=True
        )
    return size


def _host(option: Option) -> str:
    text = text_of(option)
    if not _HOST.fullmatch(text) or len(text) > 253:
        raise NotConverted("no host name: the PushDomain's name is used")
    return text


@dataclass(slots=True)
class Listen:
    """A `listen` scope that takes pushes: its scopes, the most specific first, and the clients it is for."""

    node: Node
    chain: list[Node]
    port: int | None
    reception: Option | None
    peers: list[Node]


def listens(root: Node, account: Account) -> list[Listen]:
    """The listens that take MCMT messages; else the first one that there is. Accounts for all others."""
    found = [listen for scope in root.of_kind("esmtp_listener") for listen in _of(scope, root, account)]
    pushing = [listen for listen in found if listen.peers or _reception(listen) == "allow"]
    chosen = pushing or found[:1]
    for listen in found:
        if not any(listen is one for one in chosen):
            for stanza in listen.node.stanzas:
                account.all_of(
                    stanza, "takes no push messages (mcmt_reception is not allow): it stays a mail server's"
                )
    return chosen


def _reception(listen: Listen) -> str:
    value = listen.reception.value if listen.reception else None
    return value.text.lower() if isinstance(value, Scalar) else "passthru"


def _of(scope: Node, root: Node, account: Account) -> Iterator[Listen]:
    if not _enabled(scope, account):
        return
    for node in scope.of_kind("listen"):
        if not _enabled(node, account):
            continue
        chain = [node, *_pathway(node, root), scope, *_pathway(scope, root), root]
        reception = next((n.options["mcmt_reception"] for n in chain if "mcmt_reception" in n.options), None)
        listen = Listen(node, chain, _port(node.name), reception, [])
        if _reception(listen) != "allow":
            listen.peers = [
                peer
                for container in (node, scope)
                for peer in container.of_kind("peer")
                if (option := peer.options.get("mcmt_reception")) and _text(option) == "allow"
            ]
        yield listen


def _text(option: Option) -> str:
    return option.value.text.lower() if isinstance(option.value, Scalar) else ""


def _enabled(node: Node, account: Account) -> bool:
    option = node.options.get("enable")
    try:
        on = option is None or boolean(option)
    except NotConverted:
        on = True
    if not on:
        for stanza in node.stanzas:
            account.all_of(stanza, "enable = false")
    return on


def _pathway(node: Node, root: Node) -> list[Node]:
    option = node.options.get("pathway")
    name = option.value.text if option and isinstance(option.value, Scalar) else ""
    for group in root.of_kind("pathway_group"):
        if inside := group.child("pathway", name):
            return [inside, *filter(None, [root.child("pathway", name)]), group]
    outside = root.child("pathway", name)
    return [outside] if name and outside else []


def _port(address: str) -> int | None:
    match = re.search(r":([0-9]{1,5})$", address)
    return int(match[1]) if match and 1 <= int(match[1]) <= 65_535 else None


class Listeners:
    """Writes the listener of a PushDomain."""

    def __init__(self, draft: Draft, account: Account, secrets: Secrets) -> None:
        self._draft, self._account, self._secrets = draft, account, secrets

    def write(self, name: str, listen: Listen) -> None:
        """The fields of `listener` and `service` of PushDomain `name`."""
        self._address(name, listen)
        self._take(name, listen)
        seen: set[str] = set()
        for node in listen.chain:
            for option in node.options.values():
                if option.name in seen:
                    if node.kind != "global":
                        self._account.none(option, f"a more specific scope than {node.title} sets it")
                    continue
                seen.add(option.name)
                if node.kind != "global" or option.name in {"relay_hosts", "max_receptions_per_connection"}:
                    self._option(name, option, listen)
        self._starttls(name, listen)
        self._auth(name, listen)
        for node in listen.chain:
            for peer in node.of_kind("peer"):
                self._peer(peer)
            for stanza in node.stanzas:
                if stanza not in self._account:
                    self._account.converted(stanza, note="its options are taken over")

    def _found(self, listen: Listen, option: str) -> Option | None:
        # TLS options of the global scope are those of deliveries.
        scopes = [node for node in listen.chain if node.kind != "global"]
        return next((node.options[option] for node in scopes if option in node.options), None)

    def _address(self, name: str, listen: Listen) -> None:
        stanza = listen.node.stanzas[0]
        if listen.port is None:
            self._account.by_hand(stanza, f"no TCP port: the listener has port {PORT}, its Service port 25")
            return
        host = listen.node.name.rpartition(":")[0]
        note = "" if host in {"", "*", "[*]"} else f"pods listen on all addresses, not on {host} alone"
        usable = listen.port >= 1_024 and listen.port not in OWN_PORTS
        if usable:
            self._draft.set(KIND, name, ("listener", "port"), listen.port, stanza)
        self._draft.set(KIND, name, ("service", "port"), listen.port, stanza, note=note)
        for further in listen.node.stanzas[1:]:
            self._account.converted(further, note="its options are taken over")

    def _take(self, name: str, listen: Listen) -> None:
        value, path = _reception(listen), ("listener", "mcmtReception")
        if listen.peers:
            networks: list[str] = []
            for peer in listen.peers:
                networks += self._networks((peer.name,), peer.stanzas[0])
                option = peer.options["mcmt_reception"]
                self._draft.set(KIND, name, path, "Allow", option, note="for these peers: allowedNetworks")
            for peer in listen.peers:
                self._allow(name, networks, peer.stanzas[0])
        elif value in {"allow", "reject"} and listen.reception:
            self._draft.set(KIND, name, path, value.capitalize(), listen.reception)
        else:
            statement = listen.reception or listen.node.stanzas[0]
            self._account.by_hand(
                statement,
                "mcmt_reception is passthru (the default): MCMT messages go on as they are. The PushDomain "
                "takes pushes out (Allow); for passthru set mcmtReception: Passthru and spec.passthru",
            )

    def _option(self, name: str, option: Option, listen: Listen) -> None:
        if option.name in _NONE:
            self._account.none(option, _NONE[option.name])
        elif option.name in _BY_HAND:
            self._account.by_hand(option, _BY_HAND[option.name])
        elif option.name in _FIELDS:
            try:
                path, value = _FIELDS[option.name](option)
            except NotConverted as error:
                self._account.by_hand(option, error.why)
            else:
                self._draft.set(KIND, name, path, value, option)
        elif option.name == "relay_hosts":
            self._relay_hosts(name, option, listen)
        elif option.name not in _ELSEWHERE:
            if why := no_counterpart(option.name):
                self._account.none(option, why)
            else:
                self._account.by_hand(option, UNKNOWN)

    def _relay_hosts(self, name: str, option: Option, listen: Listen) -> None:
        if listen.peers:
            self._account.by_hand(
                option, "the peers with mcmt_reception are the allowedNetworks; compare them"
            )
            return
        if self._authenticates(listen):
            self._account.by_hand(
                option,
                "these hosts need not authenticate there; here all or nobody: auth, or allowedNetworks",
            )
            return
        texts = option.value.texts() if isinstance(option.value, Array) else _split(option)
        self._allow(name, self._networks(texts, option), option)

    def _networks(self, texts: tuple[str, ...], by: Option | Scope) -> list[str]:
        found = []
        for text in texts:
            try:
                found.append(str(ipaddress.ip_network(text.strip("[]"), strict=False)))
            except ValueError:
                self._account.by_hand(
                    by, f"{text!r:.60} is no IP network: write it in listener.allowedNetworks"
                )
        return found

    def _allow(self, name: str, networks: list[str], by: Option | Scope) -> None:
        if not networks:
            return
        note = "as the pod sees the clients: a proxy or a node may stand in their place"
        unique = list(dict.fromkeys(networks))
        if len(unique) > 64:
            self._account.by_hand(by, "more than 64 networks: join them in listener.allowedNetworks")
        self._draft.set(KIND, name, ("listener", "allowedNetworks"), unique[:64], by, note=note)

    def _starttls(self, name: str, listen: Listen) -> None:
        certificate, key = self._found(listen, "tls_certificate"), self._found(listen, "tls_key")
        path = _file(certificate)
        if not path or certificate is None:
            for option in filter(None, (certificate, key)):
                self._account.none(option, "no certificate: no STARTTLS")
            return
        secret = self._secrets.certificate("smtp-tls", path, _file(key) or path)
        for option in filter(None, (certificate, key)):
            self._draft.set(KIND, name, ("listener", "startTls", "secretName"), secret, option)
        self._draft.set(KIND, name, ("listener", "startTls", "mode"), "Optional", certificate)

    def _authenticates(self, listen: Listen) -> bool:
        option = self._found(listen, "enable_authentication")
        if option is not None:
            try:
                return boolean(option)
            except NotConverted:
                return True
        return any(self._found(listen, each) for each in _AUTH)

    def _auth(self, name: str, listen: Listen) -> None:
        options = [self._found(listen, each) for each in ("enable_authentication", *_AUTH)]
        present = [option for option in options if option is not None]
        if not self._authenticates(listen):
            for option in present:
                self._account.none(option, "authentication is off")
            return
        secret = self._secrets.users()
        encrypted = self._draft.has(KIND, name, ("listener", "startTls"))
        for option in present:
            self._draft.set(KIND, name, ("listener", "auth", "secretName"), secret, option)
            self._account.by_hand(option, f"put the users into Secret {secret}; PLAIN and LOGIN are offered")
        if not encrypted:
            self._draft.set(KIND, name, ("listener", "auth", "requireTls"), False, present[0])
            self._account.by_hand(
                present[0], "without STARTTLS passwords are sent in cleartext: set up startTls"
            )

    def _peer(self, peer: Node) -> None:
        for stanza in peer.stanzas:
            if stanza not in self._account:
                self._account.by_hand(stanza, "options for some clients: one listener has one set of options")
        for option in peer.options.values():
            if option not in self._account:
                self._account.by_hand(
                    option, f"for the clients {peer.name} only: one listener has one set of options"
                )


def _file(option: Option | None) -> str:
    text = option.value.text if option and isinstance(option.value, Scalar) else ""
    return "" if text.lower() == "none" else text


def _split(option: Option) -> tuple[str, ...]:
    return tuple(option.value.text.split()) if isinstance(option.value, Scalar) else ()
