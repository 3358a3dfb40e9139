"""What hooks return, and the names that are Tubepost's own."""

from __future__ import annotations

from typing import Final, Literal

Classification = Literal["success", "tempfailed", "permfailed"]
"""What `apn_status_classifier` returns, or None to leave it as it is."""
Disposition = Literal["continue", "done"]
"""What `generic_delivery_msg_dispose` returns; None means CONTINUE."""

SUCCESS: Final = "success"
"""The notification counts as delivered."""
TEMPFAILED: Final = "tempfailed"
"""It failed for now, and is tried again."""
PERMFAILED: Final = "permfailed"
"""It failed for good."""
CONTINUE: Final = "continue"
"""Go on as without the hook: log, bounce."""
DONE: Final = "done"
"""The hook has seen to it: no bounce is made."""

OWN_VARIABLES: Final = frozenset(
    {
        "DLV_Transaction_ID",
        "DLV_Response_Status",
        "DLV_Response_Status_Detail",
        "DLV_Msg_Length",
        "DLV_Remote_IP_Address",
    }
)
"""Context variables that Tubepost sets; nobody else can."""
