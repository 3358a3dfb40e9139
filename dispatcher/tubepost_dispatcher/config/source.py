"""Where the supervisor gets its configuration from; in a pod from what is mounted there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from tubepost_api.config import SCHEMA_VERSION, DispatcherConfig
from tubepost_api.problems import Problem, ProblemCode
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_runtime.words import counted

READ_ATTEMPTS = 3
"""How often a mounted Secret is read again when its files are replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read: a bundle, or None and the errors in its way. Either may come with warnings."""

    bundle: ConfigBundle | None
    problems: tuple[Problem, ...]
    origins: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Kind and name of an object -> the file that it came from."""

    def beside(self, found: Iterable[Problem]) -> tuple[Problem, ...]:
        """The problems without those that `found`, of the Secrets' contents, says again: an absent Secret."""
        absent = {item.secret for item in found if item.code is ProblemCode.SECRET_NOT_FOUND}
        return tuple(
            problem
            for problem in self.problems
            if problem.code is not ProblemCode.SECRET_NOT_FOUND or problem.secret not in absent
        )

    def locate(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """The same problems, with the files that their objects come from."""
        return tuple(
            problem
            if problem.origin
            else replace(problem, origin=self.origins.get((problem.kind, problem.name), "configuration"))
            for problem in problems
        )


class ConfigSource(Protocol):
    """Where configurations come from."""

    @property
    def paths(self) -> Sequence[Path]:
        """Files and directories whose change calls for a reload."""

    def load(self) -> Loaded:
        """Read everything again. Does blocking I/O; bad contents are problems, never an exception."""


class MountedSource:
    """A compiled `config.json` and Secrets, as mounted into a pod.

    Args:
        config: the file `config.json`, or its directory.
        secrets: a directory with one directory per Secret, one file per key.
    """

    def __init__(self, config: Path, secrets: Path) -> None:
        self._config = config / "config.json" if config.is_dir() or not config.suffix else config
        self._secrets = secrets

    @property
    def paths(self) -> Sequence[Path]:
        """The file and the directory of Secrets."""
        return (self._config, self._secrets)

    def load(self) -> Loaded:
        """Read the document and the Secrets that it names."""
        try:
            text = self._config.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return self._failed(f"cannot be read: {error}", "mount the dispatcher's ConfigMap there")
        try:
            config = DispatcherConfig.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return self._failed(
                f"{where}: {first['msg']} ({counted(error.error_count(), 'error')})",
                "let the operator write this file; operator and dispatcher may be one version apart",
            )
        if config.schema_version not in (SCHEMA_VERSION, SCHEMA_VERSION - 1):
            return self._failed(
                f"schemaVersion {config.schema_version} is not one of {SCHEMA_VERSION - 1}, {SCHEMA_VERSION}",
                "bring operator and dispatcher to within one version of each other",
            )
        secrets = {}
        for name in sorted(config.secret_names()):
            contents = self._read_secret(name)
            if contents is not None:
                secrets[name] = contents
        return Loaded(ConfigBundle(config, secrets), ())

    def _read_secret(self, name: str) -> dict[str, bytes] | None:
        directory = self._secrets / name
        for _ in range(READ_ATTEMPTS):
            # Kubernetes swaps the link ..data when it updates a mounted object: certificate and key are
            # read from one version of it, even when it is swapped between the two.
            version = directory / "..data"
            place = version.resolve() if version.is_dir() else directory
            try:
                keys = [path for path in place.iterdir() if not path.name.startswith("..")]
                return {path.name: path.read_bytes() for path in keys if not path.is_dir()} or None
            except OSError:
                continue  # that version was removed meanwhile: read the next one
        return None

    def _failed(self, message: str, remedy: str) -> Loaded:
        problem = Problem(
            severity="error",
            origin=str(self._config),
            kind="DispatcherConfig",
            namespace="",
            name="",
            field="",
            message=message,
            remedy=remedy,
        )
        return Loaded(None, (problem,))
