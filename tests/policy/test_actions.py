from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest

from tubepost_policy import actions


def mail(**values: Any) -> actions.Action:
    what: dict[str, Any] = {
        "to": "u@x.example", "subject": "S", "body": "B\n", "html": None, "headers": None,
        "from_": "a@b.example", **values,
    }  # fmt: skip
    return actions.send_mail(**what)


def test_a_mail_is_whole_and_fit_for_any_relay() -> None:
    action = mail(
        to='"Üser" <u@x.example>', subject="Grüße", body="Zeile\n.\n" + "ä" * 2_000, html="<p>é</p>",
        headers={"Reply-To": "r@x.example", "subject": "Other"},
    )  # fmt: skip
    assert action["to"] == "u@x.example"
    content = action["content"]
    assert content.isascii()
    assert all(len(line) <= 998 for line in content.split("\r\n"))
    assert "\n" not in content.replace("\r\n", "")
    read = email.message_from_bytes(content.encode(), policy=email.policy.default)
    assert read["Subject"] == "Other"
    assert read["Reply-To"] == "r@x.example"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Message-ID"].endswith("@b.example>")
    text = read.get_body(("plain",))
    html = read.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n") == "Zeile\n.\n" + "ä" * 2_000 + "\n"
    assert html.get_content().strip() == "<p>é</p>"


@pytest.mark.parametrize(
    "values",
    [
        {"to": "nobody"},
        {"to": "a@b@c"},
        {"to": ""},
        {"to": None},
        {"subject": "a\r\nBcc: x@y.example"},
        {"subject": "x" * 901},
        {"subject": 5},
        {"body": b"bytes"},
        {"body": "x" * (actions.MAX_BODY + 1)},
        {"html": 7},
        {"headers": {"Bcc": "x@y.example\r\nX: y"}},
        {"headers": {f"X-{number}": "x" for number in range(51)}},
        {"from_": "nobody"},
    ],
)
def test_what_is_no_mail_is_refused_at_the_hooks_own_line(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        mail(**values)


@pytest.mark.parametrize("reason", ["", " ", None, 5])
def test_a_drop_needs_a_reason(reason: Any) -> None:
    with pytest.raises(ValueError, match="reason"):
        actions.drop(reason)


@pytest.mark.parametrize("name", ["", "x" * 254, None])
def test_a_domain_is_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match="domain"):
        actions.send_to(name)
