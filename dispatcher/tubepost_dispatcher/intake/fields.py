"""A push part that came as fields, such as a REST request's: the same checks as for one in a mail. Pure."""

from __future__ import annotations

import re
from typing import Final

from tubepost_dispatcher.intake.mcmt.inner import build_part
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS, McmtLimits
from tubepost_dispatcher.intake.mcmt.message import McmtMessage
from tubepost_dispatcher.intake.mcmt.parser import fallback_token
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.text import printable
from tubepost_dispatcher.transaction import PushFields

_NAME = re.compile(r"[0-9A-Za-z_]{1,64}")
_VALUE = re.compile(r"[ -~]{0,1000}")

FAR_TOO_LARGE: Final = 65_536
"""Bytes of a payload that is not even parsed."""


def read_fields(
    fields: PushFields, payload: bytes, *, recipient_local_part: str, limits: McmtLimits = DEFAULT_LIMITS
) -> McmtMessage | Reply:
    """Check a part and its payload; what comes of it is read as a message of one part."""
    if len(payload) > FAR_TOO_LARGE:
        text = f"the payload has {len(payload)} bytes, the limit is {limits.max_payload}"
        return refusal("PayloadTooLarge", text)
    context = dict(fields.context)
    if len(context) > limits.max_context:
        return refusal("LimitExceeded", f"more than {limits.max_context} context variables")
    for name, value in context.items():
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            return refusal(
                "BadMessage",
                f"context variable {printable(name)}: a name is made of letters, digits and _, a value of at "
                "most 1,000 printable ASCII characters",
            )
    part = build_part(
        dict(fields.headers), payload, limits, lambda: fallback_token(context, recipient_local_part)[0]
    )
    return part if isinstance(part, Reply) else McmtMessage([part], context)
