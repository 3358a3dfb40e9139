"""All loggers of one PushDomain behind one call."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tubepost_api.config_logger import LoggerConfig
from tubepost_dispatcher.config.bundle import PreparedWebhook
from tubepost_dispatcher.feeds.event_filter import EventFilter
from tubepost_dispatcher.feeds.events import EVENT_KINDS, EventKind, LogEvent
from tubepost_dispatcher.feeds.file_sink import FileSink
from tubepost_dispatcher.feeds.format import Compatibility, compile_format
from tubepost_dispatcher.feeds.json_format import json_heartbeat, json_line
from tubepost_dispatcher.feeds.sinks import Handle, LineSink, Scheduler, Sink, StdoutSink
from tubepost_dispatcher.feeds.threaded_file import ThreadedFileSink
from tubepost_dispatcher.feeds.webhook.event import cloud_event
from tubepost_dispatcher.feeds.webhook.outbox import Outbox, tell_abandoned
from tubepost_dispatcher.feeds.webhook.sink import WebhookSink
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.text import hide_tokens
from tubepost_runtime.tasks import TaskSet

_LOG: Final = logging.getLogger("tubepost.logger")

_OUTCOMES: Final = logging.getLogger("tubepost.outcomes")

_Render = Callable[[LogEvent], bytes]

Webhooks = Mapping[str, PreparedWebhook | None]
"""What the requests of webhooks need, by logger."""
NO_WEBHOOKS: Final[Webhooks] = MappingProxyType({})

LEAVING_GRACE: Final = 20.0
"""Seconds that a webhook which is configured no more has for what it still holds."""
FINISH_PATIENCE: Final = 4.0
"""Seconds beyond its grace in which a webhook ends, its outbox included."""


class Loggers:
    """The loggers of one PushDomain. Lives on one event loop; every method is called on it.

    Where there is none, outcomes are told by the program's own log, so that nobody has to guess what became
    of a message: the first lines of each kind at Info, all of them at Debug.

    Args:
        configs: the loggers.
        push_domain: its name; goes into events that name none.
        namespace: the PushDomain's.
        webhooks: what the requests of webhooks need, by logger; None: a Secret cannot be used.
        outboxes: directory in which webhooks keep their events; None: they are lost with the process.
        metrics: `log_lines`, `log_errors` and `log_lines_lost` are counted there.
        loop: schedules writes and heartbeats, those of files included; by default the running loop, and files
            are written by threads.
        stdout: file descriptor for loggers without a file; stays the caller's.
        wall: the clock of heartbeats, unix seconds.
        heartbeats: whether these write them, and tell of files that nobody can write; of several processes
            with one log, one should.

    Raises:
        tubepost_api.logformat.FormatError: a format cannot be used.
    """

    def __init__(
        self,
        configs: Sequence[LoggerConfig],
        push_domain: str,
        metrics: Metrics,
        *,
        loop: Scheduler | None = None,
        stdout: int = 1,
        wall: Callable[[], float] = time.time,
        heartbeats: bool = True,
        namespace: str = "default",
        webhooks: Webhooks = NO_WEBHOOKS,
        outboxes: Path | None = None,
    ) -> None:
        self._metrics = metrics
        self._loop: Scheduler = loop if loop is not None else asyncio.get_running_loop()
        self._threads = loop is None
        self._stdout = stdout
        self._wall = wall
        self._heartbeats = heartbeats
        self._closed = False
        self._push_domain = push_domain
        self._namespace = namespace
        self._outbox_directory = outboxes
        self._outboxes: tuple[Outbox, ...] = ()
        self._leaving = TaskSet()
        self._loggers: dict[str, _Logger] = {}
        self._by_kind: dict[EventKind, tuple[_Logger, ...]] = {}
        self.update(configs, webhooks=webhooks)

    def wants(self, kind: EventKind) -> bool:
        """Whether any logger writes events of this kind; otherwise there is no need to make one."""
        return bool(self._by_kind[kind]) or (self._to_process_log and _OUTCOMES.isEnabledFor(logging.INFO))

    def log(self, event: LogEvent) -> None:
        """Write an event to every logger that wants its kind. Never raises, never waits."""
        if not event.push_domain:
            event.push_domain = self._push_domain
        for logger in self._by_kind[event.kind]:
            logger.log(event)
        if self._to_process_log:
            _log_outcome(event)

    def update(
        self,
        configs: Sequence[LoggerConfig],
        push_domain: str | None = None,
        webhooks: Webhooks = NO_WEBHOOKS,
    ) -> None:
        """Put other loggers in force; None keeps the PushDomain's name.

        A logger whose destination stays the same keeps its file and what is buffered for it; a webhook keeps
        its events even when its URL changes. Lines of loggers that go are written first, events of webhooks
        that go are sent for some time yet.

        Raises:
            tubepost_api.logformat.FormatError: a format cannot be used; then nothing has changed.
        """
        renderers = {config.name: _Renderers(config, self._namespace) for config in configs}
        if push_domain is not None:
            self._push_domain = push_domain
        old, self._loggers = self._loggers, {}
        for config in configs:
            before = old.get(config.name)
            prepared = webhooks.get(config.name)
            if before is not None and isinstance(before.sink, WebhookSink) and config.webhook is not None:
                before.sink.adopt(config.webhook, prepared)  # a Secret alone may have changed
            if before is not None and before.config == config:
                self._loggers[config.name] = old.pop(config.name)
                continue
            sink: LineSink | None = None
            if before is not None:
                before.stop()
                if _same_destination(before.config, config):
                    sink = before.sink
                    if isinstance(sink, FileSink) and config.file is not None:
                        sink.adopt(config.file)
                else:
                    self._end(before.sink)
                del old[config.name]
            if sink is None:
                sink = self._sink(config, prepared)
            self._loggers[config.name] = self._start(config, renderers[config.name], sink)
        for logger in old.values():
            logger.stop()
            self._end(logger.sink)
        sinks = [logger.sink for logger in self._loggers.values()]
        self._outboxes = tuple(
            sink.outbox for sink in sinks if isinstance(sink, WebhookSink) and sink.outbox is not None
        )
        self._by_kind = {
            kind: tuple(logger for logger in self._loggers.values() if logger.wants(kind))
            for kind in EVENT_KINDS
        }
        if self._outbox_directory is not None and self._heartbeats:
            asyncio.get_running_loop().run_in_executor(
                None, tell_abandoned, self._outbox_directory, frozenset(self._loggers)
            )
        # A webhook is for programs: who looks for outcomes in a log must find them.
        self._to_process_log = all(isinstance(sink, WebhookSink) for sink in sinks)

    def reopen(self) -> None:
        """Open all files by their names again, after something else has rotated them."""
        for logger in self._loggers.values():
            logger.sink.reopen()

    def flush(self) -> bool:
        """Write what is buffered, as far as it goes without waiting; False when something is left."""
        done = [logger.sink.flush() for logger in self._loggers.values()]
        return all(done)

    def problems(self) -> dict[str, str]:
        """Logger name -> why it cannot write at present, with the remedy; loggers that can are absent."""
        return {name: logger.sink.problem for name, logger in self._loggers.items() if logger.sink.problem}

    def make_durable(self) -> None:
        """Sync the outboxes of webhooks: what was logged before this call survives the process.

        May be called from any thread, and waits for the disk.
        """
        for outbox in self._outboxes:
            outbox.sync()

    async def finish(self, grace: float, *, last: bool = False) -> None:
        """Let webhooks send what they have, for at most `grace` seconds; nothing more is logged to them.

        `last`: outboxes go with the process.
        """
        for logger in self._loggers.values():
            if isinstance(logger.sink, WebhookSink):
                self._leaving.spawn(logger.sink.finish(grace, last=last))
        await self._leaving.join(grace + FINISH_PATIENCE)

    def close(self) -> None:
        """Write what can be written and release the files; events that come later are counted as lost."""
        if self._closed:
            return
        self._closed = True
        for logger in self._loggers.values():
            logger.stop()
            logger.sink.close()

    def _end(self, sink: LineSink) -> None:
        if isinstance(sink, WebhookSink):
            self._leaving.spawn(sink.finish(LEAVING_GRACE))
        elif isinstance(sink, Sink):
            sink.leave()

    def _sink(self, config: LoggerConfig, prepared: PreparedWebhook | None) -> LineSink:
        name, metrics = config.name, self._metrics
        if config.webhook is not None:
            outbox = None
            if self._outbox_directory is not None:
                outbox = Outbox(
                    self._outbox_directory / name, metrics.webhook_outbox_failures.labels(name).inc
                )
            return WebhookSink(name, config.webhook, prepared, metrics, outbox=outbox, wall=self._wall)
        failed, lost = metrics.log_errors.labels(name).inc, metrics.log_lines_lost.labels(name).inc
        if config.file is not None:
            make: Callable[..., FileSink] = ThreadedFileSink if self._threads else FileSink
            return make(name, self._loop, failed, lost, config.file, spokesman=self._heartbeats)
        return StdoutSink(name, self._loop, failed, lost, self._stdout)

    def _start(self, config: LoggerConfig, renderers: _Renderers, sink: LineSink) -> _Logger:
        logger = _Logger(config, renderers, sink, self._metrics)
        beats = self._heartbeats and config.heartbeat > 0 and config.webhook is None
        if beats and not self._closed:
            logger.start_heartbeat(self._loop, self._beat)
        return logger

    def _beat(self, logger: _Logger) -> None:
        logger.beat(self._wall(), self._push_domain)


class _Told:
    """What a line says of an event, made only where the line is written."""

    __slots__ = ("_event",)

    def __init__(self, event: LogEvent) -> None:
        self._event = event

    def __str__(self) -> str:
        event = self._event
        recipient = f"{event.destination_address}@{event.domain}"
        said = f"route {event.route or 'none'}, {event.source_address} to {recipient}"
        said = f"{event.error}, {said}" if event.error else f"apns-id {event.apns_id}, {said}"
        return hide_tokens(said, event.device_token)


def _log_outcome(event: LogEvent) -> None:
    match event.kind:
        case "delivery":
            _OUTCOMES.info("message %s: delivered, %s", event.message_id, _Told(event))
        case "permfail":
            _OUTCOMES.info("message %s: failed for good: %s", event.message_id, _Told(event))
        case "tempfail":
            _OUTCOMES.info("message %s: failed for now: %s", event.message_id, _Told(event))


def _same_destination(one: LoggerConfig, other: LoggerConfig) -> bool:
    if one.webhook is not None or other.webhook is not None:
        return one.webhook is not None and other.webhook is not None
    if one.file is None or other.file is None:
        return one.file is other.file
    return (one.file.path, one.file.mode) == (other.file.path, other.file.mode)


class _Renderers:
    """The line makers of one logger, with their line ends."""

    def __init__(self, config: LoggerConfig, namespace: str) -> None:
        self.by_kind: dict[EventKind, _Render]
        self.heartbeat: _Render = _render_json_heartbeat
        if config.webhook is not None:
            self.by_kind = dict.fromkeys(EVENT_KINDS, partial(cloud_event, namespace=namespace))
        elif config.format == "Json":
            self.by_kind = dict.fromkeys(EVENT_KINDS, _render_json)
        else:
            formats, compatibility = config.formats, config.compatibility
            self.by_kind = {
                "delivery": _render_momentum(formats.delivery, compatibility),
                "permfail": _render_momentum(formats.permfail, compatibility),
                "tempfail": _render_momentum(formats.tempfail, compatibility),
            }
            self.heartbeat = _render_momentum(formats.heartbeat, compatibility)


def _render_json(event: LogEvent) -> bytes:
    return json_line(event) + b"\n"


def _render_json_heartbeat(event: LogEvent) -> bytes:
    return json_heartbeat(event.time, event.push_domain) + b"\n"


def _render_momentum(text: str, compatibility: Compatibility) -> _Render:
    formatter = compile_format(text, compatibility)
    return lambda event: (formatter(event) + "\n").encode()


class _Logger:
    """One ApnLogger at work."""

    __slots__ = ("_filter", "_lines", "_lost", "_renderers", "_timer", "_wanted", "config", "sink")

    def __init__(self, config: LoggerConfig, renderers: _Renderers, sink: LineSink, metrics: Metrics) -> None:
        self.config = config
        self.sink = sink
        self._renderers = renderers
        taken = EventFilter(
            config.filter.outcomes, config.filter.reasons, dead_tokens=config.filter.dead_tokens
        )
        self._filter = taken if taken.selective else None
        self._wanted = {
            "delivery": config.log_delivery and "delivery" in taken.kinds,
            "permfail": config.log_permfail and "permfail" in taken.kinds,
            "tempfail": config.log_tempfail and "tempfail" in taken.kinds,
        }
        self._lines = {
            kind: metrics.tally(metrics.log_lines.labels(config.name, kind))
            for kind in (*EVENT_KINDS, "heartbeat")
        }
        self._lost = (metrics.log_errors.labels(config.name), metrics.log_lines_lost.labels(config.name))
        self._timer: Handle | None = None

    def wants(self, kind: EventKind) -> bool:
        return self._wanted[kind]

    def log(self, event: LogEvent) -> None:
        if self._filter is not None and not self._filter.takes(event):
            return
        self._write(self._renderers.by_kind[event.kind], event, event.kind)

    def beat(self, time: float, push_domain: str) -> None:
        # A heartbeat has no kind of its own among events; the formatter reads only the time and the name.
        self._write(
            self._renderers.heartbeat, LogEvent("delivery", time, push_domain=push_domain), "heartbeat"
        )

    def start_heartbeat(self, loop: Scheduler, beat: Callable[[_Logger], None]) -> None:
        def tick() -> None:
            self._timer = loop.call_later(self.config.heartbeat, tick)
            beat(self)

        self._timer = loop.call_later(self.config.heartbeat, tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, render: _Render, event: LogEvent, kind: str) -> None:
        try:
            line = render(event)
        except Exception:  # noqa: BLE001 - a fault of ours, for which no delivery must fail
            _LOG.exception("logger %s: a line of kind %s could not be made", self.config.name, kind)
            for counter in self._lost:
                counter.inc()
            return
        self.sink.write(line)
        self._lines[kind].count += 1
