"""Names of the dispatcher's metrics that the operator reads from its pods.

The two programs may be of different releases: a name here is a promise between them.
"""

from __future__ import annotations

from typing import Final

CONFIG_INFO: Final = "tubepost_config_info"
CONFIG_LAST_RELOAD_FAILED: Final = "tubepost_config_last_reload_failed"
CONFIG_REFUSED_INFO: Final = "tubepost_config_refused_info"
SMTP_SESSIONS: Final = "tubepost_smtp_sessions"
ATTEMPTS: Final = "tubepost_attempts"
ATTEMPTS_TOTAL: Final = f"{ATTEMPTS}_total"
"""The counter's sample."""
ROUTE_HELD: Final = "tubepost_route_held"
QUEUE_ENTRIES: Final = "tubepost_queue_entries"
QUEUE_PARTITIONS: Final = "tubepost_queue_partitions"
QUEUE_QUARANTINED: Final = "tubepost_queue_quarantined_files"
QUEUE_DAMAGED: Final = "tubepost_queue_damaged_entries"
QUEUE_STREAM_STATE: Final = "tubepost_queue_stream_state"
RETIRING: Final = "tubepost_retiring"

NAMES: Final = (
    CONFIG_INFO,
    CONFIG_LAST_RELOAD_FAILED,
    CONFIG_REFUSED_INFO,
    SMTP_SESSIONS,
    ATTEMPTS,
    ROUTE_HELD,
    QUEUE_ENTRIES,
    QUEUE_PARTITIONS,
    QUEUE_QUARANTINED,
    QUEUE_DAMAGED,
    QUEUE_STREAM_STATE,
    RETIRING,
)
"""All of them."""
