"""Writes docs/reference/attacks.md: what can be tried against Tubepost, and what holds against it.

Limits and replies are read from the code; `tests/test_attacks.py` looks for each test.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from runpy import run_path
from typing import NamedTuple

from tubepost_api.config import ListenerLimits
from tubepost_dispatcher.acceptance.relay import MAX_HAND_OVERS, MAX_OCTETS
from tubepost_dispatcher.apns.breaker import DISTINCT_TOKENS, DISTINCT_TOKENS_ONE_SOURCE
from tubepost_dispatcher.apns.dialing import MAX_PROXY_ANSWER
from tubepost_dispatcher.apns.http2.results import EngineLimits
from tubepost_dispatcher.apns.pool.answers import MAX_MOVES
from tubepost_dispatcher.apns.pool.policy import MOST_DIALS
from tubepost_dispatcher.delivery.metrics_listener import UNKNOWN_REASONS
from tubepost_dispatcher.delivery.retry import DOUBTFUL_SENDS
from tubepost_dispatcher.intake.mcmt.limits import DEFAULT_LIMITS as MCMT
from tubepost_dispatcher.reasons.catalogue import REASONS
from tubepost_dispatcher.smtp.auth import MAX_AUTH_FAILURES, MAX_AUTH_LINE
from tubepost_dispatcher.smtp.auth_throttle import FIRST_WAIT, FREE, LONGEST_WAIT
from tubepost_dispatcher.smtp.commands import MAX_COMMAND_LINE, MAX_ENVELOPE_LINE, RECIPIENT_OVERSHOOT
from tubepost_dispatcher.smtp.data import FILE_ABOVE, MEMORY_BUDGET
from tubepost_dispatcher.smtp.flow import MAX_HELD
from tubepost_dispatcher.smtp.proxied import HEADER_TIMEOUT, MAX_WAITING
from tubepost_dispatcher.smtp.proxy_header import MAX_V2
from tubepost_dispatcher.smtp.session import COMMANDS_PER_TURN
from tubepost_dispatcher.smtp.timeouts import MIN_DATA_RATE
from tubepost_dispatcher.text import MAX_TEXT

_LIMITS, _HTTP2 = ListenerLimits(), EngineLimits()
_QUEUE = run_path(__file__.replace("attacks_reference", "_queue_attacks"))["ROWS"]
_REST = run_path(__file__.replace("attacks_reference", "_rest_attacks"))["ROWS"]
_PROCESS = run_path(__file__.replace("attacks_reference", "_process_attacks"))


class Attack(NamedTuple):
    """One row. `reply` is a word of the catalogue, or what happens instead; `test` is below `tests/`."""

    vector: str
    limit: str
    reply: str
    test: str


_SMTP, _MCMT = "dispatcher/smtp/test_", "dispatcher/intake/mcmt/test_parser.py::"
_HTTP = "dispatcher/apns/http2/test_state.py::"
_POOL = "dispatcher/apns/pool/test_"

_CONNECTIONS = (
    Attack(
        "Open connections until nobody else gets one",
        f"`maxConnections` {_LIMITS.max_connections:,}, `maxConnectionsPerClient` "
        f"{_LIMITS.max_connections_per_client:,}; where none is left the client with the most sessions makes "
        "room, idle ones first",
        "TooManyConnections",
        f"{_SMTP}admission.py::test_a_full_listener_serves_another_address",
    ),
    Attack(
        "Choose an address by a PROXY header",
        "read from `proxyProtocol.trustedNetworks` alone",
        "ProxyHeader",
        f"{_SMTP}proxied.py::test_who_is_not_trusted_cannot_choose_an_address",
    ),
    Attack(
        "Connect through the load balancer and say nothing, or send half a PROXY header",
        f"{HEADER_TIMEOUT:g} s, {MAX_WAITING:,} connections of a worker, {MAX_V2:,} bytes",
        "ProxyHeaderExpected",
        f"{_SMTP}proxied.py::test_a_header_that_does_not_come_is_not_waited_for",
    ),
    Attack(
        "Stay by commands that do nothing",
        f"`commandTimeout` {_LIMITS.command_timeout:g} s, `maxSessionAge` {_LIMITS.max_session_age:g} s",
        "CommandTimeout",
        f"{_SMTP}admission.py::test_no_command_that_does_nothing_buys_time",
    ),
    Attack(
        "Send a command octet by octet",
        f"`commandTimeout` {_LIMITS.command_timeout:g} s counts from the last whole command",
        "CommandTimeout",
        f"{_SMTP}session.py::TestTimes::test_octets_of_an_unfinished_command_buy_no_time",
    ),
    Attack(
        "Send a message slowly",
        f"{MIN_DATA_RATE:,} bytes a second on average after `commandTimeout`",
        "MessageTooSlow",
        f"{_SMTP}session.py::TestTimes::test_a_message_that_trickles_is_given_up",
    ),
    Attack(
        "Hang in the TLS handshake",
        f"`tlsHandshakeTimeout` {_LIMITS.tls_handshake_timeout:g} s",
        "the connection is closed",
        f"{_SMTP}starttls.py::test_a_client_that_stalls_in_the_handshake_is_cut",
    ),
    Attack(
        "Connect from elsewhere",
        "`allowedNetworks`, if set",
        "ClientNotAllowed",
        f"{_SMTP}server.py::test_networks_that_are_not_allowed",
    ),
    Attack(
        "Use up the descriptors",
        "one line, and connections are taken again as soon as there are some",
        "nothing, the connection waits",
        f"{_SMTP}server.py::test_without_descriptors_it_does_not_spin_and_says_so_once",
    ),
)

_COMMANDS = (
    Attack(
        "Send a line without end",
        f"{MAX_COMMAND_LINE:,} bytes, {MAX_ENVELOPE_LINE:,} for MAIL and RCPT; no more is kept",
        "CommandLineTooLong",
        f"{_SMTP}commands.py::test_an_endless_line_is_not_stored",
    ),
    Attack(
        "Flood with pipelined commands",
        f"{COMMANDS_PER_TURN} commands, then it is the others' turn",
        "each gets its reply",
        f"{_SMTP}session.py::test_a_flood_of_commands_is_answered_in_turns",
    ),
    Attack(
        "Send on while a reply is due, or read no replies",
        f"{MAX_HELD:,} bytes are kept, then the connection is not read",
        "nothing",
        f"{_SMTP}session.py::test_input_held_back_is_bounded",
    ),
    Attack(
        "Try commands until one works",
        f"`maxErrors` {_LIMITS.max_errors} since the last accepted message",
        "TooManyErrors",
        f"{_SMTP}protocol.py::test_too_many_errors_end_the_session",
    ),
    Attack(
        "Guess passwords",
        f"{MAX_AUTH_FAILURES} a session; {FREE} of an address at once, then a wait from {FIRST_WAIT:g} s "
        f"that doubles to {LONGEST_WAIT:g} s, over all its sessions",
        "TooManyAuthFailures",
        f"{_SMTP}auth_throttle.py::TestInSessions::test_reconnecting_does_not_help",
    ),
    Attack(
        "Send endless lines in AUTH",
        f"{MAX_AUTH_LINE:,} bytes",
        "AuthLineTooLong",
        f"{_SMTP}auth.py::test_broken_auth_exchanges",
    ),
    Attack(
        "Slip commands in before TLS",
        "what came before the handshake is dropped",
        "nothing",
        f"{_SMTP}starttls.py::test_commands_injected_before_tls_are_discarded",
    ),
    Attack(
        "Smuggle a second message behind an odd end of the first",
        "CR LF `.` CR LF alone ends a message",
        "one message is taken",
        f"{_SMTP}data.py::test_nothing_but_crlf_dot_crlf_ends_a_message",
    ),
    Attack(
        "Give recipients without end",
        f"`maxRecipients` {_LIMITS.max_recipients:,}; from {RECIPIENT_OVERSHOOT:,} above it they are errors",
        "TooManyRecipients",
        f"{_SMTP}commands.py::test_a_client_that_never_stops_sending_recipients_is_sent_away",
    ),
    Attack(
        "Forge replies or log lines by what a command holds",
        "printable ASCII, one line",
        "`?` in its place",
        f"{_SMTP}replies.py::test_no_text_can_forge_a_reply",
    ),
)

_MESSAGES = (
    Attack(
        "Send a message larger than allowed",
        f"`maxMessageSize` {_LIMITS.max_message_size:,}; the rest is read and not kept, the session ends "
        "at twice that",
        "MessageTooLarge",
        f"{_SMTP}data.py::test_too_large_is_followed_to_its_end_without_keeping_it",
    ),
    Attack(
        "Fill the memory with large messages that never end",
        f"{FILE_ABOVE:,} bytes of a message in memory, {MEMORY_BUDGET:,} of all; the rest in temporary files",
        "InsufficientStorage",
        f"{_SMTP}server.py::test_ten_large_messages_at_once_stay_out_of_memory",
    ),
    Attack(
        "Send a header block or a line without end",
        f"`maxHeaderSize` {_LIMITS.max_header_size:,}, `maxLineLength` {_LIMITS.max_line_length:,}",
        "HeaderTooLarge",
        f"{_SMTP}data.py::test_the_header_has_a_limit_of_its_own",
    ),
    Attack(
        "Nest multiparts",
        f"{MCMT.max_depth} levels, and a budget of scanned bytes",
        "LimitExceeded",
        f"{_MCMT}test_depth_beyond_the_limit",
    ),
    Attack(
        "Send header lines by the million, in many parts",
        f"{MCMT.max_headers:,} lines of a block, and a bound over the whole message",
        "LimitExceeded",
        f"{_MCMT}test_header_lines_are_bounded_over_the_whole_message",
    ),
    Attack(
        "Send many parts",
        f"{MCMT.max_parts:,} parts, {MCMT.max_push_parts} push parts",
        "LimitExceeded",
        f"{_MCMT}test_push_parts_are_bounded_over_the_whole_message",
    ),
    Attack(
        "Send lines that look like boundaries",
        f"{MCMT.max_false_delimiters:,}",
        "LimitExceeded",
        f"{_MCMT}test_lines_that_only_look_like_delimiters",
    ),
    Attack(
        "Put another message into the gap between two readings of a boundary",
        "a boundary that can be read in two ways is refused",
        "BadMessage",
        f"{_MCMT}test_a_doubtful_boundary_is_refused",
    ),
    Attack(
        "Keep mail for the relay in memory",
        f"{MAX_HAND_OVERS} hand-overs, {MAX_OCTETS:,} bytes of them",
        "a transient reply",
        "dispatcher/acceptance/test_relay.py::test_hand_overs_are_bounded",
    ),
    Attack(
        "Hold a route for others by a list of stale tokens",
        f"{DISTINCT_TOKENS} tokens of several senders, {DISTINCT_TOKENS_ONE_SOURCE:,} of one; a success "
        "proves the route; who brought them is held, nobody else",
        "EnvironmentMismatch",
        f"{_POOL}pool_trouble.py::test_mixed_up_environments_hold_their_senders_and_nobody_else",
    ),
)

_PEERS = (
    Attack(
        "Flood with frames that end no stream",
        f"{_HTTP2.max_idle_frames:,} frames",
        "GOAWAY ENHANCE_YOUR_CALM",
        f"{_HTTP}test_a_flood_without_progress_ends_the_connection",
    ),
    Attack(
        "Send a header block without end, in CONTINUATION frames",
        f"{_HTTP2.max_header_block:,} bytes, encoded and decoded",
        "GOAWAY ENHANCE_YOUR_CALM",
        f"{_HTTP}test_a_header_block_has_a_bound_however_it_is_cut",
    ),
    Attack(
        "Send a large body, or a large frame",
        f"{_HTTP2.max_body:,} bytes",
        "the stream is reset",
        "dispatcher/apns/http2/test_receiving.py::test_a_body_beyond_the_bound_resets_its_stream_and_keeps_the_status",
    ),
    Attack(
        "Ask for answers and read none",
        f"{_HTTP2.max_control_output:,} bytes wait",
        "GOAWAY ENHANCE_YOUR_CALM",
        f"{_HTTP}test_answers_that_are_never_taken_do_not_pile_up",
    ),
    Attack(
        "Allow no streams, or refuse all of them",
        f"one connection where none are allowed; {MAX_MOVES} moves of a request to another connection",
        "a transient reply",
        f"{_POOL}connections.py::test_a_server_that_allows_no_stream_gets_one_connection",
    ),
    Attack(
        "Accept connections and say nothing",
        f"{MOST_DIALS} attempts at a time",
        "a transient reply",
        f"{_POOL}connections.py::test_beside_an_attempt_that_hangs_another_one_is_made",
    ),
    Attack(
        "Have connections replaced over and over",
        "a replacement without one answer between is paced, ever more slowly",
        "a transient reply",
        f"{_POOL}connections.py::test_what_is_given_up_unproven_is_replaced_ever_more_slowly",
    ),
    Attack(
        "Take requests and lose the answers, so that notifications are sent again",
        f"{DOUBTFUL_SENDS} sends of a message that may have been delivered",
        "a transient reply",
        "dispatcher/acceptance/test_direct.py::test_a_possible_double_is_counted_and_repeated_at_once",
    ),
    Attack(
        "Invent reasons, to fill memory with labels of metrics",
        f"{UNKNOWN_REASONS} unknown reasons have labels, the others share one",
        "the reason, cleaned",
        "dispatcher/delivery/test_metrics_listener.py::test_words_from_outside_become_so_many_labels_and_no_more",
    ),
    Attack(
        "Say our credentials or a token back in a reason",
        f"{MAX_TEXT} printable characters, without secrets and tokens",
        "the reason, cleaned",
        "dispatcher/test_text.py::test_what_others_say_holds_no_secret",
    ),
    Attack(
        "Answer a CONNECT without end, or with the password in it (proxy)",
        f"{MAX_PROXY_ANSWER:,} bytes",
        "a transient reply",
        "dispatcher/apns/test_dialing.py::test_a_proxy_that_says_our_password_back_does_not_spread_it",
    ),
    Attack(
        "Stop reading a mail, or answer with secrets (relay)",
        "one time-out; its words are cleaned",
        "a transient reply",
        f"{_SMTP}client.py::test_a_relay_that_stops_reading_is_left_after_one_time_out",
    ),
)

ATTACKS: Sequence[tuple[str, Sequence[Attack]]] = (
    ("Connections to the SMTP port", _CONNECTIONS),
    ("SMTP commands", _COMMANDS),
    ("Messages", _MESSAGES),
    ("Requests", [Attack(*row) for row in _REST]),
    ("An APNs peer, a proxy, a relay", _PEERS),
    ("Manifests and Secrets", [Attack(*row) for row in _PROCESS["CONFIGURATION"]]),
    ("Metrics, health and logs", [Attack(*row) for row in _PROCESS["WATCHING"]]),
    ("The queue", [Attack(*row) for row in _QUEUE]),
)


def _reply(word: str) -> str:
    if " " in word or word.isdigit() or word == "nothing":
        return word
    spec = REASONS[word]
    return f"`{' '.join(f'{spec.smtp_code} {spec.enhanced} {spec.text}'.split())}` ({word})"


def outputs() -> dict[str, str]:
    """The page."""
    pieces = [Path(__file__).with_name("attacks_page.md").read_text(encoding="utf-8")]
    for title, attacks in ATTACKS:
        pieces.append(f"## {title}\n\n| vector | limit | reply | test |\n| --- | --- | --- | --- |\n")
        for one in attacks:
            test = one.test.replace("::", "` `", 1)
            pieces[-1] += f"| {one.vector} | {one.limit} | {_reply(one.reply)} | `{test}` |\n"
    return {"docs/reference/attacks.md": "\n".join(pieces)}
