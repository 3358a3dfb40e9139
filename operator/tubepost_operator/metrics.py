"""The operator's own metrics: names, labels and help in one place."""

from __future__ import annotations

from tubepost_runtime.metrics import MetricSet, Sample, computed, counter, gauge, histogram

__all__ = ["CATALOG", "OperatorMetrics", "Sample"]


class OperatorMetrics(MetricSet):
    """The operator's metrics."""

    reconciles = counter(
        "tubepost_operator_reconciles",
        "Reconciliations, by kind of the object and result (written: something had to be written; unchanged; "
        "failed).",
        "kind",
        "result",
    )
    seconds = histogram("tubepost_operator_reconcile_seconds", "Reconcile duration.", "kind")
    errors = counter(
        "tubepost_operator_errors",
        "Reconciliations that failed, by kind of the object and class of the error (conflict, throttled, "
        "server, connection, forbidden, request, internal).",
        "kind",
        "class",
    )
    api_requests = counter(
        "tubepost_operator_api_requests",
        "Requests to the API server, by method and status (none: no answer). Watches have method WATCH.",
        "method",
        "status",
    )
    writes = counter("tubepost_operator_writes", "Objects written, by kind and action.", "kind", "action")
    repairs = counter(
        "tubepost_operator_repairs",
        "Children put back after somebody had changed them, by kind; the events Repaired say what and who.",
        "kind",
    )
    queue_depth = gauge("tubepost_operator_queue_depth", "Objects queued for reconciliation.")
    leader = gauge("tubepost_operator_leader", "1 while this replica is the leader.")
    upgrades_waiting = gauge(
        "tubepost_operator_upgrades_waiting",
        "PushDomains whose rollout, after an upgrade of the operator, waits for that of others.",
    )
    yielded = gauge(
        "tubepost_operator_yielded",
        "PushDomains that are left to another operator, which watches the same namespace.",
    )
    claims_left = gauge(
        "tubepost_operator_claims_left",
        "PersistentVolumeClaims that no pod of a StatefulSet has any more and whose queues are not known to "
        "be empty: drain pods empty them; the condition QueueSettled names them.",
    )
    watch_age = computed(
        "tubepost_operator_watch_age_seconds", "Time since the last event or bookmark of a watch.", "watch"
    )
    watch_refused = computed(
        "tubepost_operator_watch_refused",
        "1 for a watch that the API server refuses: what it is about is not served until it is let in again; "
        "the log and the condition Programmed have the reason and the remedy.",
        "watch",
    )
    objects = computed(
        "tubepost_operator_objects",
        "Objects by kind, condition and its status (True, False, Unknown).",
        "kind",
        "condition",
        "status",
    )
    credential_expiry = computed(
        "tubepost_operator_credential_expiry_timestamp_seconds",
        "Unix time at which the certificate of a route expires.",
        "namespace",
        "route",
    )


CATALOG = OperatorMetrics.catalogue()
"""The rows of the reference page."""
