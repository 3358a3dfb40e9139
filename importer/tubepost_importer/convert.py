"""The whole conversion: from a configuration to manifests and a report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from tubepost_api.compile import compile_manifests, push_domain_names
from tubepost_api.problems import ProblemCode
from tubepost_importer.delivery import OPTIONS, SCHEDULE, NotConverted, text_of
from tubepost_importer.domains import Entry, entries
from tubepost_importer.draft import Draft, Path
from tubepost_importer.files import Files, read_configuration
from tubepost_importer.known import AUTHENTICATION, MAIL, SCOPES, SCRIPTS, no_counterpart
from tubepost_importer.listeners import KIND, Listeners, listens
from tubepost_importer.loggers import enabled, loggers
from tubepost_importer.needed import Secrets
from tubepost_importer.report import UNKNOWN, Account, Report
from tubepost_importer.routes import TLS_OPTIONS, WITHOUT_FIELD, Routes
from tubepost_importer.scopes import Found, Node, Resolution, descendants, merged
from tubepost_importer.syntax import Option, Statement

MOST_DOMAINS: Final = 256
_ROUTE_OPTIONS: Final = ("routes", *TLS_OPTIONS, *WITHOUT_FIELD)
_LEVELS: Final = {
    "debug": "Debug",
    "info": "Info",
    "notice": "Info",
    "warning": "Warning",
    "error": "Error",
    "critical": "Error",
}
_SPOOL: Final = "Momentum kept every message in its spool"


@dataclass(frozen=True, slots=True)
class Imported:
    """Manifests as YAML, empty where there are none, and what became of every line."""

    manifests: str
    report: Report


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user chose. `queued`: acceptance.mode Queued, with a queue on a persistent volume."""

    namespace: str | None = None
    name: str = "push"
    queued: bool = False


def import_configuration(main: str, files: Files, wishes: Wishes | None = None) -> Imported:
    """Convert a configuration. Raises OSError where the file itself cannot be read."""
    return _Conversion(main, files, wishes or Wishes()).run()


