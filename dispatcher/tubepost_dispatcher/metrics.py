"""Every metric of the dispatcher: name, labels and help in one place.

The reference page is generated from it, and a supervisor knows by it how to add up the workers' values.
Modules take a `Metrics` and keep the label children that they need.
"""

from __future__ import annotations

from tubepost_runtime import pod_metrics
from tubepost_runtime.metrics import MetricSet, counter, gauge, histogram

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
POLICY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics(MetricSet):
    """The dispatcher's metrics. `aggregate`: how the values of several workers become the pod's."""

    messages = counter(
        "tubepost_messages",
        "Messages answered at the end of DATA, by kind (push, mail) and result (accepted, deferred, "
        "rejected, abandoned).",
        "kind",
        "result",
    )
    push_parts = counter("tubepost_push_parts", "Push parts read from MCMT messages.")
    push_part_warnings = counter(
        "tubepost_push_part_warnings",
        "Push parts (and mails) that were read with a warning, by warning.",
        "warning",
    )
    dropped_parts = counter(
        "tubepost_dropped_parts",
        "Parts of MCMT messages that are sent to nobody, by channel: email (no relay is configured), sms, "
        "mms, other.",
        "channel",
    )
    attempts = counter(
        pod_metrics.ATTEMPTS,
        "Attempts to hand a notification to APNs, by route, outcome (delivered, transient, "
        "permanent) and reason (APNs' word, or ours where APNs gave none; of words that Tubepost does not "
        "know, those beyond the first ten are `other`).",
        "route",
        "outcome",
        "reason",
    )
    retries = counter("tubepost_retries", "Attempts that were repetitions of a transient failure.", "route")
    failovers = counter("tubepost_failovers", "Notifications that moved to a later route.", "route")
    possible_doubles = counter(
        "tubepost_possible_doubles",
        "Notifications that were sent, whose answer was lost: a repetition may be a second one.",
        "route",
    )
    dead_tokens = counter("tubepost_dead_tokens", "Device tokens that APNs called dead (410).", "route")
    blackholed = counter("tubepost_blackholed", "Push parts discarded by delivery mode Blackhole.")
    passthru_messages = counter(
        "tubepost_passthru_messages",
        "Messages (or e-mail parts) handed to the relay, by result (accepted, deferred, rejected).",
        "result",
    )
    bounces = counter(
        "tubepost_bounces",
        "Mails that follow a notification's end, by kind (bounce, delay, success: reports to its sender; "
        "reroute: a policy's mail) and result: sent (the relay took it), deferred (it did not for now), "
        "rejected (it refused it for good, or for now while the sender waited), expired, dropped "
        "(tubepost queue drop), no_relay (a report that was not made, since spec.bounces has no relay).",
        "kind",
        "result",
    )
    apns_latency = histogram(
        "tubepost_apns_latency_seconds",
        "Seconds from sending a request to APNs' answer.",
        "route",
        buckets=LATENCY_BUCKETS,
    )
    apns_connections = gauge("tubepost_apns_connections", "Open connections to APNs.", "route")
    apns_connections_opened = counter(
        "tubepost_apns_connections_opened", "Connections to APNs that were opened.", "route"
    )
    apns_connections_closed = counter(
        "tubepost_apns_connections_closed", "Connections to APNs that ended, by cause.", "route", "cause"
    )
    apns_connect_failures = counter(
        "tubepost_apns_connect_failures", "Connections that could not be opened, by cause.", "route", "cause"
    )
    apns_streams = gauge("tubepost_apns_streams", "Requests waiting for APNs' answer.", "route")
    apns_stream_limit = gauge(
        "tubepost_apns_stream_limit",
        "Sum of the stream limits that APNs last announced on the open connections.",
        "route",
    )
    apns_pending = gauge("tubepost_apns_pending", "Requests waiting for a free stream.", "route")
    apns_resubmitted = counter(
        "tubepost_apns_resubmitted",
        "Requests moved to another connection because APNs said it never saw them (REFUSED_STREAM, GOAWAY).",
        "route",
    )
    route_held = gauge(
        pod_metrics.ROUTE_HELD,
        "1 while a route takes no requests: its credential is refused or cannot be used, or APNs cannot be "
        "reached, as of the last request.",
        "route",
        aggregate="max",
    )
    provider_token_age = gauge(
        "tubepost_provider_token_age_seconds", "Age of the provider token in use.", "route", aggregate="max"
    )
    certificate_expiry = gauge(
        "tubepost_certificate_expiry_timestamp_seconds",
        "Unix time at which the route's certificate expires.",
        "route",
        aggregate="max",
    )
    queue_notifications = gauge(
        "tubepost_queue_notifications",
        "Notifications in the queue, those with delivery included, by domain (its entry in spec.domains, "
        "`other` for those without one) and route of the last attempt (empty before the first; `mail relay`: "
        "mails that follow notifications).",
        "domain",
        "route",
    )
    queue_entries = gauge(
        pod_metrics.QUEUE_ENTRIES,
        "Notifications in the queue as of each partition's last commit; those by domain and route are "
        "counted less often.",
    )
    queue_due = gauge(
        "tubepost_queue_due",
        "Notifications in the queue whose time has come, those with delivery included, by domain and route.",
        "domain",
        "route",
    )
    queue_oldest_age = gauge(
        "tubepost_queue_oldest_age_seconds",
        "Age of the oldest notification in the queue, by domain and route.",
        "domain",
        "route",
        aggregate="max",
    )
    queue_active = gauge(
        "tubepost_queue_active", "Notifications of the queue that are in memory, with delivery."
    )
    queue_held = gauge(
        "tubepost_queue_held",
        "Notifications of the queue that are held back, by cause: operator (tubepost queue hold), suspend "
        "(delivery.mode Suspend), routes (all routes of their domain are held).",
        "cause",
    )
    queue_accepted = counter(
        "tubepost_queue_accepted",
        "Notifications that were acknowledged since they are safe in the queue, by cause: queued (mode "
        "Queued), overflow (no verdict by the deadline of mode Direct).",
        "cause",
    )
    queue_deferred = counter(
        "tubepost_queue_deferred",
        "Attempts of queued notifications that failed for now, by route.",
        "route",
    )
    queue_ended = counter(
        "tubepost_queue_ended",
        "Notifications that left the queue, by end: delivered, failed, expired, dropped (tubepost queue "
        "drop). Those that delivery.mode Blackhole discards are in tubepost_blackholed.",
        "end",
    )
    queue_refused = counter(
        "tubepost_queue_refused",
        "Messages that the queue did not take, by kind of failure: full, busy, slow (not durable by the "
        "acceptance deadline), read-only, failed, away (NATS), locked, newer, closed.",
        "kind",
    )
    queue_commits = counter("tubepost_queue_commits", "Commits of the queue, each with an fsync.")
    queue_commit_seconds = counter(
        "tubepost_queue_commit_seconds", "Seconds spent in commits of the queue, fsync included."
    )
    queue_size_bytes = gauge("tubepost_queue_size_bytes", "Bytes of the queue's files.")
    queue_unused_bytes = gauge(
        "tubepost_queue_unused_bytes", "Bytes inside the queue's files that are used again before they grow."
    )
    queue_volume_bytes = gauge(
        "tubepost_queue_volume_bytes", "Bytes of the volume that the queue is on.", aggregate="max"
    )
    queue_volume_free_bytes = gauge(
        "tubepost_queue_volume_free_bytes", "Free bytes of the volume that the queue is on.", aggregate="max"
    )
    queue_partitions = gauge(
        pod_metrics.QUEUE_PARTITIONS,
        "Partitions of the queue, by state: owned (open, of the worker's own slot), adopted (open, of a "
        "slot that has no worker), locked (another process has it), failed (cannot be opened or written), "
        "orphaned (nobody has it).",
        "state",
    )
    queue_quarantined_files = gauge(
        pod_metrics.QUEUE_QUARANTINED, "Damaged database files that were set aside beside the queue."
    )
    queue_damaged_entries = gauge(
        pod_metrics.QUEUE_DAMAGED, "Damaged entries that were set aside inside the queue."
    )
    queue_stream_state = gauge(
        pod_metrics.QUEUE_STREAM_STATE,
        "1 for what is to be said of the queue's stream on JetStream: ok; unreachable, old_server (before "
        "2.12), foreign_stream (made by others, or otherwise) or unusable, with which nothing is accepted; "
        "memory_storage or one_replica, with which what was accepted may be lost.",
        "state",
        aggregate="max",
    )
    policy_calls = counter(
        "tubepost_policy_calls",
        "Calls of a policy's hooks that were executed, by point: request (before an attempt), response "
        "(after APNs' answer), dispose (before the end).",
        "point",
    )
    policy_faults = counter(
        "tubepost_policy_faults",
        "Calls of a policy's hooks that failed, by point and kind: exception, timeout, memory, died (its "
        "process), exit (sys.exit), result (it returned or set what cannot be), module, busy (no process "
        "was free).",
        "point",
        "kind",
    )
    policy_seconds = histogram(
        "tubepost_policy_seconds",
        "Seconds that a call of a policy's hooks took, without its wait for a free process, by point.",
        "point",
        buckets=POLICY_BUCKETS,
    )
    policy_actions = counter(
        "tubepost_policy_actions", "What hooks did with messages, by action: drop, mail, domain.", "action"
    )
    policy_restarts = counter(
        "tubepost_policy_restarts",
        "Policy processes that were replaced, by the kind of fault that ended them.",
        "kind",
    )
    policy_processes = gauge(
        "tubepost_policy_processes", "Policy processes whose module is loaded, of all workers."
    )
    policy_waiting = gauge("tubepost_policy_waiting", "Calls of hooks that wait for a free policy process.")
    in_flight = gauge("tubepost_in_flight", "Messages between the end of DATA and the reply.")
    retiring = gauge(
        pod_metrics.RETIRING,
        "1 while the pod takes no more mail since its workload no longer serves; it delivers its queue.",
        aggregate="max",
    )
    smtp_sessions = gauge(pod_metrics.SMTP_SESSIONS, "Open SMTP sessions.")
    smtp_sessions_opened = counter("tubepost_smtp_sessions_opened", "SMTP sessions that were opened.")
    smtp_rejections = counter(
        "tubepost_smtp_rejections",
        "Sessions, commands and messages that were refused, by stage (connect, command, auth, tls, "
        "mail, rcpt, data) and SMTP reply code.",
        "stage",
        "code",
    )
    smtp_warnings = counter(
        "tubepost_smtp_warnings",
        "Malformed commands that were understood, by warning (missing_angle_brackets).",
        "warning",
    )
    rest_connections = gauge("tubepost_rest_connections", "Open connections of REST clients.")
    rest_open_requests = gauge("tubepost_rest_open_requests", "Whole REST requests that have no answer yet.")
    rest_requests = counter("tubepost_rest_requests", "Answered REST requests, by HTTP status.", "status")
    rest_request_seconds = histogram(
        "tubepost_rest_request_seconds",
        "Seconds from a whole request to its answer.",
        buckets=LATENCY_BUCKETS,
    )
    smtp_received_bytes = counter("tubepost_smtp_received_bytes", "Message bytes received.")
    log_lines = counter("tubepost_log_lines", "Lines made by loggers, by logger and kind.", "logger", "kind")
    log_errors = counter(
        "tubepost_log_errors",
        "Lines that a logger could not write when they were due; those that are kept are tried again.",
        "logger",
    )
    log_lines_lost = counter(
        "tubepost_log_lines_lost",
        "Lines that a logger gave up, because what it keeps was full or the process ended.",
        "logger",
    )
    webhook_sent = counter("tubepost_webhook_sent", "Events that a webhook has taken, by logger.", "logger")
    webhook_dropped = counter(
        "tubepost_webhook_dropped",
        "Events that were given up, by logger and reason: full (more waited than maxEvents or maxSize allow, "
        "the oldest went), refused (the receiver does not take what is in them), too_large (a single event), "
        "closed (the process ended, and there was no outbox).",
        "logger",
        "reason",
    )
    webhook_batches = counter(
        "tubepost_webhook_batches",
        "Requests to a webhook, by logger and result: taken, failed (sent again), refused, too_large (sent "
        "again in halves).",
        "logger",
        "result",
    )
    webhook_seconds = counter(
        "tubepost_webhook_seconds", "Seconds spent in requests to a webhook, by logger.", "logger"
    )
    webhook_waiting = gauge(
        "tubepost_webhook_waiting", "Events that a webhook has not taken yet, by logger.", "logger"
    )
    webhook_oldest_age = gauge(
        "tubepost_webhook_oldest_age_seconds",
        "Age of the oldest event that a webhook has not taken yet, by logger; counted anew by a new worker.",
        "logger",
        aggregate="max",
    )
    webhook_outbox_failures = counter(
        "tubepost_webhook_outbox_failures",
        "Events that could not be written to the outbox, by logger: they are sent from memory, and lost if "
        "the worker is killed before that.",
        "logger",
    )
    trace_spans = counter(
        "tubepost_trace_spans",
        "Spans of traces, by result: sent (the receiver took them), lost (it did not, or too many waited).",
        "result",
    )
    process_log_lines_lost = counter(
        "tubepost_process_log_lines_lost",
        "Lines of the program's own log that were dropped, because nobody read standard error.",
    )
    build_info = gauge(
        "tubepost_build_info",
        "1 for what runs: the version, whether what every message passes is compiled or pure (Python), "
        "Python's version.",
        "version",
        "modules",
        "python",
        aggregate="max",
    )
    config_generation = gauge(
        "tubepost_config_generation", "Generation of the configuration in force.", aggregate="max"
    )
    config_info = gauge(
        pod_metrics.CONFIG_INFO, "1 for the hash of the configuration in force.", "hash", aggregate="max"
    )
    config_reloads = counter(
        "tubepost_config_reloads",
        "Configuration changes seen, by result (applied, refused, unchanged) and level (options, "
        "pool, workers, none).",
        "result",
        "level",
    )
    config_last_reload_failed = gauge(
        pod_metrics.CONFIG_LAST_RELOAD_FAILED, "1 while the newest configuration is refused.", aggregate="max"
    )
    config_refused_info = gauge(
        pod_metrics.CONFIG_REFUSED_INFO,
        "1 for the hash of the configuration that is refused; the hash is empty when it could not be read.",
        "hash",
        aggregate="max",
    )
    workers = gauge("tubepost_workers", "Worker processes wanted.")
    worker_exits = counter(
        "tubepost_worker_exits",
        "Worker processes that ended unasked, by cause (`hung`: silent, and killed for it); what was inside "
        "their transactions is unanswered.",
        "cause",
    )


CATALOG = Metrics.catalogue()
"""The rows of the reference page."""
