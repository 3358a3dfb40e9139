"""The queue as people read it: tables, ages, one message's life. Pure; the time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tubepost_runtime.words import counted

Document = Mapping[str, Any]
_WIDEST: Final = 60
"""Characters of a column; longer texts are cut."""


def summary(partitions: Sequence[Document], groups: Sequence[Document], now: float) -> list[str]:
    """What is in the queue, by domain, by reason, and what is held."""
    lines = []
    for one in partitions:
        state = one["state"] + (f", {one['problem']}" if one["problem"] else "")
        aside = ""
        if one["filesSetAside"] or one["entriesSetAside"]:
            aside = f", set aside: {counted(one['filesSetAside'], 'file')}, "
            aside += counted(one["entriesSetAside"], "entry", "entries")
        lines.append(
            f"{_pod_of(one)}Partition {one['number']:02d} ({shown(state, 200)}):"
            f" {number_of(one['notifications'])}, {one['active']:,} with delivery,"
            f" {size(one['bytes'])} on disk{aside}"
        )
    if not partitions:
        lines.append("No queue: the dispatcher was started without --queue-dir, or no worker is ready.")
    lines.append(total(groups, now))
    if not groups:
        return lines
    lines += ["", *_by("DOMAIN", groups, lambda one: (one["domain"],), now)]
    lines += ["", *_by("LAST REASON\tROUTE", groups, _reason, now)]
    holds = [one for one in groups if one["hold"]]
    if holds:
        lines += ["", *_by("HELD SINCE, BY, WHY", holds, lambda one: (one["hold"],), now)]
    return lines


def _pod_of(one: Document) -> str:
    return f"{shown(one['pod'])}: " if "pod" in one else ""


def total(groups: Sequence[Document], now: float) -> str:
    """One line for all groups."""
    count = sum(one["notifications"] for one in groups)
    if not count:
        return "0 notifications."
    due = sum(one["due"] for one in groups)
    held = sum(one["notifications"] for one in groups if one["hold"])
    oldest = min(one["oldest"] for one in groups)
    since = f"the oldest was accepted {age(oldest, now)} ago"
    return f"{number_of(count)}: {due:,} due, {held:,} held; {since}."


def counts(groups: Sequence[Document], now: float) -> list[str]:
    """What an action is about, before it is done."""
    if not groups:
        return ["0 notifications match."]
    rows = [
        (*_reason(one), one["domain"], one["notifications"], age(one["oldest"], now))
        for one in sorted(groups, key=lambda one: -one["notifications"])
    ]
    return [*table(("LAST REASON", "ROUTE", "DOMAIN", "NOTIFICATIONS", "OLDEST"), rows), total(groups, now)]


_MAILS: Final = {
    "bounce": "bounce",
    "delay": "delay notice",
    "success": "success notice",
    "reroute": "rerouted mail",
}


def listed(notifications: Sequence[Document], now: float) -> list[str]:
    """One line for each notification."""
    rows = [
        (
            one["id"],
            _what(one),
            one["state"],
            age(one["accepted"], now),
            one["attempts"],
            until(one["nextTry"], now) if one["state"] == "waiting" else "",
            one["lastReason"],
            one["route"],
            one["sender"],
            one["recipient"],
        )
        for one in notifications
    ]
    headings = (
        "ID",
        "KIND",
        "STATE",
        "AGE",
        "TRIES",
        "NEXT TRY",
        "LAST REASON",
        "ROUTE",
        "SENDER",
        "RECIPIENT",
    )
    return table(headings, rows)


def one_notification(one: Document, now: float) -> list[str]:
    """All that is known of a notification in the queue."""
    state = {
        "held": f"held: {one['hold']}",
        "waiting": f"waiting, next try {until(one['nextTry'], now)}",
        "due": "due, waits for its turn",
        "active": "with delivery: being sent, or waiting for a connection",
        "damaged": "cannot be read: written by a later release, or damaged",
    }[one["state"]]
    pairs = [
        ("message id", one["id"]),
        ("apns-id", one["apnsId"]),
        ("kind", _what(one)),
        ("state", state),
        ("sender", one["sender"] or "<>"),
        ("recipient", one["recipient"]),
        ("device token", f"{one['tokenPrefix']}..." if one["tokenPrefix"] else ""),
        ("accepted", f"{moment(one['accepted'])}, {age(one['accepted'], now)} ago"),
        ("from client", one["client"]),
        ("user", one["user"]),
        ("bytes", one["bytes"]),
        ("attempts", one["attempts"]),
        ("last reason", one["lastReason"]),
        ("last route", one["route"]),
        ("expires", f"{moment(one['expires'])}, {until(one['expires'], now)}"),
        ("topic", one["topic"]),
        ("push type", one["pushType"]),
        ("priority", one["priority"]),
        ("collapse id", one["collapseId"]),
        ("channel", one.get("channelId", "")),
        ("partition", f"{one['partition']:02d}"),
        ("pod", one.get("pod", "")),
    ]
    return [f"{name + ':':<14} {shown(str(value), 300)}" for name, value in pairs if value not in ("", None)]


def life(events: Sequence[Document], queued: Sequence[Document], now: float) -> list[str]:
    """One message from SMTP to its outcome: what the journal knows, and where it is now."""
    lines: list[str] = []
    ids = dict.fromkeys(one["apnsId"] for one in (*events, *queued))
    for apns_id in ids:
        mine = [one for one in events if one["apnsId"] == apns_id]
        here = [one for one in queued if one["apnsId"] == apns_id]
        first = (mine or here)[0]
        if lines:
            lines.append("")
        if apns_id:
            pods = ", ".join(dict.fromkeys(one["pod"] for one in (*mine, *here) if "pod" in one))
            lines.append(f"apns-id {shown(apns_id)}" + (f", pod {shown(pods, 200)}" if pods else ""))
        user = f", user {first['user']}" if first.get("user") else ""
        channel = f", channel {first['channelId']}" if first.get("channelId") else ""
        lines.append(
            _at(
                first["accepted"],
                f"received from {first['sender'] or '<>'} for {first['recipient']}{channel}"
                f" (client {first.get('client') or 'not known'}{user})",
            )
        )
        lines += [_at(one["at"], _event(one)) for one in mine]
        lines += [
            f"{'now':<23}  {line}"
            for one in here
            for line in (
                f"in the queue{_of_mail(one)}: {_state_of(one, now)}, expires {until(one['expires'], now)}",
            )
        ]
    return lines


def _event(one: Document) -> str:
    what, route = one["event"], f" by {one['route']}" if one.get("route") else ""
    status = f" ({one['status']})" if one.get("status") else ""
    why = f"{one.get('reason', '')}{status}"
    detail = f": {one['detail']}" if one.get("detail") else ""
    double = "; it may have been delivered" if one.get("possibleDouble") else ""
    unique = f", apns-unique-id {shown(one['apnsUniqueId'])}" if one.get("apnsUniqueId") else ""
    tries = f"attempt {one['attempt']}{route}{unique}"
    if what == "ended":
        if one["outcome"] == "delivered":
            return f"delivered, {tries}"
        if one["outcome"] == "discarded":
            return "discarded: the delivery mode of its domain is Blackhole"
        verdict = "failed for good" if one["outcome"] == "permanent" else "given up"
        return f"{verdict}: {why}, {tries}{detail}{double}"
    if what == "deferred":
        return f"failed for now: {why}, {tries}{detail}{double}; next try {moment(one.get('due', ''))}"
    if what == "refused":
        return f"refused: {one.get('reason', '')}{detail}"
    if what == "attempt":
        return f"failed for now: {why}, {tries}{detail}{double}; tried again at once"
    if what in _MAILS:
        name, to = _MAILS[what], one["recipient"]
        if one["outcome"] == "delivered":
            return f"{name} to {to}: the relay took it"
        if one.get("due"):
            return f"{name} to {to}: not taken for now: {why}{detail}; next try {moment(one['due'])}"
        return f"{name} to {to}: given up: {why}{detail}"
    return f"{what} by an operator{detail}"


def _what(one: Document) -> str:
    """What stands in the queue: a notification, or a mail that follows one."""
    kind = str(one.get("kind", "notification"))
    return _MAILS.get(kind, kind)


def _of_mail(one: Document) -> str:
    return f" ({_what(one)})" if one.get("kind") in _MAILS else ""


def _state_of(one: Document, now: float) -> str:
    if one["state"] == "held":
        return f"held ({one['hold']})"
    if one["state"] == "waiting":
        return f"next try {until(one['nextTry'], now)}"
    return {"due": "due, waits for its turn", "active": "with delivery"}.get(one["state"], str(one["state"]))


# -- pieces ------------------------------------------------------------------------------------------------


def _reason(one: Document) -> tuple[str, ...]:
    return one["lastReason"] or "(not tried yet)", one["route"]


def _by(
    heading: str,
    groups: Sequence[Document],
    key: Callable[[Document], tuple[str, ...]],
    now: float,
) -> list[str]:
    sums: dict[tuple[str, ...], list[Document]] = {}
    for one in groups:
        sums.setdefault(key(one), []).append(one)
    rows: list[tuple[Any, ...]] = [
        (
            *names,
            sum(one["notifications"] for one in found),
            sum(one["due"] for one in found),
            sum(one["notifications"] for one in found if one["hold"]),
            age(min(one["oldest"] for one in found), now),
            size(sum(one["bytes"] for one in found)),
        )
        for names, found in sums.items()
    ]
    width = len(heading.split("\t"))
    rows.sort(key=lambda row: -row[width])
    return table((*heading.split("\t"), "NOTIFICATIONS", "DUE", "HELD", "OLDEST", "BYTES"), rows)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns, numbers to the right."""
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else shown(str(cell)) or "-" for cell in row] for row in rows
    ]
    columns = range(len(headings))
    right = [bool(rows) and all(isinstance(row[column], int) for row in rows) for column in columns]
    widths = [max(len(line[column]) for line in (list(headings), *cells)) for column in columns]
    return [
        "  ".join(
            cell.rjust(width) if numbers else cell.ljust(width)
            for cell, width, numbers in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in (list(headings), *cells)
    ]


def number_of(count: int) -> str:
    """`1 notification`, `2 notifications`."""
    return counted(count, "notification")


def shown(text: str, most: int = _WIDEST) -> str:
    """Text that came from outside, fit for a terminal."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= most else clean[: most - 3] + "..."


def moment(stamp: str) -> str:
    """A time of the admin API, for people."""
    return stamp.replace("T", " ")[:19] + "Z" if stamp else "at a time that is not known"


def _at(stamp: str, what: str) -> str:
    return f"{stamp.replace('T', ' ').rstrip('Z'):<23}  {shown(what, 500)}"


def age(stamp: str, now: float) -> str:
    """How long ago a time of the admin API was."""
    return span(now - seconds_of(stamp))


def until(stamp: str | None, now: float) -> str:
    """How long a time of the admin API is ahead."""
    if stamp is None:
        return "when it is released"
    left = seconds_of(stamp) - now
    return f"in {span(left)}" if left > 0 else "now"


def span(seconds: float) -> str:
    """A length of time in two units at most: `3d4h`, `12m`, `0s`."""
    left = max(0, int(seconds))
    pieces: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count or (unit == "s" and not pieces):
            pieces.append(f"{count}{unit}")
        elif pieces:
            break
        if len(pieces) == 2:
            break
    return "".join(pieces)


def size(count: int) -> str:
    """Bytes in a unit that people read."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1_024 or unit == "GiB":
            break
        count /= 1_024  # type: ignore[assignment]
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def stamp_of(seconds: float) -> str:
    """A time as the admin API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(stamp: str) -> float:
    """A time of the admin API, as unix seconds; 0 for what is none."""
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0
