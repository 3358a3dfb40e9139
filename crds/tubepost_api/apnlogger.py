"""ApnLogger: where notifications are logged and in which form (Momentum's `apn_logger`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from tubepost_api.conditions import Conditions
from tubepost_api.config_logger import FileSink, FilterConfig, LoggedOutcome, LoggerConfig, LoggerFormats
from tubepost_api.convert import converted
from tubepost_api.fields import UNIQUE, Checked, DurationOrZero, Name, Size, no_repeats
from tubepost_api.logformat import FormatError, parse_format
from tubepost_api.resource import NAME_RULE, Column, KindNames, Resource, age_column, ready_column
from tubepost_api.rules import Rule, SpecModel
from tubepost_api.webhook import WebhookSpec, webhook_config

_DEFAULTS = LoggerFormats()


def _check_path(path: str) -> None:
    if ".." in path.split("/"):
        raise ValueError("must not contain ..")


def _check_format(text: str) -> None:
    try:
        parse_format(text)
    except FormatError as error:
        raise ValueError(f"{error} (at character {error.position + 1})") from error


Path = Annotated[
    str,
    Checked(
        "an absolute path of a file",
        "write a path such as /var/log/tubepost/apn.log, on a volume that can be written to",
        r"^/([^/]+/)*[^/]+$",
        1024,
        check=_check_path,
    ),
]
Mode = Annotated[
    str, Checked("the mode of a file", 'write octal digits in quotes, such as "0644"', r"^0?[0-7]{3}$", 4)
]
Format = Annotated[
    str,
    Checked(
        "a format",
        "see the list of macros in the reference of the logger",
        r"^[^\x00-\x1f]+$",
        1024,
        check=_check_format,
    ),
]


ReasonWord = Annotated[
    str,
    Checked(
        "a reason",
        "write one word, such as BadDeviceToken; the reference of the outcomes lists them",
        r"^[A-Za-z][A-Za-z0-9]*$",
        64,
    ),
]


class FileSpec(SpecModel):
    """A log file."""

    path: Path
    """Absolute path of the file (Momentum `logfile`). Its directory must exist and be writable; in a cluster
    that is `/var/log/tubepost`, a volume of each pod that goes with it."""
    mode: Mode = "0644"
    """Permissions of a file that is created, in octal (Momentum `logmode`)."""
    max_size: Size = "100Mi"
    """Size at which the file is rotated, in bytes or as a quantity; 0 leaves rotation to somebody else."""
    max_files: Annotated[int, Field(ge=1, le=100)] = 5
    """How many rotated files are kept."""


class SinkSpec(SpecModel):
    """Where the events go."""

    type: Literal["Stdout", "File", "Webhook"] = "Stdout"
    """Standard output of the dispatcher, a file, or an HTTP endpoint."""
    file: FileSpec | None = None
    """The file, when the type is File."""
    webhook: WebhookSpec | None = None
    """The endpoint, when the type is Webhook."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.file) == (self.type == 'File')",
            "file belongs to type File",
            "set type: File together with file, or neither",
            lambda sink: (sink.file is not None) == (sink.type == "File"),
            "file",
        ),
        Rule(
            "has(self.webhook) == (self.type == 'Webhook')",
            "webhook belongs to type Webhook",
            "set type: Webhook together with webhook, or neither",
            lambda sink: (sink.webhook is not None) == (sink.type == "Webhook"),
            "webhook",
        ),
    )


class FilterSpec(SpecModel):
    """Which events are logged, of those that logDelivery, logPermfail and logTempfail let through."""

    outcomes: Annotated[
        tuple[LoggedOutcome, ...],
        Field(max_length=3, json_schema_extra=UNIQUE),
        AfterValidator(no_repeats),
    ] = ()
    """Outcomes: Delivered, Permanent, Transient; empty: all."""
    reasons: Annotated[
        tuple[ReasonWord, ...], Field(max_length=64, json_schema_extra=UNIQUE), AfterValidator(no_repeats)
    ] = ()
    """Reasons of failures, in APNs' words (BadDeviceToken) or ours; empty: all. What was delivered has
    none."""
    dead_tokens: bool = False
    """Only notifications whose device token APNs knows no more (410): for whoever keeps lists of devices."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.deadTokens || ((!has(self.outcomes) || self.outcomes.size() == 0) && "
            "(!has(self.reasons) || self.reasons.size() == 0))",
            "deadTokens is a filter of its own",
            "leave out outcomes and reasons, or deadTokens",
            lambda spec: not (spec.dead_tokens and (spec.outcomes or spec.reasons)),
            "deadTokens",
        ),
    )


class FormatsSpec(SpecModel):
    """The four lines of format Momentum."""

    delivery: Format = _DEFAULTS.delivery
    """Line for a notification that APNs took."""
    permfail: Format = _DEFAULTS.permfail
    """Line for a notification that failed for good."""
    tempfail: Format = _DEFAULTS.tempfail
    """Line for an attempt that failed and may be repeated."""
    heartbeat: Format = _DEFAULTS.heartbeat
    """Line of the heartbeat."""


class ApnLoggerSpec(SpecModel):
    """What to log, where, and in which form."""

    sink: SinkSpec = SinkSpec()
    """Where the events go."""
    filter: FilterSpec = FilterSpec()
    """Which events are logged."""
    heartbeat: DurationOrZero = "60s"
    """Time between two heartbeat lines; 0s turns them off."""
    log_delivery: bool = True
    """Whether deliveries are logged."""
    log_permfail: bool = True
    """Whether permanent failures are logged."""
    log_tempfail: bool = True
    """Whether transient failures are logged."""
    format: Literal["Momentum", "Json"] = "Momentum"
    """Lines as Momentum's apn_logger writes them, or one JSON object per line; a webhook takes JSON only."""
    compatibility: Literal["Tubepost", "Momentum"] = "Tubepost"
    """What the macros of format Momentum mean, and how values are escaped. Momentum: exactly as its
    apn_logger, for parsers that depend on it; the reference of the logger tells the differences."""
    formats: FormatsSpec = FormatsSpec()
    """The lines of format Momentum; format Json does not use them."""


class ApnLoggerStatus(SpecModel):
    """What the operator found."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that this status is about."""
    conditions: Conditions = ()
    """Accepted, ReferencesResolved, CredentialsValid and Ready."""
    users: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    """Names of the PushDomains that log here."""


class ApnLogger(Resource):
    """ApnLogger says where and how a PushDomain logs its notifications."""

    names: ClassVar[KindNames] = KindNames(
        "ApnLogger",
        "apnloggers",
        "apnlogger",
        "apnl",
        (
            ready_column(),
            Column("Sink", ".spec.sink.type", description="Where the events go."),
            Column("Format", ".spec.format", description="Form of the lines."),
            Column("Users", ".status.users", description="PushDomains that log here.", wide=True),
            age_column(),
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (NAME_RULE,)

    kind: Literal["ApnLogger"]
    """Kind of the object."""
    spec: ApnLoggerSpec
    """What to log, where, and in which form."""
    status: ApnLoggerStatus | None = None
    """What the operator found; never written by users."""


def logger_config(logger: ApnLogger) -> LoggerConfig:
    """A valid ApnLogger as the dispatcher reads it."""
    spec = logger.spec
    file = spec.sink.file
    return converted(
        spec,
        LoggerConfig,
        name=logger.metadata.name,
        file=converted(file, FileSink, mode=int(file.mode, 8)) if file else None,
        webhook=webhook_config(spec.sink.webhook) if spec.sink.webhook else None,
        filter=converted(spec.filter, FilterConfig),
        formats=converted(spec.formats, LoggerFormats),
    )
