"""Kubernetes quantities (`500m`, `1Gi`), read by the Kubernetes client's own parser.

Apart from `cluster`, the only module that knows the client. Importing it costs 0.2 s once, which the operator
pays for its requests anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity

_parse: Callable[[str], Decimal] = parse_quantity  # it has no annotations


def amount(text: str) -> Decimal | None:
    """The amount that a quantity stands for, None when it is none.

    Source: Kubernetes, apimachinery `resource.Quantity`.
    """
    # What Decimal takes besides is no quantity: spaces, underscores, digits of other scripts.
    if not text.isascii() or any(sign.isspace() or sign == "_" for sign in text):
        return None
    try:
        value = _parse(text)
    except ValueError:
        return None
    return value if value.is_finite() else None
