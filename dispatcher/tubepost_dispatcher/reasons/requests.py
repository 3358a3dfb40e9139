"""Reasons of the listener for requests (REST): what it refuses before acceptance hears of it. Data."""

from __future__ import annotations

from typing import Final

from tubepost_dispatcher.outcome import OutcomeKind
from tubepost_dispatcher.reasons.spec import ReasonSpec, Source


def _row(reason: str, status: int, text: str, help_: str, remedy: str) -> ReasonSpec:
    again = status in {408, 409, 429}
    kind = OutcomeKind.TRANSIENT if again else OutcomeKind.PERMANENT
    code, enhanced = (451, "4.3.2") if again else (554, "5.6.0")
    legacy_code = 1 if again else 4
    return ReasonSpec(
        reason, kind, code, enhanced, help_, remedy, legacy_code, text, source=Source.REQUESTS, http=status
    )


REQUEST_REASONS: Final[tuple[ReasonSpec, ...]] = (
    _row(
        "BadRequest",
        400,
        "",
        "The request is no HTTP, or its body is not the JSON that is expected.",
        "The detail says what is wrong, and `pointer` where; see /v1/openapi.json.",
    ),
    _row(
        "Unauthorized",
        401,
        "a bearer token that is known here is needed",
        "The request has no bearer token, or one that is not in the Secret of spec.rest.tokens.",
        "Send `Authorization: Bearer TOKEN`, or add the client's token to the Secret.",
    ),
    _row(
        "NoSuchPath",
        404,
        "there is nothing at this path",
        "The path is none of the API's.",
        "See docs/rest.md.",
    ),
    _row(
        "MethodRefused",
        405,
        "the method is not one for this path",
        "The method is not one for this path.",
        "Notifications are sent by POST.",
    ),
    _row(
        "RequestTooSlow",
        408,
        "the request did not come in time",
        "The head of a request did not come within 10 s, or the rest of it within a minute.",
        "Check the network between client and pod.",
    ),
    _row(
        "RequestInProgress",
        409,
        "a request with this Idempotency-Key is being answered",
        "A request with the same Idempotency-Key has no answer yet.",
        "Send it again later; it gets the answer of the first one.",
    ),
    _row(
        "RequestTooLarge",
        413,
        "",
        "The body is larger than spec.rest.maxBodySize.",
        "Send fewer notifications in one request, or raise the limit.",
    ),
    _row(
        "BatchTooLarge",
        413,
        "",
        "The request has more notifications than spec.rest.maxBatch.",
        "Send fewer notifications in one request, or raise the limit.",
    ),
    _row(
        "NotJson",
        415,
        "the body has to be application/json, and not compressed",
        "Content-Type is not application/json, or there is a Content-Encoding.",
        "Send JSON in UTF-8, uncompressed.",
    ),
    _row(
        "IdempotencyKeyReused",
        422,
        "this Idempotency-Key came with another body before",
        "Two requests of one client with different bodies have the same Idempotency-Key.",
        "Use a new key for each request that is not a repetition.",
    ),
    _row(
        "HeadTooLarge",
        431,
        "the head of the request is too large",
        "The head of a request has more than 16 KiB or 100 fields.",
        "Send fewer or shorter header fields.",
    ),
)
