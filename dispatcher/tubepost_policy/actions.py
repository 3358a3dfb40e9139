"""What a hook may do with a message, other than let it go on."""

from __future__ import annotations

from typing import Any, Final

MAX_REASON: Final = 200
"""Characters of a reason that are kept."""
MAX_BODY: Final = 512 * 1024
"""Characters of the longest body of a mail, text and HTML each."""
MAX_SUBJECT: Final = 900
"""Characters of the longest subject."""
MAX_HEADERS: Final = 50
"""Headers that a hook may add to a mail."""

Action = dict[str, Any]
"""An action as it travels to the dispatcher: JSON values, `type` says which."""


class PolicyError(Exception):
    """A hook asked for something that cannot be done at this point."""


def drop(reason: str) -> Action:
    """End the message without a bounce."""
    _check_text("reason", reason, 100 * MAX_REASON)
    if not reason.strip():
        raise ValueError("drop() needs a reason, in words")
    return {"type": "drop", "reason": " ".join(reason.split())[:MAX_REASON]}


def send_to(domain: str) -> Action:
    """Deliver it by another domain of the same PushDomain."""
    _check_text("domain", domain, 253)
    if not domain:
        raise ValueError("send_to() needs the name of a domain of this PushDomain")
    return {"type": "domain", "domain": domain.lower()}


def send_mail(
    to: str,
    subject: str,
    body: str,
    html: str | None,
    headers: dict[str, str] | None,
    from_: str,
) -> Action:
    """Send a mail instead; the mail is made here, lest the dispatcher spend its time on it.

    Raises:
        ValueError: an address, subject, body or header that cannot be sent.
    """
    # A mail is rare, and these imports take longer than most hooks.
    from email.errors import MessageError  # noqa: PLC0415
    from email.message import EmailMessage  # noqa: PLC0415
    from email.policy import SMTP  # noqa: PLC0415
    from email.utils import formatdate, make_msgid  # noqa: PLC0415

    _check_text("subject", subject, MAX_SUBJECT)
    if "\n" in subject or "\r" in subject:
        raise ValueError("the subject of a mail is one line")
    _check_text("body", body, MAX_BODY)
    if html is not None:
        _check_text("html", html, MAX_BODY)
    if headers is not None and len(headers) > MAX_HEADERS:
        raise ValueError(f"a mail takes at most {MAX_HEADERS} headers from a hook")
    mail = EmailMessage(policy=SMTP)
    try:
        mail["From"] = from_
        mail["To"] = to
        mail["Subject"] = subject
        mail["Date"] = formatdate(usegmt=True)
        mail["Message-ID"] = make_msgid(domain=_domain_of(from_))
        mail["Auto-Submitted"] = "auto-generated"
        for name, value in (headers or {}).items():
            del mail[name]
            mail[name] = value
        mail.set_content(body, cte="quoted-printable")
        if html is not None:
            mail.add_alternative(html, subtype="html", cte="quoted-printable")
        content = mail.as_bytes().decode("ascii")
    except (AttributeError, MessageError, IndexError, TypeError) as error:
        raise ValueError(f"a mail cannot be made of this: {error}") from None
    except UnicodeError:
        raise ValueError("an address of the mail is not ASCII; this takes a relay with SMTPUTF8") from None
    return {"type": "mail", "to": _address_of(to), "content": content}


def _check_text(name: str, value: object, most: int) -> None:
    if not isinstance(value, str):
        raise ValueError(f"the {name} is text, not {type(value).__name__}")  # noqa: TRY004 - one kind
    if len(value) > most:
        raise ValueError(f"the {name} has {len(value)} characters, the limit is {most}")


def _address_of(to: object) -> str:
    from email.utils import parseaddr  # noqa: PLC0415 - as in `send_mail`

    address = parseaddr(to)[1] if isinstance(to, str) else ""
    if address.count("@") != 1 or any(char.isspace() for char in address):
        raise ValueError(f"send_mail() needs one mail address, not {to!r:.80}")
    return address


def _domain_of(address: str) -> str:
    return _address_of(address).rpartition("@")[2]
