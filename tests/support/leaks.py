"""Looks for secrets in what the code under test says, while the whole suite runs; `tests/conftest.py` uses it.

What is looked through: log records of every level with their extras and tracebacks, labels of metrics, SMTP
replies, bodies of metrics, health and status endpoints, conditions, events, problems and findings, texts of
exceptions that a test expects, captured output; and of child processes, what they write to files and answer to
`smtplib` and `urllib`.

What is looked for: lines of private keys and passwords (all that the reader of Secrets has been given, and all
keys made in this process), provider tokens (anything of their form), and whole device tokens (any 64 to 200 hex
digits; prefixes are fine).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import smtplib
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from _pytest._code import ExceptionInfo
from aiohttp import web
from prometheus_client.metrics import MetricWrapperBase

from tubepost_api.conditions import Condition
from tubepost_api.problems import Problem
from tubepost_credentials import secrets, throwaway
from tubepost_dispatcher.smtp import replies
from tubepost_operator.actions import Event
from tubepost_runtime import endpoints

PROVIDER_TOKEN = re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{40,}")
DEVICE_TOKEN = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64,200}(?![0-9A-Za-z])")
_FINGERPRINT = re.compile(r'"fingerprint": ?"[0-9a-f]{64}"')
_HINT = re.compile(r"--token [0-9a-f]{64}")
"""`tubepost run` shows a command to try, with a token that is nobody's."""
EVERYTHING = 1
"""Level of a logger that makes all records, to be looked at; those below the root logger's level go no further."""
SHORTEST = 10
"""Characters of a password that is looked for: shorter ones stand in texts by chance."""

_FIELDS = frozenset(logging.makeLogRecord({}).__dict__)


