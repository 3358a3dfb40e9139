from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dispatcher.delivery.support import BUSY, DEAD, DELIVERED, notification
from tubepost_dispatcher.context import (
    ADDRESS_IGNORED,
    ADDRESSES,
    OURS,
    RESERVED,
    context_of,
    error_text,
    sendable,
    variables,
)
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.reasons.message import WARNINGS

NAMES = st.sampled_from([*OURS, *ADDRESSES, "DLV_Dest_ID", "campaign"])
CONTEXTS = st.dictionaries(NAMES, st.text(max_size=5))


@given(CONTEXTS, st.booleans())
def test_a_sender_sets_what_is_its_own_and_is_warned_of_the_rest(
    context: dict[str, str], addresses: bool
) -> None:
    kept, warnings = sendable(context, addresses=addresses)
    mine = {name: value for name, value in context.items() if name not in OURS}
    if not addresses:
        mine = {name: value for name, value in mine.items() if name not in ADDRESSES}
    assert kept == mine
    assert (RESERVED in warnings) == any(name in OURS for name in context)
    assert (ADDRESS_IGNORED in warnings) == (not addresses and any(name in ADDRESSES for name in context))
    if not warnings:
        assert kept is context


def test_both_warnings_are_counted_by_name() -> None:
    assert {RESERVED, ADDRESS_IGNORED} <= WARNINGS.keys()


@given(CONTEXTS)
def test_whatever_a_notification_brings_along_ours_are_ours(context: dict[str, str]) -> None:
    what = notification(1, context=context)
    made = context_of(what, DEAD, sent_bytes=412, peer="192.0.2.7")
    assert {name: made[name] for name in OURS} == {
        "DLV_Transaction_ID": what.apns_id.decode(),
        "DLV_Response_Status": "8",
        "DLV_Response_Status_Detail": "Unregistered",
        "DLV_Msg_Length": "412",
        "DLV_Remote_IP_Address": "192.0.2.7",
    }
    assert {name: value for name, value in made.items() if name not in OURS} == sendable(context)[0]


@pytest.mark.parametrize("outcome", [None, DELIVERED])
def test_status_and_detail_are_empty_before_an_attempt_and_when_it_was_delivered(
    outcome: Outcome | None,
) -> None:
    made = context_of(notification(1), outcome)
    assert (made["DLV_Response_Status"], made["DLV_Response_Status_Detail"]) == ("", "")
    assert (made["DLV_Msg_Length"], made["DLV_Remote_IP_Address"]) == ("", "")


def test_the_detail_is_the_reason_and_what_there_is_to_say_of_it() -> None:
    assert error_text(BUSY) == "ServiceUnavailable"
    assert error_text(Outcome(OutcomeKind.PERMANENT, "Odd", detail="Not in the table.")) == (
        "Odd: Not in the table."
    )


def test_variables_leave_the_senders_mapping_alone() -> None:
    mine = {"DLV_Msg_Length": "1", "campaign": "x"}
    assert variables(mine, "id", "", "", 7, "")["DLV_Msg_Length"] == "7"
    assert mine == {"DLV_Msg_Length": "1", "campaign": "x"}
