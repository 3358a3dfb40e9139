"""Rows of docs/reference/attacks.md about requests; `attacks_reference` reads them."""

from __future__ import annotations

from tubepost_api.config import RestConfig
from tubepost_dispatcher.http.connection import BODY_TIME, HEAD_TIME, KEEP_ALIVE, WRITE_TIME
from tubepost_dispatcher.http.head import MAX_FIELDS, MAX_HEAD
from tubepost_dispatcher.http.idempotency import KEPT, KEPT_BYTES, MAX_KEY
from tubepost_dispatcher.http.listener import MAX_BODIES, MAX_CONNECTIONS
from tubepost_dispatcher.http.submission import SLICE
from tubepost_dispatcher.smtp.auth_throttle import FREE, LONGEST_WAIT

_TEST = "dispatcher/http/test_connection.py::"
_DEFAULTS = RestConfig(tokens="")

ROWS = (
    (
        "Open connections for requests until nobody else gets one",
        f"{MAX_CONNECTIONS:,} of a worker; the one that was idle for longest makes room",
        "503 TooManyConnections where none is idle",
        f"{_TEST}test_the_idlest_connection_makes_room",
    ),
    (
        "Send a request an octet at a time, or never read the answers",
        (
            f"{HEAD_TIME:g} s for the head, {BODY_TIME:g} s for the body, {KEEP_ALIVE:g} s without one, "
            f"{WRITE_TIME:g} s for answers that nobody reads"
        ),
        "408 RequestTooSlow, or the connection is closed",
        f"{_TEST}test_slow_clients",
    ),
    (
        "Send a head without end",
        f"{MAX_HEAD:,} octets, {MAX_FIELDS} fields",
        "431 HeadTooLarge",
        f"{_TEST}test_what_cannot_be_read_on_ends_the_connection",
    ),
    (
        "Send a body without end, with a length or in chunks",
        f"`maxBodySize` {_DEFAULTS.max_body_size:,}",
        "413 RequestTooLarge",
        f"{_TEST}test_a_body_in_chunks_has_the_same_bound",
    ),
    (
        "Send many large bodies at a time",
        f"{MAX_BODIES:,} octets of a worker",
        "503 Overloaded",
        f"{_TEST}test_bodies_are_bounded_together",
    ),
    (
        "Hold the event loop with one large batch",
        f"`maxBatch` {_DEFAULTS.max_batch:,}; {SLICE} notifications are begun in one turn of the loop",
        "413 BatchTooLarge",
        "dispatcher/http/test_submission.py::test_a_large_batch_leaves_the_loop_between_slices",
    ),
    (
        "Guess bearer tokens",
        (
            f"the {FREE + 1}th from one address waits, twice as long each time, up to {LONGEST_WAIT:g} s; "
            "tokens are found by keyed digest; one that was good from there is not concerned"
        ),
        "401 Unauthorized, 429 AuthThrottled",
        f"{_TEST}test_bad_tokens_are_throttled_and_good_ones_from_there_are_not",
    ),
    (
        "Smuggle a request: two lengths, a length and chunks, another protocol",
        "the parser refuses them; the connection is closed",
        "400 BadRequest",
        f"{_TEST}test_what_cannot_be_read_on_ends_the_connection",
    ),
    (
        "Put SMTP parameters or line ends into an envelope's texts",
        "addresses and parameters are single words for the reader of SMTP's own commands",
        "422 BadRecipient, BadSender, BadParameter",
        "dispatcher/http/test_requests.py::test_faults",
    ),
    (
        "Fill the memory with Idempotency-Keys",
        f"{KEPT:,} keys of {MAX_KEY} characters, {KEPT_BYTES:,} octets of answers; the oldest go first",
        "nothing",
        "dispatcher/http/test_idempotency.py::test_bounds",
    ),
)
