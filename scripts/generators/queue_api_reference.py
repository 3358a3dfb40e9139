"""Writes docs/reference/queue-api.md: the paths of the admin API for the queue, and their fields."""

from __future__ import annotations

from collections.abc import Sequence

from tubepost_dispatcher.queue_api_fields import (
    BODY,
    EVENT,
    GROUP,
    NOTIFICATION,
    PAGING,
    PARTITION,
    PATHS,
)
from tubepost_dispatcher.queue_request import SELECTION, Parameter

PATH = "docs/reference/queue-api.md"

_HEAD = """\
# The admin API for the queue

<!-- Generated from dispatcher/tubepost_dispatcher by `make generate`; do not edit. -->

`tubepost queue` ([how](../queue.md#operations)) uses it, and so can programs. It is on the admin port, 9091
(in a sidecar 2591), on the pod's loopback only: use `kubectl exec`, or `kubectl port-forward`. Each pod
answers for its own queue.

    curl 'http://127.0.0.1:9091/queue/summary?domain=apn_example.com&olderThan=1h'
    curl http://127.0.0.1:9091/queue/drop -H 'Content-Type: application/json' \\
      -d '{"filter": {"sender": "news@example.com"}, "dryRun": false, "reason": "INC-7", "by": "alice"}'

An answer has what could be done in about a second. While `next` is not null, there is more: send the same
request again with `cursor` set to it. A change goes on only while it is asked for, and what has been done is
durable. Between two steps mail is taken and delivered as ever, so that counts are not those of one moment.
Times are RFC 3339 in UTC.

| status | means |
| --- | --- |
| 200 | the answer; `problems` says what is missing from it |
| 400 | the request is refused: `error` says which field, and the remedy. Unknown fields are refused |
| 403 | the Host header does not name loopback |
| 405 | reads take GET, changes POST |
| 413, 415 | the body is too long, or its Content-Type is not `application/json` |
| 500, 503 | see the dispatcher's log |

"""


def outputs() -> dict[str, str]:
    """The page."""
    parts = [_HEAD, "## Paths\n\n| | | |\n| --- | --- | --- |\n"]
    parts += [f"| {one.method} | `{one.path}` | {one.does} |\n" for one in PATHS]
    parts += ["\n## Filter\n\nParameters of GET; all that are given have to match.\n\n", _table(SELECTION)]
    parts += ["\nAnd, for steps:\n\n", _table(PAGING)]
    parts += ["\n## Body of a change\n\n", _table(BODY)]
    parts.append("\n## Answers\n")
    shown: set[tuple[Parameter, ...]] = set()
    for one in PATHS:
        if one.answer not in shown:
            shown.add(one.answer)
            names = ", ".join(f"`{other.path}`" for other in PATHS if other.answer == one.answer)
            parts += [f"\nOf {names}:\n\n", _table(one.answer)]
    for title, fields in (
        ("A partition", PARTITION),
        ("A group", GROUP),
        ("A notification", NOTIFICATION),
        ("An event", EVENT),
    ):
        parts += [f"\n### {title}\n\n", _table(fields)]
    return {PATH: "".join(parts)}


def _table(fields: Sequence[Parameter]) -> str:
    rows = [f"| `{one.name}` | {one.type} | {one.help} |\n" for one in fields]
    return "| name | type | |\n| --- | --- | --- |\n" + "".join(rows)
