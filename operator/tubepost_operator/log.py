"""The operator's log, on standard error: a line per record, as text or JSON, with the object's name in it."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal

_FIELDS: Final = ("object_kind", "object_namespace", "object_name")
_NOISE: Final = "OS signals are ignored"


class _Json(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Called by logging."""
        entry: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for field in _FIELDS:
            value = getattr(record, field, None)
            if value:
                entry[field.removeprefix("object_")] = value
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _Text(logging.Formatter):
    """One line per record; a traceback follows in lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Called by logging."""
        line = f"{_time(record)} {record.levelname:<7} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def setup(level: str, form: Literal["text", "json"]) -> None:
    """Set up logging for the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    # kopf says so whenever it runs in a thread, where it is to leave signals alone.
    handler.addFilter(lambda record: _NOISE not in record.getMessage())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("tubepost").setLevel(level.upper())
    # It tells of every attempt, and of its tasks as they end.
    logging.getLogger("kopf").setLevel(logging.DEBUG if level == "Debug" else logging.ERROR)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
