"""Rows of docs/reference/attacks.md about manifests, metrics and logs; `attacks_reference` reads them."""

from __future__ import annotations

from tubepost_credentials.pem import MAX_PEM_SIZE
from tubepost_dispatcher.config.documents import MAX_DEPTH, MAX_DIGITS, MAX_NODES
from tubepost_dispatcher.config.manifests import MAX_FILE_SIZE
from tubepost_dispatcher.feeds.sinks import MAX_BUFFERED as LOGGER_BUFFER
from tubepost_dispatcher.feeds.webhook.client import MOST_READ
from tubepost_dispatcher.policy.client import MAX_WAIT
from tubepost_dispatcher.policy.client import MAX_WAITING as MAX_CALLS
from tubepost_dispatcher.policy.output import MAX_LINE
from tubepost_dispatcher.policy.process import MAX_OUTPUT
from tubepost_dispatcher.policy.wire import MAX_FRAME
from tubepost_dispatcher.text import MAX_TEXT
from tubepost_runtime.endpoints import ANSWER_TIMEOUT, MAX_CONNECTIONS
from tubepost_runtime.line_writer import MAX_BUFFERED as PROCESS_LOG_BUFFER
from tubepost_runtime.repeats import BURST, WINDOW

CONFIGURATION = (
    (
        "Expand aliases to gigabytes",
        f"{MAX_NODES:,} values of a file, {MAX_FILE_SIZE:,} bytes",
        "a problem",
        "dispatcher/config/test_documents.py::test_aliases_cannot_stand_for_gigabytes",
    ),
    (
        "Nest without end, or write numbers without end",
        f"{MAX_DEPTH} levels, {MAX_DIGITS} digits",
        "a problem",
        "dispatcher/config/test_documents.py::test_nesting_is_bounded",
    ),
    (
        "Put something else into a Secret",
        f"{MAX_PEM_SIZE:,} bytes of PEM",
        "a problem that holds no byte of it",
        "credentials/test_secrets.py::test_what_cannot_be_read_is_told_without_a_byte_of_it",
    ),
    (
        "Write a domain pattern that takes for ever",
        "linear time: RE2",
        "a problem, where RE2 cannot have it",
        "api/test_patterns.py",
    ),
)

WATCHING = (
    (
        "Open connections to the metrics port and say nothing",
        f"{MAX_CONNECTIONS} connections, fewer where descriptors are scarce; the idlest makes room",
        "the connection is closed",
        "runtime/test_endpoints.py::test_connections_that_say_nothing_do_not_keep_a_probe_out",
    ),
    (
        "Send half a request to the metrics port, and no more",
        "the same",
        "the connection is closed",
        "runtime/test_endpoints.py::test_half_requests_do_not_keep_a_probe_out",
    ),
    (
        "Send it what is no request, or one with a huge head",
        "8 KiB for the target and each field",
        "400, no line in the log, the connection is closed",
        "runtime/test_endpoints.py::test_what_is_no_request_is_refused_unlogged_and_ends_the_connection",
    ),
    (
        "Ask for what takes long",
        f"{ANSWER_TIMEOUT:g} s; metrics are rendered once for all who ask at a time",
        "503",
        "runtime/test_endpoints.py::test_metrics_that_take_too_long",
    ),
    (
        "Fill standard error, so that who writes to it waits",
        f"a thread writes; {PROCESS_LOG_BUFFER:,} bytes wait, the rest is dropped and counted",
        "nothing",
        "runtime/test_line_writer.py::test_nobody_waits_for_a_pipe_that_is_not_read_and_what_is_dropped_is_said",
    ),
    (
        "Fill the log with one line over and over",
        f"{BURST} lines of a kind in {WINDOW:g} s, the others are counted",
        "nothing",
        "runtime/test_process_log.py::test_repeated_lines_of_one_kind_are_held_back_and_counted",
    ),
    (
        "Read no delivery log",
        f"{LOGGER_BUFFER:,} bytes wait, the rest is dropped and counted",
        "nothing",
        "dispatcher/feeds/test_sinks.py::test_the_buffer_is_bounded_and_what_is_beyond_is_counted",
    ),
    (
        "Forge a line of the delivery log, or have it show a whole token",
        "values are escaped; a token stands whole where a format has `%dt`",
        "nothing",
        "dispatcher/feeds/test_format.py::test_a_token_within_another_field_is_hidden_from_both_kinds_of_lines",
    ),
    (
        "As the receiver of a webhook, answer slowly, without end, with nonsense or with a redirect",
        f"`timeout`; {MOST_READ // 1024} KiB of an answer are read, and {MAX_TEXT} characters told",
        "the batch is kept; deliveries know nothing of it",
        "dispatcher/feeds/webhook/test_client.py::test_a_status_counts_when_its_body_breaks_off_or_does_not_end",
    ),
    (
        "As the receiver of a webhook, take nothing for days",
        "`maxEvents` and `maxSize` for each logger and worker, in memory and in the outbox",
        "the oldest events are dropped and counted",
        "dispatcher/feeds/webhook/test_sink.py::test_the_oldest_give_way_and_are_counted",
    ),
    (
        "As the receiver of a webhook, show our Authorization or device tokens in an answer",
        "replaced where the answer enters",
        "the log line has `[hidden]`",
        "dispatcher/feeds/webhook/test_answer.py::test_what_it_says_is_told_without_our_secrets_or_tokens",
    ),
    (
        "As a hook, loop for ever, allocate without end, crash or end the process",
        "`policy.timeout`, `policy.memory` of a process of its own; only the call in execution fails",
        "PolicyFailed",
        "dispatcher/policy/test_client.py::test_what_one_call_does_harms_that_call_alone",
    ),
    (
        "As a hook, start processes and threads that outlive it, or write files",
        "refused; the whole process group ends with it",
        "PolicyFailed",
        "dispatcher/policy/test_client.py::test_nothing_of_a_process_is_left_behind",
    ),
    (
        "As a hook, print megabytes",
        f"{MAX_LINE} characters of a line, {MAX_OUTPUT // 1024} KiB are read in a row, the rest is dropped",
        "nothing",
        "dispatcher/policy/test_process.py::test_a_flood_is_read_at_a_bounded_pace",
    ),
    (
        "As a hook, answer with something else",
        f"{MAX_FRAME // 2**20} MiB; each value is checked as a sender's",
        "PolicyFailed",
        "dispatcher/policy/test_changes.py::test_what_could_not_stand_in_a_push_part_is_refused",
    ),
    (
        "Have more calls of hooks wait than there are processes for",
        f"{MAX_CALLS:,} calls, {MAX_WAIT:g} s",
        "PolicyFailed",
        "dispatcher/policy/test_client.py::test_the_line_is_bounded",
    ),
    (
        "Set DLV_Response_Status and its like, to look delivered in a log",
        "variables that are Tubepost's to set are ignored and counted as `context-reserved`",
        "the message is taken",
        "dispatcher/feeds/test_format.py::test_ours_are_variables_too_and_no_sender_forges_them",
    ),
)
