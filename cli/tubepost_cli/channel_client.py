"""Asks Apple's service for broadcast channels, or a simulator.

Source: Apple, "Sending channel management requests to APNs".
"""

from __future__ import annotations

import json
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import click
import httpx

from tubepost_api.config import RouteConfig
from tubepost_credentials import CertificateCredential, CredentialError, TokenCredential
from tubepost_credentials.secrets import Material
from tubepost_dispatcher.apns.tls import client_context
from tubepost_dispatcher.apns.tokens import ProviderToken
from tubepost_dispatcher.push_types import BROADCAST_TYPE, PUSH_TYPES
from tubepost_dispatcher.reasons.catalogue import lookup
from tubepost_dispatcher.text import foreign

EX_REFUSED: Final = 1
"""Exit status: Apple refused the request."""
EX_UNAVAILABLE: Final = 69
"""Exit status: nobody answers, or not now (sysexits.h)."""
TIMEOUT: Final = 30.0
"""Seconds for a connection, and for an answer."""
MANAGEMENT: Final[Mapping[str, str]] = {
    "Production": "https://api-manage-broadcast.push.apple.com:2196",
    "Sandbox": "https://api-manage-broadcast.sandbox.push.apple.com:2195",
}
"""Apple's services for channels, by environment."""
_SUFFIX: Final = PUSH_TYPES[BROADCAST_TYPE].suffix


class Unavailable(click.ClickException):
    """Nobody answers, or not now."""

    exit_code = EX_UNAVAILABLE


class Refused(click.ClickException):
    """Apple refused the request."""

    exit_code = EX_REFUSED


@dataclass(frozen=True, slots=True)
class Account:
    """Whose channels, and how to ask for them.

    Attributes:
        url: of the service.
        bundle: the app's bundle id.
        credential: certificate or signing key.
        tls: for the connection; has the certificate where that is the credential.
        proxy: `http://HOST:PORT` to go through, None without.
        proxy_account: user name and password for it.
    """

    url: str
    bundle: str
    credential: CertificateCredential | TokenCredential
    tls: ssl.SSLContext = field(repr=False)
    proxy: str | None = None
    proxy_account: tuple[str, str] | None = field(default=None, repr=False)


def account_of(route: RouteConfig, material: Material, *, url: str | None, topic: str | None) -> Account:
    """What a route is for channels.

    Args:
        route: endpoint, topic, TLS and proxy.
        material: its Secrets, read.
        url: of the service; None: Apple's of the route's environment, or the route's own endpoint.
        topic: the app's bundle id; None: the route's, or the certificate's.

    Raises:
        click.ClickException: something is missing or cannot be used; it says what.
    """
    credential = material.certificate or material.token
    if credential is None or not material.complete:
        # Without its authorities or its proxy's account it would be another connection than the route says.
        what = "credential" if credential is None else "Secrets"
        text = "; ".join(finding.message for finding in material.findings if not finding.fault.serves)
        raise click.ClickException(f"route {route.name}: its {what} cannot be used: {text}")
    named = topic or route.topic
    if named is None and isinstance(credential, CertificateCredential):
        named = credential.default_topic
    if not named:
        raise click.ClickException(
            f"route {route.name} names no topic: give the app's bundle id with --topic"
        )
    try:
        tls = client_context(route.tls, credential, material.authorities)
    except (ssl.SSLError, CredentialError) as error:
        raise click.ClickException(f"route {route.name}: TLS cannot be set up: {error}") from None
    if url is None:
        host = f"[{route.host}]" if ":" in route.host else route.host
        own = f"https://{host}:{route.port}"
        url = own if route.environment is None else MANAGEMENT[route.environment]
    user, _, password = (material.proxy_account or "").partition(":")
    return Account(
        url,
        named.removesuffix(_SUFFIX),
        credential,
        tls,
        route.proxy,
        (user, password) if material.proxy_account else None,
    )


class ChannelClient:
    """Asks for the channels of one app. Use as a context manager.

    Raises:
        Unavailable: nobody answers, or not now; from every method.
        Refused: the request was refused; likewise.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        proxy = None
        if account.proxy is not None:
            proxy = httpx.Proxy(account.proxy, auth=account.proxy_account)
        self._client = httpx.Client(
            http1=False,
            http2=True,
            verify=account.tls,
            proxy=proxy,
            timeout=TIMEOUT,
            trust_env=False,
            base_url=f"{account.url.rstrip('/')}/1/apps/{account.bundle}/",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def list(self) -> list[str]:
        """The ids of the app's channels."""
        found = self._json(self._send("GET", "all-channels"), "channels")
        return [str(one) for one in found["channels"]]

    def create(self, *, keeps_latest: bool) -> str:
        """Make a channel; `keeps_latest`: its latest message is kept for devices that come later."""
        document = {"message-storage-policy": int(keeps_latest), "push-type": "LiveActivity"}
        made = self._send("POST", "channels", body=json.dumps(document).encode())
        channel_id = made.headers.get("apns-channel-id", "")
        if not channel_id:
            raise Unavailable(f"{self._account.url} made a channel and did not name it")
        return str(channel_id)

    def show(self, channel_id: str) -> dict[str, Any]:
        """`message-storage-policy` and `push-type` of a channel."""
        return self._json(self._send("GET", "channels", channel_id), "message-storage-policy")

    def delete(self, channel_id: str) -> None:
        """Delete a channel: its subscribers hear nothing any more."""
        self._send("DELETE", "channels", channel_id)

    def _send(self, method: str, path: str, channel_id: str = "", body: bytes = b"") -> httpx.Response:
        credential = self._account.credential
        headers = {"apns-request-id": str(uuid.uuid4())}
        secret = ""
        if isinstance(credential, TokenCredential):
            # The same token that a dispatcher uses at this moment: Apple wants no other one beside it.
            headers["authorization"] = secret = ProviderToken(credential).header(time.time()).decode("ascii")
        if channel_id:
            headers["apns-channel-id"] = channel_id
        if body:
            headers["content-type"] = "application/json"
        try:
            response = self._client.request(method, path, headers=headers, content=body or None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = foreign(str(error) or type(error).__name__, secret)
            raise Unavailable(f"{self._account.url} does not answer: {why}") from None
        if response.is_success:
            return response
        raise self._refused(response, headers["apns-request-id"])

    def _refused(self, response: httpx.Response, request_id: str) -> click.ClickException:
        try:
            reason = response.json()["reason"]
        except (ValueError, KeyError, TypeError):
            reason = ""
        spec = lookup(response.status_code, foreign(reason) if isinstance(reason, str) else "")
        text = f"Apple answered {response.status_code} {spec.reason}: {spec.help} {spec.remedy}".strip()
        kind = Unavailable if response.status_code in {429, 500, 503} else Refused
        return kind(f"{text} (apns-request-id {request_id})")

    def _json(self, response: httpx.Response, wanted: str) -> dict[str, Any]:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict) or wanted not in document:
            raise Unavailable(f"{self._account.url} did not answer as Apple's service for channels does")
        return document