class Leaks:
    """What is secret, and where it has been seen."""

    def __init__(self) -> None:
        self._secret: set[str] = set()
        self._found: list[str] = []
        self._written: list[_Written] = []
        self.device_tokens = True
        """Whether 64 hex digits are taken for a device token: not where containers are, whose ids look like it."""

    def register(self, value: str) -> None:
        """Look for `value` from now on."""
        if len(value) >= SHORTEST:
            self._secret.add(value)

    def register_key(self, pem: bytes) -> None:
        """Look for the lines of a private key from now on, but not for what all keys of a kind begin with."""
        lines = [line.strip() for line in pem.decode("latin-1").replace("\\n", "\n").splitlines()]
        body = [line for line in lines if len(line) >= 40 and not line.startswith("-")]
        for line in body:
            self.register(line[36:])

    def look(self, where: str, text: str, *, device_tokens: bool = True) -> None:
        """Note whatever `text` shows."""
        found = [secret for secret in self._secret if secret in text]
        found += PROVIDER_TOKEN.findall(text)
        if device_tokens and self.device_tokens:
            # One digit over and over is a name that is too long.
            found += [token for token in DEVICE_TOKEN.findall(text) if len(set(token)) > 1]
        for secret in found:
            at = text.index(secret)
            self._found.append(
                f"{where} shows {secret!r}: ...{text[max(0, at - 80) : at + len(secret) + 40]!r}"
            )

    def follow(self, where: str, process: subprocess.Popen[Any], file: Any) -> None:
        """Look through what a process writes to a file from now on."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            number = file if isinstance(file, int) else file.fileno()
            if number >= 0 and stat.S_ISREG(os.fstat(number).st_mode):
                # Opened anew, since it may be open for writing only.
                self._written.append(
                    _Written(where, process, os.open(f"/proc/self/fd/{number}", os.O_RDONLY))
                )

    def take(self) -> list[str]:
        """What was found since the last call."""
        for written in tuple(self._written):
            over = written.process.returncode is not None
            self.look(written.where, _HINT.sub("", written.read()))
            if over:
                os.close(written.file)
                self._written.remove(written)
        found, self._found = self._found, []
        return list(dict.fromkeys(found))

    def close(self) -> None:
        """Follow no more files."""
        for written in self._written:
            os.close(written.file)
        self._written.clear()


class _Written:
    """A file that a child process writes to."""

    def __init__(self, where: str, process: subprocess.Popen[Any], file: int) -> None:
        self.where = where
        self.process = process
        self.file = file
        # From the beginning: the process runs already, and may have written.
        self._at = 0

    def read(self) -> str:
        """What has come since the last call, and the end of what came before."""
        begin = max(0, self._at - 300)
        size = os.fstat(self.file).st_size
        if size <= self._at:
            self._at = min(self._at, size)
            return ""
        text = os.pread(self.file, size - begin, begin).decode("utf-8", "replace")
        self._at = size
        return text


def install(leaks: Leaks) -> Callable[[], None]:
    """Look through everything that the module names; returns what undoes it."""
    undo = contextlib.ExitStack()
    patch = pytest.MonkeyPatch()
    undo.callback(patch.undo)

    def after(owner: Any, name: str, see: Callable[..., None]) -> None:
        """Call `see` with the arguments and the result of each call."""
        original = getattr(owner, name)

        @functools.wraps(original)
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            result = original(*arguments, **keywords)
            see(result, *arguments, **keywords)
            return result

        patch.setattr(owner, name, wrapper)

    original = logging.Logger.handle

    def handle(logger: logging.Logger, record: logging.LogRecord) -> None:
        _record(leaks, logger.name, record)
        if logger.getEffectiveLevel() != EVERYTHING or record.levelno >= logging.getLogger().level:
            original(logger, record)

    patch.setattr(logging.Logger, "handle", handle)
    _learn(leaks, after)
    _watch(leaks, after)
    return undo.close


After = Callable[[Any, str, Callable[..., None]], None]


_WORDS = {
    "Users",
    "RelayAccount",
    "BounceRelayAccount",
    "ProxyAccount",
    "RestTokens",
    "WebhookAuthorization",
    "WebhookSignature",
    "JetStreamCredentials",
    "JetStreamNkey",
    "JetStreamAccount",
}
"""Uses whose Secrets hold words that people choose."""


def _learn(leaks: Leaks, after: After) -> None:
    def read(_: None, reader: Any, reference: Any) -> None:
        secret = reader._secrets.get(reference.secret) or {}
        for key, value in secret.items():
            if b"PRIVATE KEY" in value:
                leaks.register_key(value)
            elif reference.use in _WORDS and key != "username":
                lines = value.decode("utf-8", "replace").splitlines()
                for line in (line for line in lines if not line.startswith("-----")):
                    leaks.register(line.strip().partition(":")[2] or line.strip())

    after(secrets._Reader, "read", read)
    after(throwaway, "_key_pem", lambda pem, *_: leaks.register_key(pem))
    after(throwaway, "make_token_key", leaks.register_key)


def _watch(leaks: Leaks, after: After) -> None:
    after(
        MetricWrapperBase,
        "labels",
        lambda _, metric, *values, **named: leaks.look(
            f"a label of {metric._name}", " ".join(map(str, (*values, *named.values())))
        ),
    )
    after(replies, "render", lambda line, *_, **__: leaks.look("an SMTP reply", line.decode("latin-1")))
    for answer in ("body_response", "text_response"):
        after(endpoints, answer, lambda response, *_, **__: leaks.look("an endpoint", _body(response)))
    after(smtplib.SMTP, "getreply", lambda reply, _: leaks.look("an SMTP reply", str(reply)))
    after(HTTPResponse, "read", lambda body, it, *_: _answer(leaks, it, body))
    for kind in (Condition, Event, Problem, secrets.SecretFinding):
        after(kind, "__init__", lambda _, it, *__, **___: leaks.look(f"a {type(it).__name__}", repr(it)))
    after(ExceptionInfo, "fill_unfilled", lambda _, info, exc_info: _exception(leaks, exc_info[1]))
    after(
        subprocess.Popen,
        "__init__",
        lambda _, process, arguments, *__, **files: _child(leaks, process, arguments, files),
    )


def _child(leaks: Leaks, process: subprocess.Popen[Any], arguments: Any, files: Mapping[str, Any]) -> None:
    words = [arguments] if isinstance(arguments, str | bytes) else [str(word) for word in arguments]
    if any(Path(str(word)).name.startswith("tubepost") for word in words[:4]):
        for stream in ("stdout", "stderr"):
            leaks.follow(" ".join(map(str, words))[:100], process, files.get(stream))


def _body(response: web.Response) -> str:
    """The fingerprint of a credential has as many digits as a device token, and is no secret."""
    body = response.body
    return _FINGERPRINT.sub("", body.decode("utf-8", "replace")) if isinstance(body, bytes) else ""


def _answer(leaks: Leaks, response: HTTPResponse, body: bytes) -> None:
    url = str(vars(response).get("url", ""))
    if url and "/api" not in url:  # which is the simulator's, and shows what it has received
        leaks.look(url, _FINGERPRINT.sub("", body.decode("utf-8", "replace")))


def _record(leaks: Leaks, name: str, record: logging.LogRecord) -> None:
    extras = [f"{key}={value}" for key, value in record.__dict__.items() if key not in _FIELDS]
    try:
        text = " ".join([record.getMessage(), *extras])
    except (TypeError, ValueError):
        return
    if record.exc_info and record.exc_info[1] is not None:
        text += "\n" + logging.Formatter().formatException(record.exc_info)
    leaks.look(f"a record of {name}", text)


def _exception(leaks: Leaks, error: BaseException) -> None:
    if type(error).__module__.startswith("tubepost"):
        leaks.look(f"{type(error).__name__}", f"{error} {error!r}")


@contextlib.contextmanager
def looking(leaks: Leaks) -> Iterator[Leaks]:
    """As `install`, for a `with` block."""
    undo = install(leaks)
    try:
        yield leaks
    finally:
        undo()
        leaks.close()
