"""The HTTP client of a webhook: one request at a time, bounded in time and in what is read of an answer."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import ssl
import sys
from typing import Final

import httpx

from tubepost_dispatcher.feeds.webhook.port import Endpoint, NoAnswer, Response
from tubepost_dispatcher.text import foreign

CONNECT_TIMEOUT: Final = 5.0
"""Seconds for a connection, TLS included, within those of the whole request."""
BODY_TIMEOUT: Final = 2.0
"""Seconds for the body of an answer: its status has said what matters."""
MOST_READ: Final = 64 * 1024
"""Bytes of an answer that are read, so that the connection can be used again; a longer one is cut off."""
MOST_KEPT: Final = 1024
"""Bytes of it that are kept for a log line."""

# httpcore tries to import it several times for each request. Where it is not installed, the file system was
# searched each time, which took milliseconds; this entry says at once that it does not exist.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

# The first request would load them on the event loop, which took 100 ms; this module is loaded in a thread.
for _name in ("httpcore._backends.anyio", "anyio._backends._asyncio"):
    with contextlib.suppress(ImportError):
        importlib.import_module(_name)

# They tell of URLs, and at Debug of header fields: both may hold a secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class WebhookClient:
    """Sends to one endpoint. Making one reads certificates: do that in a thread.

    Proxies and `.netrc` of the environment do not count, redirects are not followed.

    Args:
        endpoint: where to.

    Raises:
        ValueError: the URL is none.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        try:
            self._url = httpx.URL(endpoint.url)
        except httpx.InvalidURL as error:
            raise ValueError(foreign(str(error))) from None
        self._client = httpx.AsyncClient(
            verify=endpoint.tls or ssl.create_default_context(),
            timeout=httpx.Timeout(endpoint.timeout, connect=min(CONNECT_TIMEOUT, endpoint.timeout)),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0),
            follow_redirects=False,
            trust_env=False,
        )

    async def post(self, body: bytes, headers: dict[str, str]) -> Response:
        """Send a request.

        Raises:
            NoAnswer: there was no whole answer in time.
        """
        secrets = (headers.get("Authorization", ""),)
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                async with self._client.stream("POST", self._url, content=body, headers=headers) as answer:
                    retry_after = answer.headers.get("retry-after", "").encode("latin-1", "replace")
                    return Response(answer.status_code, retry_after, await _beginning(answer))
        except TimeoutError:
            raise NoAnswer(f"no answer within {self._endpoint.timeout:g} s") from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError, ValueError) as error:
            said = foreign(str(error), *secrets)
            raise NoAnswer(f"{type(error).__name__}: {said}" if said else type(error).__name__) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


async def _beginning(answer: httpx.Response) -> bytes:
    """The first bytes of a body, as they came; the status says all that matters, should the rest not come."""
    kept, read = b"", 0
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in answer.aiter_raw():
                read += len(chunk)
                if len(kept) < MOST_KEPT:
                    kept += chunk[: MOST_KEPT - len(kept)]
                if read > MOST_READ:
                    break
    return kept
