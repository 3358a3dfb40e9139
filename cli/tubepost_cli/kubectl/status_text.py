"""`status` on one screen of 100 columns. Pure; the time is passed in."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tubepost_api.suspension import effective, in_force, mode_of, words_of
from tubepost_cli.kubectl.facts import Counts, Facts
from tubepost_cli.kubectl.targets import DispatcherPod
from tubepost_cli.queue_text import age, moment, number_of, seconds_of, shown, span, table, until

WIDTH: Final = 100
"""Columns of the screen."""
SOON: Final = 14 * 86_400
"""Seconds before the end of a certificate at which it is coloured."""
_MOST: Final = 5
"""Rows of domains, errors and events; the rest is counted."""
_LATER: Final = "transient"
Document = Mapping[str, Any]
Paint = Callable[[str, str], str]
"""A text and a colour (`red`, `yellow`, `green`, `bold`) -> the text in it."""


def plain(text: str, _colour: str) -> str:
    """No colours."""
    return text


def screen(facts: Facts, now: float, paint: Paint = plain) -> list[str]:
    """All PushDomains, one after the other."""
    lines: list[str] = []
    for document in facts.push_domains:
        lines += [*([""] if lines else []), *_push_domain(document, facts, now, paint)]
    return lines or ["No PushDomains in this namespace."]


def _push_domain(written: Document, facts: Facts, now: float, paint: Paint) -> list[str]:
    at = datetime.fromtimestamp(now, UTC)
    document = effective(written, at)
    name = document["metadata"]["name"]
    spec, status = document["spec"], document.get("status", {})
    pods = [pod for pod in facts.pods if pod.push_domain == name]
    ready = sum(pod.ready for pod in pods)
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    heads = [_flag(kind, conditions.get(kind), paint) for kind in ("Ready", "Delivering", "CredentialsValid")]
    title = paint(f"{name}", "bold") + f"  namespace {document['metadata']['namespace']}  " + "  ".join(heads)
    acceptance = spec.get("acceptance", {}).get("mode", "Direct")
    lines = [
        title,
        _pair(
            "Address",
            f"{status.get('address') or 'none yet'}, acceptance {acceptance}, delivery {mode_of(document)}, "
            f"{ready} of {len(pods)} pods ready",
        ),
        *_config(document, pods, facts, paint),
    ]
    if (suspension := in_force(document, at)) is not None:
        head, why = words_of(suspension)
        lines += [paint(line, "yellow") for line in _wrapped("Suspended", f"{head}: {why}")]
    for one in status.get("conditions", ()):
        if one["status"] != "True":
            colour = "red" if one["type"] in {"Accepted", "Ready", "CredentialsValid"} else "yellow"
            text = f"{one['type']} is {one['status']}, {one['reason']}: {one.get('message', '')}"
            lines += [paint(line, colour) for line in _wrapped("Condition", text)]
    lines += ["", *_domains(spec), "", *_routes(document, pods, facts, now, paint)]
    if pods:
        lines += ["", *_pods(pods, facts, now)]
    lines += ["", *_live(status.get("live"), pods, facts, now)]
    lines += _errors(document, pods, facts, now, paint)
    return lines


def _flag(kind: str, condition: Document | None, paint: Paint) -> str:
    status = condition["status"] if condition else "Unknown"
    return f"{kind} " + paint(status, {"True": "green", "False": "red"}.get(status, "yellow"))


def _config(document: Document, pods: Sequence[DispatcherPod], facts: Facts, paint: Paint) -> list[str]:
    published = document.get("status", {}).get("config", {})
    if not published:
        return []
    digests = {
        pod.name: str(facts.live[pod.name].config.get("hash", "")) for pod in pods if pod.name in facts.live
    }
    behind = sorted(name for name, digest in digests.items() if digest != published["hash"])
    text = f"{published['hash'][:12]}, of generation {published.get('generation', 0)}"
    if digests:
        text += ", in all pods" if not behind else f"; others are in {', '.join(behind)}"
    line = _pair("Config", text)
    return [paint(line, "yellow") if behind else line]


def _domains(spec: Document) -> list[str]:
    rows = [
        (
            shown(domain.get("name") or f"/{domain.get('pattern')}/", 44),
            (domain.get("delivery") or {}).get("mode") or spec.get("delivery", {}).get("mode", "Deliver"),
            ", ".join(domain.get("routes") or spec.get("routes") or ()),
        )
        for domain in spec["domains"]
    ]
    lines = table(("DOMAIN", "MODE", "ROUTES"), rows[:_MOST])
    if len(rows) > _MOST:
        lines.append(f"and {len(rows) - _MOST} more; -o json has all.")
    return lines


def _routes(
    document: Document, pods: Sequence[DispatcherPod], facts: Facts, now: float, paint: Paint
) -> list[str]:
    objects = {route["metadata"]["name"]: route for route in facts.routes}
    counts = [facts.live[pod.name].counts for pod in pods if pod.name in facts.live]
    rows = []
    ends = []
    for used in document.get("status", {}).get("routes", ()):
        name = used["name"]
        status = objects.get(name, {}).get("status", {})
        where = status.get("environment") or status.get("address") or ""
        held = any(name in one.held_routes for one in counts)
        end = used.get("notAfter")
        ends.append(seconds_of(end) - now if end else None)
        rows.append(
            (
                shown(name, 20),
                shown(where, 26),
                used.get("credential") or "",
                f"{moment(end)[:10]}, {until(end, now)}" if end else "never",
                shown(", ".join(used.get("topics", ())), 22),
                "held" if held else "ok" if counts else "",
            )
        )
    if not rows:
        return ["No routes in use."]
    lines = table(("ROUTE", "TO", "CREDENTIAL", "EXPIRES", "TOPICS", "STATE"), rows)
    for index, (row, left) in enumerate(zip(rows, ends, strict=True), start=1):
        if left is not None and left < SOON:
            lines[index] = paint(lines[index], "red" if left < 0 else "yellow")
        elif row[5] == "held":
            lines[index] = paint(lines[index], "yellow")
    return lines


def _pods(pods: Sequence[DispatcherPod], facts: Facts, now: float) -> list[str]:
    rows: list[tuple[Any, ...]] = []
    for pod in pods:
        live = facts.live.get(pod.name)
        state = "ready" if pod.ready else "not ready" if pod.running else "down"
        known = _numbers(live.counts) if live else ("?",) * 7
        rows.append((shown(pod.name, 36), state, span(now - seconds_of(pod.created)), pod.restarts, *known))
    headings = ("SESS", "QUEUED", "DUE", "HELD", "DELIVERED", "FAILED", "LATER")
    return table(("POD", "STATE", "AGE", "RST", *headings), rows)


def _numbers(counts: Counts) -> tuple[int, ...]:
    return (
        counts.sessions,
        counts.queued,
        counts.due,
        counts.held,
        counts.sum("delivered"),
        counts.sum("permanent"),
        counts.sum(_LATER),
    )


def _live(live: Document | None, pods: Sequence[DispatcherPod], facts: Facts, now: float) -> list[str]:
    lines = []
    if live:
        lines.append(
            _pair(
                "Rate",
                f"{live.get('deliveredPerMinute', 0):,} delivered a minute,"
                f" {age(live['updatedAt'], now)} ago",
            )
        )
    else:
        lines.append(_pair("Rate", "not known yet: the operator looks once a minute"))
    known = [facts.live[pod.name].counts for pod in pods if pod.name in facts.live]
    queued = sum(one.queued for one in known)
    if queued:
        oldest = max(one.oldest for one in known)
        lines.append(_pair("Queue", f"{number_of(queued)}, the oldest was accepted {span(oldest)} ago"))
    holds: dict[str, int] = {}
    for pod in pods:
        for hold, count in (facts.live[pod.name].holds if pod.name in facts.live else {}).items():
            holds[hold] = holds.get(hold, 0) + count
    for hold, count in sorted(holds.items(), key=lambda one: -one[1])[:_MOST]:
        lines += _wrapped("Hold", f"{count:,} {hold}")
    return lines


def _errors(
    document: Document, pods: Sequence[DispatcherPod], facts: Facts, now: float, paint: Paint
) -> list[str]:
    totals: dict[tuple[str, str, str], int] = {}
    for pod in pods:
        for key, count in (facts.live[pod.name].counts.attempts if pod.name in facts.live else {}).items():
            if key[1] != "delivered":
                totals[key] = totals.get(key, 0) + count
    lines = []
    last = (document.get("status", {}).get("live") or {}).get("lastError")
    if last:
        lines += _wrapped("Last error", last)
    for (route, outcome, reason), count in sorted(totals.items(), key=lambda one: -one[1])[:_MOST]:
        words = "for now" if outcome == _LATER else "for good"
        lines.append(_pair("Errors", f"{count:,} {reason} ({words}) by {route}"))
    names = {document["metadata"]["name"], *(pod.name for pod in pods)}
    names |= {used["name"] for used in document.get("status", {}).get("routes", ())}
    ready = {pod.name for pod in pods if pod.ready}
    mine = [
        event
        for event in facts.events
        if (name := event["involvedObject"].get("name")) in names
        # Probes fail while a pod starts: of one that is ready, that is no news.
        and not (event.get("reason") == "Unhealthy" and name in ready)
    ]
    mine.sort(key=when)
    for event in mine[-_MOST:]:
        what = f"{event['involvedObject']['kind']} {event['involvedObject']['name']}"
        since = f"{age(when(event), now)} ago" if when(event) else "once"
        text = f"{since}, {what}: {event.get('reason', '')}: {event.get('message', '')}"
        lines += [paint(line, "yellow") for line in _wrapped("Event", text)]
    return lines


def when(event: Document) -> str:
    """The last time of an event, as the API server writes it; empty where it has none."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _pair(name: str, text: str) -> str:
    return f"{name + ':':<12}{shown(text, WIDTH - 12)}"


def _wrapped(name: str, text: str) -> list[str]:
    """At most three lines."""
    clean = shown(text, 3 * (WIDTH - 12))
    pieces = textwrap.wrap(clean, WIDTH - 12, max_lines=3, placeholder=" ...") or [""]
    return [f"{name + ':' if not index else '':<12}{piece}" for index, piece in enumerate(pieces)]
