"""Rows of docs/reference/attacks.md about the queue and its admin API; `attacks_reference` reads them."""

from __future__ import annotations

from tubepost_dispatcher.bounces.header_text import MAX_VALUE
from tubepost_dispatcher.intake.kept_headers import MOST
from tubepost_dispatcher.queue.groups import MOST_MAILS
from tubepost_dispatcher.queue.journal_file import MOST_BYTES
from tubepost_dispatcher.queue_api import MOST_BODY
from tubepost_dispatcher.queue_request import MOST_IDS, MOST_LISTED, MOST_TEXT
from tubepost_dispatcher.supervisor.queue_operations import BUDGET, MOST_GROUPS

ROWS = (
    (
        "Have a web page change the queue through the admin port",
        (
            "loopback only; the Host header names loopback; changes are POST with a body of JSON, which a"
            " page cannot send elsewhere without being asked for permission first"
        ),
        "403, 405, 415",
        "dispatcher/test_queue_api.py::test_what_is_refused",
    ),
    (
        "Send the admin port a body without end",
        f"{MOST_BODY:,} bytes",
        "413",
        "dispatcher/test_queue_api.py::test_a_long_body_without_a_length_is_refused",
    ),
    (
        "Ask for the whole of a queue of millions",
        (
            f"{MOST_LISTED} notifications and {BUDGET:g} s of an answer; the next one goes on; steps of "
            "milliseconds, between which mail is stored"
        ),
        "part of the answer",
        "dispatcher/queue/test_operations.py::test_a_large_queue_is_counted_in_steps_that_leave_room_for_mail",
    ),
    (
        "Send to so many domains that a summary gets large",
        f"{MOST_GROUPS:,} groups; the smallest are put together",
        "part of the answer",
        "dispatcher/supervisor/test_queue_operations.py::test_an_answer_has_a_bounded_number_of_groups",
    ),
    (
        "Write a filter that is long, strange, or none",
        f"{MOST_TEXT} characters, {MOST_IDS} ids; refused in one line of words",
        "400",
        "dispatcher/test_queue_request.py::test_a_body_is_read_or_refused_in_one_line_of_words",
    ),
    (
        "Put terminal control into a sender that an operator lists",
        "shown as `?`",
        "nothing",
        "cli/test_queue_text.py::test_what_came_from_outside_cannot_move_the_cursor",
    ),
    (
        "Write header fields or parts into a report to a sender, by whatever it repeats",
        f"one line of {MAX_VALUE} printable octets for a field, {MOST:,} octets of the sender's headers",
        "`?` in the place of each other character",
        "dispatcher/bounces/test_report.py::test_no_text_from_outside_breaks_a_report",
    ),
    (
        "Let reports answer reports for ever",
        "none to the null return path, none to an automatic reply; each has both itself",
        "nothing",
        "dispatcher/bounces/test_decision.py::test_an_automatic_reply_gets_none_and_a_list_does",
    ),
    (
        "Have so many reports made that notifications wait for them",
        f"a lane of their own, {MOST_MAILS} on their way from a worker",
        "nothing",
        "dispatcher/queue/test_mails.py::test_notifications_do_not_wait_for_mails",
    ),
    (
        "Send so much that the journal fills the volume",
        f"two files of {MOST_BYTES:,} bytes for each worker",
        "nothing",
        "dispatcher/queue/test_journal_file.py::test_two_generations_are_kept",
    ),
)
