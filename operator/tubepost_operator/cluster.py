"""The edge to the API server: the only module that knows the `kubernetes` client.

The client is synchronous, so every request runs in a thread of a bounded pool, and every watch in one of its
own. Its configuration and connection pools are used (kubeconfig, account, TLS); objects are plain documents.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes import client as kubernetes_client
from kubernetes import config as kubernetes_config

from tubepost_operator.answers import read_error
from tubepost_operator.api import ApiError, NoCluster, WatchEvent, WatchSource
from tubepost_operator.kinds import LEASE, Kind
from tubepost_operator.lease import Guard
from tubepost_operator.liveness import Liveness
from tubepost_operator.metadata_watch import PAGE, watch_metadata, words
from tubepost_operator.metadata_watch import READ_TIMEOUT as WATCH_READ_TIMEOUT
from tubepost_operator.metrics import OperatorMetrics
from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_runtime.backoff import Exponential

_LOG = logging.getLogger("tubepost.cluster")

_untyped: Any = kubernetes_config

CONNECT_TIMEOUT: Final = 3.0
"""Seconds for a new connection."""
READ_TIMEOUT: Final = 10.0
"""Seconds without a byte of an answer."""
LEASE_TIMEOUT: Final = 4.0
"""The same for the Lease, whose time is short."""
ATTEMPTS: Final = 4
"""How often a request is tried in all, when it fails for a transient reason."""
FIRST_PAUSE: Final = 0.2
"""Seconds before the second attempt; each further one waits three times as long, with jitter."""
MOST_PAUSE: Final = 10.0
"""Seconds that a server's Retry-After is obeyed at most; beyond them the object's own back-off counts."""
THREADS: Final = 8
"""Requests under way at the same time."""

_JSON: Final = "application/json"
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """How to reach the API server, for those who bring an HTTP client of their own.

    `authorization` gives the value of that header, empty for none; tokens change while a process runs.
    """

    server: str
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    verify: bool
    authorization: Callable[[], str]


class Cluster:
    """Requests to the API server. Implements `api.ClusterApi`.

    Args:
        kubeconfig: the file to connect with; None: the pod's own account, or else the user's kubeconfig.
        guard: passed by every write, right before it is sent.
        liveness: notified of every event and bookmark of a watch.
        metrics: counts requests.
    """

    def __init__(
        self, kubeconfig: str | None, guard: Guard, liveness: Liveness, metrics: OperatorMetrics
    ) -> None:
        self._configuration = _configuration(kubeconfig)
        self._guard = guard
        self._liveness = liveness
        self._metrics = metrics
        self._lock = threading.Lock()
        self._requests = self._pool(THREADS)
        self._watches = self._pool(64)
        self._leases = self._pool(2)
        self._executor = ThreadPoolExecutor(THREADS, "api")
        # Not among the others: a Lease must not wait behind requests that hang.
        self._lease_executor = ThreadPoolExecutor(1, "lease")

    def _pool(self, size: int) -> urllib3.PoolManager:
        configuration = self._configuration
        configuration.connection_pool_maxsize = size
        manager: urllib3.PoolManager = kubernetes_client.ApiClient(configuration).rest_client.pool_manager
        return manager

    def connection_info(self) -> ConnectionInfo:
        """How to reach the API server."""
        it = self._configuration
        files = it.ssl_ca_cert, it.cert_file, it.key_file
        return ConnectionInfo(it.host, *files, bool(it.verify_ssl), self._authorization)

    def close(self) -> None:
        """End all connections; requests under way fail."""
        for executor in (self._executor, self._lease_executor):
            executor.shutdown(wait=False, cancel_futures=True)
        for pool in (self._requests, self._watches, self._leases):
            pool.clear()

    # -- objects --------------------------------------------------------------------------------------

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Document | None:
        """See `api.ClusterApi`."""
        try:
            return await self._request("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, kind: Kind, namespace: str | None, selector: str = "", *, fields: str = ""
    ) -> list[Document]:
        """See `api.ClusterApi`."""
        items: list[Document] = []
        token = ""
        while True:
            query = {"limit": str(PAGE), "labelSelector": selector, "continue": token}
            query["fieldSelector"] = fields
            page = await self._request("GET", kind.path(namespace), query)
            # Items of a list come without what the list itself says.
            own = {"apiVersion": kind.api_version, "kind": kind.name}
            items += [{**own, **item} for item in page.get("items") or ()]
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return items

    async def apply(
        self, kind: Kind, manifest: Document, *, force: bool = True, dry_run: bool = False
    ) -> Document:
        """See `api.ClusterApi`."""
        metadata = manifest["metadata"]
        query = {"fieldManager": Names.FIELD_MANAGER, "force": "true" if force else "false"}
        query["dryRun"] = "All" if dry_run else ""
        path = kind.path(metadata.get("namespace"), metadata["name"])
        return await self._request("PATCH", path, query, manifest, _APPLY)

    async def merge(
        self, kind: Kind, namespace: str, name: str, patch: Document, subresource: str | None = None
    ) -> Document | None:
        """See `api.ClusterApi`."""
        path = kind.path(namespace, name, subresource)
        try:
            return await self._request("PATCH", path, {"fieldManager": Names.FIELD_MANAGER}, patch, _MERGE)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def remove_fields(
        self, kind: Kind, document: Document, places: Sequence[str], *, dry_run: bool = False
    ) -> Document:
        """See `api.ClusterApi`."""
        metadata = document["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        version = {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        patch = [version, *({"op": "remove", "path": place} for place in places)]
        query = {"fieldManager": Names.FIELD_MANAGER, "dryRun": "All" if dry_run else ""}
        return await self._request("PATCH", path, query, patch, _JSON_PATCH, repeat=False)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """See `api.ClusterApi`."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": uid},
            "propagationPolicy": "Background",
        }
        try:
            await self._request("DELETE", kind.path(namespace, name), {}, options, _JSON)
        except ApiError as error:
            # A conflict means that another object has the name by now.
            if error.status not in {404, 409}:
                raise

    async def create(self, kind: Kind, namespace: str, manifest: Document) -> Document:
        """See `api.ClusterApi`."""
        query = {"fieldManager": Names.FIELD_MANAGER}
        return await self._request("POST", kind.path(namespace), query, manifest, _JSON, repeat=False)

    # -- the Lease ------------------------------------------------------------------------------------

    async def read_lease(self, namespace: str, name: str) -> Document | None:
        """The Lease, None when there is none.

        Raises:
            ApiError: any other answer, or none.
        """
        try:
            return await self._lease("GET", LEASE.path(namespace, name), None)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def write_lease(self, lease: Document, *, create: bool) -> Document:
        """Create or replace the Lease; it is the one write that needs no Lease.

        Raises:
            ApiError: not written; a conflict when somebody else was quicker.
        """
        metadata = lease["metadata"]
        if create:
            return await self._lease("POST", LEASE.path(metadata["namespace"]), lease)
        return await self._lease("PUT", LEASE.path(metadata["namespace"], metadata["name"]), lease)

    async def _lease(self, method: str, path: str, body: Document | None) -> Document:
        def send() -> Document:
            timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=LEASE_TIMEOUT)
            return self._send(self._leases, method, path, {}, body, _JSON, timeout, guarded=False)

        return await asyncio.get_running_loop().run_in_executor(self._lease_executor, send)

    # -- requests -------------------------------------------------------------------------------------

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Document | Sequence[Document] | None = None,
        content_type: str = _JSON,
        *,
        repeat: bool = True,
    ) -> Document:
        """One request, retried when it fails for a transient reason; all but POST can be repeated."""
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)

        def send() -> Document:
            return self._send(
                self._requests,
                method,
                path,
                query or {},
                body,
                content_type,
                timeout,
                guarded=method != "GET",
            )

        delays = Exponential(FIRST_PAUSE, math.inf, factor=3.0, jitter=(0.7, 1.3))
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await asyncio.get_running_loop().run_in_executor(self._executor, send)
            except ApiError as error:
                throttled = error.kind == "throttled"
                if not error.transient or attempt == ATTEMPTS or not (repeat or throttled):
                    raise
                wait = delays.delay(attempt)
                if error.retry_after is not None:
                    if error.retry_after > MOST_PAUSE:
                        raise
                    wait = max(wait, error.retry_after)
                _LOG.debug("%s %s: %s; retrying in %.1f s", method, path, error, wait)
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _send(
        self,
        pool: urllib3.PoolManager,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Document | Sequence[Document] | None,
        content_type: str,
        timeout: urllib3.Timeout,
        *,
        guarded: bool,
    ) -> Document:
        """One attempt. Runs in a thread.

        Raises:
            ApiError: no answer, or one that says no.
            NotLeader: the Lease was lost before the body was sent.
        """
        headers = self._headers(_JSON)
        data = None
        if body is not None:
            encoded = json.dumps(body, separators=(",", ":")).encode()
            headers |= {"Content-Type": content_type, "Content-Length": str(len(encoded))}
            data = _guarded(encoded, self._guard) if guarded else encoded
        try:
            response = pool.request(
                method,
                self._url(path, query),
                headers=headers,
                body=data,
                timeout=timeout,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            self._metrics.api_requests.labels(method, "none").inc()
            raise ApiError(0, f"the API server does not answer: {words(error)}") from error
        self._metrics.api_requests.labels(method, str(response.status)).inc()
        if response.status >= 300:
            raise read_error(response)
        document: Document = json.loads(response.data)
        return document

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": Names.FIELD_MANAGER}
        authorization = self._authorization()
        if authorization:
            headers["Authorization"] = authorization
        return headers

    def _authorization(self) -> str:
        # The client reads a renewed token here, and its configuration is not made for several threads.
        with self._lock:
            settings = self._configuration.auth_settings()
        return str(settings["BearerToken"]["value"] or "") if "BearerToken" in settings else ""

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        given = urlencode({key: value for key, value in query.items() if value})
        return f"{self._configuration.host}{path}?{given}" if given else f"{self._configuration.host}{path}"

    # -- watches --------------------------------------------------------------------------------------

    async def watch(self, source: WatchSource, tell: Callable[[WatchEvent], None]) -> None:
        """See `api.ClusterApi`."""
        await watch_metadata(
            self._open_stream,
            source,
            tell,
            lambda: self._liveness.note(source.name),
            lambda: self._liveness.tried(source.name),
        )

    def _open_stream(self, path: str, query: Mapping[str, str], accept: str) -> urllib3.BaseHTTPResponse:
        """Begin a request whose answer comes piece by piece. Runs in a thread.

        Raises:
            ApiError: no answer, or one that says no.
        """
        verb = "WATCH" if "watch" in query else "GET"
        try:
            response = self._watches.request(
                "GET",
                self._url(path, query),
                headers=self._headers(accept),
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=WATCH_READ_TIMEOUT),
                retries=False,
                redirect=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            self._metrics.api_requests.labels(verb, "none").inc()
            raise ApiError(0, f"the API server does not answer: {words(error)}") from error
        self._metrics.api_requests.labels(verb, str(response.status)).inc()
        if response.status >= 300:
            response.read()
            raise read_error(response)
        return response


def _configuration(kubeconfig: str | None) -> Any:
    configuration = kubernetes_client.Configuration()
    configuration.proxy = None  # the environment's leads out of the cluster
    if kubeconfig is None:
        with contextlib.suppress(kubernetes_config.ConfigException):
            _untyped.load_incluster_config(client_configuration=configuration)
            return configuration
    try:
        _untyped.load_kube_config(kubeconfig, client_configuration=configuration)
    except (kubernetes_config.ConfigException, OSError, yaml.YAMLError) as error:
        raise NoCluster(kubeconfig, error) from error
    return configuration


def _guarded(data: bytes, guard: Guard) -> Iterator[bytes]:
    """The body of a write. It is taken at the last moment: the connection stands, the headers are sent."""
    guard.check()
    yield data
