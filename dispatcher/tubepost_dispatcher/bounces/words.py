"""A report in plain words: what happened to which notification, why, and what its sender can do. Pure."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Mapping

WIDTH = 76
"""Characters of a line."""


def explain(words: Mapping[str, str], hostname: str) -> str:
    """The text of a report, lines ended by CRLF.

    Args:
        words: values of one line each, see `report.event_words`.
        hostname: ours.
    """
    lines = [f"This is the notification server Tubepost at {hostname}.", "", *_opening(words), ""]
    lines += _fact("To", words["recipient"])
    lines += _fact("Accepted", words["accepted"])
    lines += _fact("Attempts", words["attempts"])
    lines += _fact("Message id", words["message_id"])
    lines += _fact("apns-id", words["apns_id"])
    lines.append("")
    if words["kind"] != "success":
        lines += _reason(words)
        lines.append("")
    lines += _paragraph(
        "The next part of this mail says the same for programs (RFC 3464). The headers of your message "
        "follow where they were kept; the message itself was not."
    )
    return "\r\n".join(lines) + "\r\n"


def _opening(words: Mapping[str, str]) -> tuple[str, ...]:
    match words["kind"]:
        case "bounce":
            text = "A push notification of yours was not delivered. It will not be tried again."
        case "delay":
            text = (
                "A push notification of yours has not been delivered yet. It is tried again until "
                f"{words['until'] or 'it expires'}. You need not send it again, and you get no other warning."
            )
        case _:
            text = (
                "APNs has taken a push notification of yours, as you asked to be told. When a device gets it "
                "is not known here."
            )
    return _paragraph(text)


def _reason(words: Mapping[str, str]) -> tuple[str, ...]:
    if words["by"] == "apns":
        peer = f" ({words['peer']})" if words["peer"] else ""
        lines = _paragraph(f"APNs{peer} answered: {words['answer']}", "    ")
    elif words["answer"]:
        lines = _paragraph(f"Reason: {words['answer']}", "    ")
    else:
        return _paragraph("It has not been tried yet.", "    ")
    for text in (words["detail"], words["help"]):
        if text and text != words["answer"]:
            lines += _paragraph(text, "    ")
    if words["since"]:
        lines += _paragraph(f"The token has not been valid since {words['since']}.", "    ")
    if words["remedy"]:
        lines += _paragraph(f"What to do: {words['remedy']}", "    ")
    return lines


def _fact(name: str, value: str) -> list[str]:
    return [f"    {name + ':':<12} {value}"] if value else []


@functools.lru_cache(maxsize=256)
def _paragraph(text: str, indent: str = "") -> tuple[str, ...]:
    """Lines of a text. Most texts are those of the last report, and wrapping takes longest of all."""
    return tuple(textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)) or ("",)