class _Conversion:
    def __init__(self, main: str, files: Files, wishes: Wishes) -> None:
        self._configuration = read_configuration(main, files)
        self._wishes, self._account = wishes, Account()
        self._draft = Draft(self._account, wishes.namespace)
        self._secrets = Secrets(wishes.namespace)
        self._root = merged(self._configuration, self._account)
        self._resolution = Resolution(self._root)
        self._notes: list[str] = []
        self._loggers: tuple[str, ...] | None = None

    def run(self) -> Imported:
        unusable: dict[int, str] = {}
        found = [entry for entry in entries(self._resolution, unusable) if self._is_push(entry)]
        if self._method(self._resolution.base("delivery_method")) == "apn":
            found.append(Entry(None, ".+", (), ()))
        if found:
            self._push_domains(found[:MOST_DOMAINS])
            for entry in found[MOST_DOMAINS:]:
                for node in entry.own:
                    for stanza in node.stanzas:
                        self._account.by_hand(
                            stanza, f"more than {MOST_DOMAINS} domains: use a pattern, or import in parts"
                        )
        else:
            self._notes.append(
                'there is no domain with delivery_method = "apn": nothing to make manifests of'
            )
        self._rest(unusable)
        problems = self._problems() if found else ()
        text = self._draft.yaml(self._heading()) if found and not problems else ""
        if self._configuration.faults:
            text = ""
        lines = self._account.lines(self._configuration)
        faults = tuple(self._configuration.faults)
        return Imported(text, Report(lines, faults, self._secrets.all(), tuple(self._notes), problems))

    def _method(self, found: Found | None) -> str:
        try:
            return text_of(found.option).lower() if found else ""
        except NotConverted as error:
            assert found is not None
            self._account.by_hand(found.option, error.why)
            return ""

    def _is_push(self, entry: Entry) -> bool:
        return self._method(self._resolution.of(entry.stanzas, "delivery_method")) == "apn"

    def _push_domains(self, found: Sequence[Entry]) -> None:
        names = self._named(found)
        writer = Listeners(self._draft, self._account, self._secrets)
        chosen = listens(self._root, self._account)
        ports: set[int | None] = set()
        push_domains: list[str] = []
        for listen in chosen:
            name = self._wishes.name if not push_domains else f"{self._wishes.name}-{listen.port}"
            if listen.port in ports:
                for stanza in listen.node.stanzas:
                    self._account.by_hand(
                        stanza, "a second address of the same port: one PushDomain serves it"
                    )
                continue
            ports.add(listen.port)
            push_domains.append(name)
            self._domains(name, found, names)
            writer.write(name, listen)
        if not push_domains:
            push_domains.append(self._wishes.name)
            self._domains(self._wishes.name, found, names)
            self._notes.append(
                "there is no esmtp_listener: the PushDomain listens on port 2525, its Service on 25"
            )
        if len(push_domains) > 1:
            self._notes.append(
                f"a PushDomain for each port: {', '.join(push_domains)}; `tubepost run` takes --push-domain"
            )
        for name in push_domains:
            self._own(name, push_domains)

    def _own(self, name: str, push_domains: Sequence[str]) -> None:
        """What is the PushDomain's as a whole."""
        if self._loggers is None:
            self._loggers = loggers(self._root, self._draft, self._account)
        made = self._loggers
        if made:
            self._draft.set(KIND, name, ("loggers",), list(made[:8]), None, note="apn_logger")
        for module in self._root.of_kind("apn"):
            self._module(module, name)
        if self._wishes.queued:
            self._draft.set(KIND, name, ("acceptance", "mode"), "Queued", None, note=_SPOOL)
            self._draft.set(KIND, name, ("queue", "disk", "claim"), {}, None, note="a persistent volume")
        elif name == push_domains[0]:
            self._notes.append(
                f"{_SPOOL}; here the reply waits for APNs' answer (acceptance.mode Direct), and the sending "
                "mail server keeps what failed for now. For a queue: --acceptance Queued"
            )

    def _module(self, module: Node, name: str) -> None:
        on = enabled(module, self._account)
        for stanza in module.stanzas:
            if on:
                self._account.none(stanza, "every dispatcher delivers to APNs")
            else:
                self._account.by_hand(
                    stanza,
                    "the module is off, and its domains are converted: delivery.mode Suspend stops them",
                )
        for option in module.options.values():
            if option.name == "debug_level":
                try:
                    level = _LEVELS.get(text_of(option).lower())
                except NotConverted:
                    level = None
                if level:
                    self._draft.set(KIND, name, ("logLevel",), level, option)
                else:
                    self._account.by_hand(option, f"no level: one of {', '.join(_LEVELS)} is expected")
            elif option not in self._account:
                self._account.none(option, "every dispatcher delivers to APNs")

    def _named(self, found: Sequence[Entry]) -> list[tuple[tuple[str, ...], Option | None]]:
        """The routes of each domain."""
        routes = Routes(self._draft, self._account, self._secrets)
        named = []
        for entry in found:
            owner = entry.own[0].stanzas[0] if entry.own else self._global_owner()
            named.append(routes.of(partial(self._resolution.of, entry.stanzas), owner))
        return named

    def _global_owner(self) -> Option:
        found = self._resolution.base("delivery_method")
        assert found is not None
        return found.option

    def _domains(
        self, name: str, found: Sequence[Entry], routes: Sequence[tuple[tuple[str, ...], Option | None]]
    ) -> None:
        for number, entry in enumerate(found):
            path: Path = ("domains", number, "name" if entry.name else "pattern")
            value = entry.name or entry.pattern
            stanzas: list[Statement] = [stanza for node in entry.own for stanza in node.stanzas]
            note = "searched for there, matched as a whole here" if entry.pattern and entry.own else ""
            for stanza in stanzas or [self._global_owner()]:
                self._draft.set(KIND, name, path, value, stanza, note=note)
        shared = {names for names, _ in routes}
        for number, (names, by) in enumerate(routes):
            path = ("routes",) if len(shared) == 1 else ("domains", number, "routes")
            self._draft.set(KIND, name, path, list(names[:8]), by)
        short = self._too_short(found)
        for option in OPTIONS:
            base = self._resolution.base(option)
            if base is not None and base.option not in short:
                self._option(name, (), base.option)
            for number, entry in enumerate(found):
                own = self._resolution.of(entry.stanzas, option)
                if own is None or own.option in short:
                    continue
                if base is None or own.option is not base.option:
                    self._option(name, ("domains", number), own.option)
        self._fall_through(found)

    def _option(self, name: str, above: Path, option: Option) -> None:
        try:
            made = OPTIONS[option.name](option)
        except NotConverted as error:
            (self._account.by_hand if error.by_hand else self._account.none)(option, error.why)
            return
        if option.name in SCHEDULE and not self._wishes.queued:
            self._account.by_hand(
                option,
                f"for a queue ({'.'.join(made.path)}: {made.value}), and there is none: the sending mail "
                "server tries again; --acceptance Queued takes it over",
            )
            return
        self._draft.set(KIND, name, (*above, *made.path), made.value, option, note=made.note)

    def _too_short(self, found: Sequence[Entry]) -> set[Option]:
        """Values of idle_timeout that would make the PushDomain invalid."""
        short = set()
        for entry in found:
            idle, response = (
                self._resolution.of(entry.stanzas, option)
                for option in ("idle_timeout", "delivery_response_timeout")
            )
            if idle and response and _milliseconds(idle.option, 1_000) <= _milliseconds(response.option, 1):
                self._account.by_hand(
                    idle.option, "left out: it has to be longer than delivery_response_timeout"
                )
                short.add(idle.option)
        return short

    def _fall_through(self, found: Sequence[Entry]) -> None:
        """Momentum asks all expressions that match, option by option; here the first one decides."""
        patterns = [entry for entry in found if entry.pattern and entry.own]
        for number, entry in enumerate(patterns):
            later = {o for other in patterns[number + 1 :] for node in other.own for o in node.options}
            missing = sorted((later & OPTIONS.keys()) - {o for node in entry.own for o in node.options})
            if missing:
                for stanza in entry.own[0].stanzas:
                    self._account.by_hand(
                        stanza,
                        "for domains that a later expression matches too, Momentum took from there: "
                        f"{', '.join(missing)}; here the first pattern decides: add what they need",
                    )

    def _rest(self, unusable: dict[int, str]) -> None:
        """Whatever nothing has been said of."""
        self._bindings()
        for node in descendants(self._root):
            if node.kind == "domain" and id(node) in unusable:
                for stanza in node.stanzas:
                    self._account.by_hand(stanza, unusable[id(node)])
                    self._account.all_of(stanza, "")
        for container in self._resolution.containers:
            for stanza in container.stanzas:
                self._account.none(stanza, "takes what no script assigns: its values are in force")
            for option in container.options.values():
                self._unused(option, "no domain of pushes uses it")
            for node in container.of_kind("domain"):
                self._domain(node)
        for node in self._root.children.values():
            self._scope(node)

    def _bindings(self) -> None:
        for node in descendants(self._root):
            if node.kind in {"binding", "binding_group"} and not any(
                node is one for one in self._resolution.bindings
            ):
                for stanza in node.stanzas:
                    self._account.by_hand(
                        stanza,
                        f"which messages go by {node.title} is decided by a script: if pushes do, give them "
                        "a domain or a PushDomain of their own; if only mail does, there is nothing to do",
                    )

    def _scope(self, node: Node) -> None:
        for stanza in node.stanzas:
            if node.kind in SCOPES:
                self._account.all_of(stanza, SCOPES[node.kind])
            elif node.kind in SCRIPTS:
                self._account.by_hand(
                    stanza, "if a script touches pushes, write it as a hook in Python: policy"
                )
            elif node.kind in AUTHENTICATION:
                self._account.by_hand(
                    stanza, "if senders of pushes log in by it, put them into the Secret of listener.auth"
                )
            elif node.kind in {"esmtp_listener", "listen", "pathway", "pathway_group", "peer"}:
                self._account.all_of(stanza, "no listener of pushes uses it")
            elif stanza not in self._account:
                self._account.by_hand(stanza, UNKNOWN)
            self._account.all_of(stanza, "")

    def _domain(self, node: Node) -> None:
        for stanza in node.stanzas:
            if stanza not in self._account:
                self._account.all_of(stanza, MAIL)
        for option in node.options.values():
            self._unused(option, "a more specific scope sets it")

    def _unused(self, option: Option, known: str) -> None:
        if option in self._account:
            return
        why = no_counterpart(option.name)
        if option.name in OPTIONS or option.name in _ROUTE_OPTIONS:
            self._account.none(option, known)
        elif why or option.name in {"mcmt_reception", "relay_hosts"}:
            self._account.none(option, why or "no listener of pushes uses it")
        else:
            self._account.by_hand(option, UNKNOWN)

    def _problems(self) -> tuple[str, ...]:
        """What the compiler says of the manifests: errors, which there should be none of."""
        manifests = self._draft.manifests("manifests.yaml")
        found: dict[str, None] = {}
        for name in push_domain_names(manifests):
            for problem in compile_manifests(manifests, push_domain=name).problems:
                if problem.severity == "error" and problem.code is not ProblemCode.SECRET_NOT_FOUND:
                    found[str(problem)] = None
        return tuple(found)

    def _heading(self) -> str:
        lines = [
            f"From {self._configuration.main}, by `tubepost import`. Beside a field: the line it comes from."
        ]
        for secret in self._secrets.all():
            lines += ["", f"Secret {secret.name}:", f"  {secret.command}"]
        return "\n".join(lines)


def _milliseconds(option: Option, factor: int) -> int:
    value: Any = getattr(option.value, "text", "")
    return int(value) * factor if re.fullmatch("[0-9]{1,12}", value) else 0
