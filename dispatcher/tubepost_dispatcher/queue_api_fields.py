"""The fields of requests and answers about the queue, for the reference; tests hold them to what is sent."""

from __future__ import annotations

from typing import Final, NamedTuple

from tubepost_dispatcher.queue_request import MOST_IDS, MOST_LISTED, MOST_REASON, Parameter

FRAME: Final = (
    Parameter("asOf", "time", "When the first step was taken: what was accepted later is not concerned."),
    Parameter("start", "string", "`cursor` with which another request starts at the same `asOf`."),
    Parameter("next", "string or null", "`cursor` of the next step; null: that was all."),
    Parameter("problems", "strings", "What is missing from this answer, and why."),
)
"""In every answer."""
JOURNAL: Final = Parameter(
    "journal",
    "object",
    "`outlivesWorkers`: whether it is on a disk; `linesLost`: lines that could not be written.",
)
SUMMARY: Final = (
    *FRAME,
    Parameter("partitions", "objects", "What the workers have; see below."),
    Parameter("groups", "objects", "What was counted in this step; see below. Add those of all steps up."),
    Parameter("lookedAt", "integer", "Notifications that this step passed over."),
    JOURNAL,
)
NOTIFICATIONS: Final = (
    *FRAME,
    Parameter("notifications", "objects", "In the order in which they came, by partition; see below."),
)
TRACE: Final = (
    *NOTIFICATIONS,
    Parameter("events", "objects", "What the journal has, in order of time, in the first step; see below."),
    JOURNAL,
)
CHANGED: Final = (
    *FRAME,
    Parameter("action", "string", "As in the path."),
    Parameter("dryRun", "boolean", "Whether it was counted only."),
    Parameter(
        "groups", "objects", "What was changed (or counted) in this step, as it was before; see below."
    ),
    Parameter(
        "underWay",
        "integer",
        "Notifications that were left alone, since they are being sent. A hold meets them should that fail.",
    ),
)
PARTITION: Final = (
    Parameter("number", "integer", "Of the worker slot that it was made for."),
    Parameter(
        "state",
        "string",
        "`owned`, `adopted` (of a slot that has no worker now), `locked` (another process has it), `failed`.",
    ),
    Parameter("notifications", "integer", "In it."),
    Parameter("active", "integer", "Those of them that delivery has."),
    Parameter("bytes", "integer", "Of its files."),
    Parameter("filesSetAside", "integer", "Files that could not be trusted, and are kept beside it."),
    Parameter("entriesSetAside", "integer", "Entries that were not what had been written."),
    Parameter("problem", "string", "Why it takes nothing at present; empty: it does."),
)
GROUP: Final = (
    Parameter(
        "domain", "string", "Of the recipient; `(others)`: of groups beyond the thousand that are shown."
    ),
    Parameter("route", "string", "Of the last attempt; empty: not tried yet."),
    Parameter("lastReason", "string", "Of the last attempt; empty: not tried yet."),
    Parameter("hold", "string", "Who holds them, since when and why; empty: nobody."),
    Parameter("notifications", "integer", "How many have these in common."),
    Parameter("due", "integer", "How many of them could be tried now."),
    Parameter("oldest", "time", "When the oldest of them was accepted."),
    Parameter("bytes", "integer", "That they take up, without the overhead of the files."),
)
NOTIFICATION: Final = (
    Parameter("id", "string", "Message id; the notifications of one message share it."),
    Parameter("apnsId", "string", "The same over all attempts."),
    Parameter(
        "kind",
        "string",
        "`notification`; or of a mail that follows one, and waits for the relay: `bounce`, `delay`, `success`"
        " (reports to its sender), `reroute` (a policy's mail). Sender and recipient are then the mail's.",
    ),
    Parameter(
        "state",
        "string",
        "`waiting` for its next try; `due`, for its turn; `active`: with delivery; `held` by an operator; "
        "`damaged`: cannot be read.",
    ),
    Parameter("domain", "string", "Of the recipient."),
    Parameter("sender", "string", "MAIL FROM; empty: the null sender."),
    Parameter("recipient", "string", "RCPT TO."),
    Parameter("tokenPrefix", "string", "First digits of the device token."),
    Parameter("channelId", "string", "Of a broadcast, which has no device token."),
    Parameter("accepted", "time", "When the message had been received."),
    Parameter("nextTry", "time or null", "null: not before it is released."),
    Parameter("expires", "time", "When it ends if it has not ended before."),
    Parameter("attempts", "integer", "So far."),
    Parameter("route", "string", "Of the last attempt."),
    Parameter("lastReason", "string", "Of the last attempt."),
    Parameter("hold", "string", "Who holds it, since when and why; empty: nobody."),
    Parameter("topic", "string", "As the message has it, as the next five; empty: the route's."),
    Parameter("pushType", "string", ""),
    Parameter("priority", "integer or null", ""),
    Parameter("collapseId", "string", ""),
    Parameter("apnsExpiration", "integer or null", "Unix seconds."),
    Parameter("user", "string", "Authenticated SMTP user."),
    Parameter("client", "string", "Address of the SMTP client."),
    Parameter("bytes", "integer", "Of the mail."),
    Parameter("partition", "integer", "Where it is."),
)
EVENT: Final = (
    Parameter("at", "time", "When it happened."),
    Parameter("id", "string", "Message id."),
    Parameter(
        "event",
        "string",
        "`attempt`: failed, and tried again at once; `deferred`: put off until `due`; `ended`; `refused`: the"
        " sender was told so, and keeps it; `held`, `released`, `flushed`: an operator named the message;"
        " `bounce`, `delay`, `success`, `reroute`: of a mail that follows it, delivered to the relay or not.",
    ),
    Parameter(
        "outcome", "string", "`delivered`, `transient`, `permanent`, `discarded` (Blackhole), `queued`."
    ),
    Parameter("apnsId", "string", "Of the notification."),
    Parameter("domain", "string", "As above, as the next three."),
    Parameter("sender", "string", ""),
    Parameter("recipient", "string", ""),
    Parameter("tokenPrefix", "string", ""),
    Parameter("channelId", "string", "Of a broadcast."),
    Parameter("accepted", "time", "When the message had been received."),
    Parameter("attempt", "integer", "Attempts until then."),
    Parameter("route", "string", "Of the attempt."),
    Parameter("client", "string", "Address of the SMTP client."),
    Parameter("user", "string", "Of authenticated clients."),
    Parameter("reason", "string", "Of what was not delivered, as are the next three."),
    Parameter("status", "integer", "APNs' HTTP status, 0 where there was none."),
    Parameter("detail", "string", "In words."),
    Parameter("possibleDouble", "boolean", "APNs may have taken it all the same."),
    Parameter("due", "time", "Of `deferred`: the next try."),
    Parameter("apnsUniqueId", "string", "APNs' `apns-unique-id`, which its development environment gives."),
)
BODY: Final = (
    Parameter("filter", "object", "Which notifications: the parameters above; `id` may be a list."),
    Parameter("all", "boolean", "Everything, instead of a filter."),
    Parameter("dryRun", "boolean", "Count only. The default is true for `drop`, and false for the others."),
    Parameter("reason", "string", f"Why; `hold` and `drop` need it. At most {MOST_REASON} characters."),
    Parameter("by", "string", "Who does it."),
    Parameter("cursor", "string", "`next` of the step before, or `start` of another request."),
)
PAGING: Final = (
    Parameter("limit", "integer", f"Notifications of one answer, 1 to {MOST_LISTED}; 100 by default."),
    Parameter("cursor", "string", "`next` of the step before."),
)


class Path(NamedTuple):
    """One path of the API."""

    method: str
    path: str
    does: str
    answer: tuple[Parameter, ...]


PATHS: Final = (
    Path("GET", "/queue/summary", "counts what the filter names", SUMMARY),
    Path("GET", "/queue/notifications", "lists what the filter names", NOTIFICATIONS),
    Path(
        "GET",
        "/queue/trace",
        f"tells the life of the messages that `id` names (at most {MOST_IDS}), which may have ended",
        TRACE,
    ),
    Path("POST", "/queue/flush", "makes due now what waits and is not held", CHANGED),
    Path("POST", "/queue/hold", "keeps it, and does not try it until it is released", CHANGED),
    Path("POST", "/queue/release", "lets go what is held: it is due now", CHANGED),
    Path("POST", "/queue/drop", "ends it as Dropped, a permanent failure", CHANGED),
)
