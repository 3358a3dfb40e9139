"""The admin API's answers about the queue, step after step until there are no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import click
import httpx

from tubepost_dispatcher.queue_request import Action

EX_REFUSED: Final = 2
"""Exit status: the request was refused, or the command line is wrong."""
EX_PARTLY: Final = 3
"""Exit status: done, but not all of the queue could be reached."""
EX_UNAVAILABLE: Final = 69
"""Exit status: no dispatcher answers (sysexits.h)."""
TIMEOUT: Final = 30.0
"""Seconds for one answer; each is a second's work."""

Document = dict[str, Any]


class Unavailable(click.ClickException):
    """Nobody answers, or not with what was asked for."""

    exit_code = EX_UNAVAILABLE


class Refused(click.ClickException):
    """The dispatcher refused the request, in words."""

    exit_code = EX_REFUSED


class QueueClient:
    """Asks one dispatcher.

    Args:
        url: of its admin API.
        progress: called after each step with the document that came.
        transport: for tests.

    Raises:
        Unavailable: nobody answers; from every method.
        Refused: the request was refused; likewise.
    """

    def __init__(
        self,
        url: str,
        progress: Callable[[Document], None] = lambda _: None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url
        self._progress = progress
        self._transport = transport
        self.problems: list[str] = []
        """What is missing from the answers so far, and why."""

    def read(self, path: str, pairs: Sequence[tuple[str, str]]) -> Iterator[Document]:
        """The answers to a request that changes nothing; the caller may stop at any."""
        cursor: str | None = None
        while True:
            more = [*pairs, *([("cursor", cursor)] if cursor else [])]
            document = self._send("GET", path, params=httpx.QueryParams(tuple(more)))
            yield document
            cursor = document["next"]
            if cursor is None:
                return

    def change(
        self, action: Action, body: Mapping[str, Any], cursor: str | None = None
    ) -> Iterator[Document]:
        """The answers to a request that changes the queue; the work goes on only while they are asked for."""
        while True:
            sent = {**body, **({"cursor": cursor} if cursor else {})}
            document = self._send("POST", f"/queue/{action}", json=sent)
            yield document
            cursor = document["next"]
            if cursor is None:
                return

    def _send(self, method: str, path: str, **values: Any) -> Document:
        try:
            with httpx.Client(
                base_url=self._url, timeout=TIMEOUT, trust_env=False, transport=self._transport
            ) as client:
                response = client.request(method, path, **values)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(
                f"no dispatcher answers at {self._url} ({error}). Name its admin port with --port,"
                " or run this in its pod: kubectl exec POD -c dispatcher -- tubepost queue ..."
            ) from error
        try:
            document: Document = response.json()
        except ValueError:
            raise Unavailable(
                f"{self._url}{path} does not answer as a dispatcher does (status {response.status_code}). "
                "--port is the admin port, not the one of metrics"
            ) from None
        if response.status_code in {400, 413, 415} and "error" in document:
            raise Refused(str(document["error"]))
        if response.status_code != httpx.codes.OK or "next" not in document:
            raise Unavailable(f"{self._url}{path} answered {response.status_code}; see the dispatcher's log")
        for problem in document["problems"]:
            if problem not in self.problems:
                self.problems.append(problem)
        self._progress(document)
        return document
