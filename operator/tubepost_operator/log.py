"""The operator's log: what the runtime's process log is for a program with kopf in it."""

from __future__ import annotations

import logging
from typing import Final, Literal

from tubepost_runtime import process_log

_LAYOUT: Final = process_log.Layout(
    head="{time} {level:<7} {logger}: ",
    fields={"object_kind": "kind", "object_namespace": "namespace", "object_name": "name"},
    fields_in_text=False,  # messages begin with the object's name
)
_NOISE: Final = "OS signals are ignored"


def setup(level: str, form: Literal["text", "json"]) -> None:
    """Set up logging for the process.

    Args:
        level: Debug, Info, Warning or Error.
        form: the form of the lines.
    """
    handler = process_log.setup(level, form, layout=_LAYOUT)
    # kopf says so whenever it runs in a thread, where it is to leave signals alone.
    handler.addFilter(lambda record: _NOISE not in record.getMessage())
    # It tells of every attempt, and of its tasks as they end.
    logging.getLogger("kopf").setLevel(logging.DEBUG if level == "Debug" else logging.ERROR)
