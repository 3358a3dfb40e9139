"""Every metric of the dispatcher: names, labels and help in one place.

`CATALOG` is data, so that the reference page is generated from it and a supervisor knows how to add up the
workers' values. Modules take a `Metrics` and keep the label children that they need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder, generate_latest

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `aggregate`: how the values of several workers become the pod's."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    aggregate: Literal["sum", "max"] = "sum"


CATALOG: tuple[MetricSpec, ...] = (
    MetricSpec(
        "tubepost_messages",
        "counter",
        "Messages answered at the end of DATA, by kind (push, mail) and result "
        "(accepted, deferred, rejected, abandoned).",
        ("kind", "result"),
    ),
    MetricSpec("tubepost_push_parts", "counter", "Push parts read from MCMT messages."),
    MetricSpec(
        "tubepost_push_part_warnings",
        "counter",
        "Push parts that were read with a warning, by warning.",
        ("warning",),
    ),
    MetricSpec(
        "tubepost_attempts",
        "counter",
        "Attempts to hand a notification to APNs, by route, outcome (delivered, transient, permanent) "
        "and reason (APNs' word, or ours where APNs gave none).",
        ("route", "outcome", "reason"),
    ),
    MetricSpec(
        "tubepost_retries", "counter", "Attempts that were repetitions of a transient failure.", ("route",)
    ),
    MetricSpec("tubepost_failovers", "counter", "Notifications that moved to a later route.", ("route",)),
    MetricSpec(
        "tubepost_possible_doubles",
        "counter",
        "Notifications that were sent, whose answer was lost: a repetition may be a second one.",
        ("route",),
    ),
    MetricSpec("tubepost_dead_tokens", "counter", "Device tokens that APNs called dead (410).", ("route",)),
    MetricSpec("tubepost_blackholed", "counter", "Push parts discarded by delivery mode Blackhole."),
    MetricSpec(
        "tubepost_passthru_messages",
        "counter",
        "Messages (or e-mail parts) handed to the relay, by result (accepted, deferred, rejected).",
        ("result",),
    ),
    MetricSpec(
        "tubepost_apns_latency_seconds",
        "histogram",
        "Seconds from sending a request to APNs' answer.",
        ("route",),
    ),
    MetricSpec("tubepost_apns_connections", "gauge", "Open connections to APNs.", ("route",)),
    MetricSpec(
        "tubepost_apns_connections_opened", "counter", "Connections to APNs that were opened.", ("route",)
    ),
    MetricSpec(
        "tubepost_apns_connections_closed",
        "counter",
        "Connections to APNs that ended, by cause.",
        ("route", "cause"),
    ),
    MetricSpec(
        "tubepost_apns_connect_failures",
        "counter",
        "Connections that could not be opened, by cause.",
        ("route", "cause"),
    ),
    MetricSpec("tubepost_apns_streams", "gauge", "Requests waiting for APNs' answer.", ("route",)),
    MetricSpec(
        "tubepost_apns_stream_limit",
        "gauge",
        "Sum of the stream limits that APNs last announced on the open connections.",
        ("route",),
    ),
    MetricSpec("tubepost_apns_pending", "gauge", "Requests waiting for a free stream.", ("route",)),
    MetricSpec(
        "tubepost_apns_resubmitted",
        "counter",
        "Requests moved to another connection because APNs said it never saw them (REFUSED_STREAM, GOAWAY).",
        ("route",),
    ),
    MetricSpec(
        "tubepost_route_held",
        "gauge",
        "1 while a route is held by the breaker or a credential problem.",
        ("route",),
        "max",
    ),
    MetricSpec(
        "tubepost_provider_token_age_seconds", "gauge", "Age of the provider token in use.", ("route",), "max"
    ),
    MetricSpec(
        "tubepost_certificate_expiry_timestamp_seconds",
        "gauge",
        "Unix time at which the route's certificate expires.",
        ("route",),
        "max",
    ),
    MetricSpec("tubepost_in_flight", "gauge", "Messages between the end of DATA and the reply."),
    MetricSpec("tubepost_smtp_sessions", "gauge", "Open SMTP sessions."),
    MetricSpec("tubepost_smtp_sessions_opened", "counter", "SMTP sessions that were opened."),
    MetricSpec(
        "tubepost_smtp_rejections",
        "counter",
        "Sessions, commands and messages that were refused, by stage (connect, command, auth, tls, mail, "
        "rcpt, data) and SMTP reply code.",
        ("stage", "code"),
    ),
    MetricSpec("tubepost_smtp_received_bytes", "counter", "Message bytes received."),
    MetricSpec(
        "tubepost_log_lines", "counter", "Lines made by loggers, by logger and kind.", ("logger", "kind")
    ),
    MetricSpec(
        "tubepost_log_errors",
        "counter",
        "Lines that a logger could not write when they were due; those that are kept are tried again.",
        ("logger",),
    ),
    MetricSpec(
        "tubepost_log_lines_lost",
        "counter",
        "Lines that a logger gave up, because what it keeps was full or the process ended.",
        ("logger",),
    ),
    MetricSpec("tubepost_config_generation", "gauge", "Generation of the configuration in force.", (), "max"),
    MetricSpec(
        "tubepost_config_info", "gauge", "1 for the hash of the configuration in force.", ("hash",), "max"
    ),
    MetricSpec(
        "tubepost_config_reloads",
        "counter",
        "Configuration changes seen, by result (applied, refused, unchanged) and level "
        "(options, pool, workers, none).",
        ("result", "level"),
    ),
    MetricSpec(
        "tubepost_config_last_reload_failed",
        "gauge",
        "1 while the newest configuration is refused.",
        (),
        "max",
    ),
    MetricSpec(
        "tubepost_config_refused_info",
        "gauge",
        "1 for the hash of the configuration that is refused; the hash is empty when it could not be read.",
        ("hash",),
        "max",
    ),
    MetricSpec("tubepost_workers", "gauge", "Worker processes wanted."),
    MetricSpec(
        "tubepost_worker_exits",
        "counter",
        "Worker processes that ended unasked, by cause; what was inside their transactions is unanswered.",
        ("cause",),
    ),
)

_SPECS = {spec.name: spec for spec in CATALOG}


class Metrics:
    """The dispatcher's metrics in one registry (its own by default, so that tests do not share)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        c, g, h = self._counter, self._gauge, self._histogram
        self.messages = c("tubepost_messages")
        self.push_parts = c("tubepost_push_parts")
        self.push_part_warnings = c("tubepost_push_part_warnings")
        self.attempts = c("tubepost_attempts")
        self.retries = c("tubepost_retries")
        self.failovers = c("tubepost_failovers")
        self.possible_doubles = c("tubepost_possible_doubles")
        self.dead_tokens = c("tubepost_dead_tokens")
        self.blackholed = c("tubepost_blackholed")
        self.passthru_messages = c("tubepost_passthru_messages")
        self.apns_latency = h("tubepost_apns_latency_seconds")
        self.apns_connections = g("tubepost_apns_connections")
        self.apns_connections_opened = c("tubepost_apns_connections_opened")
        self.apns_connections_closed = c("tubepost_apns_connections_closed")
        self.apns_connect_failures = c("tubepost_apns_connect_failures")
        self.apns_streams = g("tubepost_apns_streams")
        self.apns_stream_limit = g("tubepost_apns_stream_limit")
        self.apns_pending = g("tubepost_apns_pending")
        self.apns_resubmitted = c("tubepost_apns_resubmitted")
        self.route_held = g("tubepost_route_held")
        self.provider_token_age = g("tubepost_provider_token_age_seconds")
        self.certificate_expiry = g("tubepost_certificate_expiry_timestamp_seconds")
        self.in_flight = g("tubepost_in_flight")
        self.smtp_sessions = g("tubepost_smtp_sessions")
        self.smtp_sessions_opened = c("tubepost_smtp_sessions_opened")
        self.smtp_rejections = c("tubepost_smtp_rejections")
        self.smtp_received_bytes = c("tubepost_smtp_received_bytes")
        self.log_lines = c("tubepost_log_lines")
        self.log_errors = c("tubepost_log_errors")
        self.log_lines_lost = c("tubepost_log_lines_lost")
        self.config_generation = g("tubepost_config_generation")
        self.config_info = g("tubepost_config_info")
        self.config_reloads = c("tubepost_config_reloads")
        self.config_last_reload_failed = g("tubepost_config_last_reload_failed")
        self.config_refused_info = g("tubepost_config_refused_info")
        self.workers = g("tubepost_workers")
        self.worker_exits = c("tubepost_worker_exits")

    def text(self) -> bytes:
        """The metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)

    def openmetrics_text(self) -> bytes:
        """The metrics in the OpenMetrics format 1.0.0."""
        encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
        return encode(self.registry)

    def _counter(self, name: str) -> Counter:
        spec = _SPECS[name]
        return Counter(spec.name, spec.help, spec.labels, registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        spec = _SPECS[name]
        return Gauge(spec.name, spec.help, spec.labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        spec = _SPECS[name]
        return Histogram(spec.name, spec.help, spec.labels, buckets=LATENCY_BUCKETS, registry=self.registry)
