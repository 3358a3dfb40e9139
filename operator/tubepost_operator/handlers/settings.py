"""kopf's settings, each with its reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import kopf

from tubepost_api.resource import GROUP

SERVER_TIMEOUT = 45
"""Seconds of one watch request, whole ones: the server reads no fraction."""
INACTIVITY_TIMEOUT = 52.0
"""Seconds without event and bookmark after which a connection is given up: packets may be dropped."""


def settings() -> kopf.OperatorSettings:
    """Make the settings."""
    result = kopf.OperatorSettings()
    # The server ends every watch request after a while; we end those on which nothing arrives.
    result.watching.server_timeout = SERVER_TIMEOUT
    result.watching.inactivity_timeout = INACTIVITY_TIMEOUT
    result.watching.client_timeout = 2 * INACTIVITY_TIMEOUT
    result.watching.connect_timeout = 3.0
    result.watching.reconnect_backoff = 0.5
    result.watching.chunk_size = 500
    # After an outage the next attempt must come soon: short pauses and time-outs; anything worse restarts the
    # watch from a fresh list.
    result.networking.request_timeout = 15.0
    result.networking.connect_timeout = 3.0
    result.networking.error_backoffs = (0.5, 1.0, 2.0)
    # Events come from our own plan, on changes only.
    result.posting.enabled = False
    result.posting.loggers = False
    # Our kinds are installed before kopf starts, and stay: there is no need to watch
    # CustomResourceDefinitions and Namespaces, nor for the permissions to do so.
    result.scanning.disabled = True
    # Who leads is decided by a Lease.
    result.peering.standalone = True
    # Handlers only pass on what they see; no thread of kopf's does any work.
    result.execution.executor = ThreadPoolExecutor(1, "kopf")
    # kopf keeps nothing in our objects. Should a later version try, it is under our own prefix.
    result.persistence.finalizer = f"{GROUP}/finalizer"
    result.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP)
    result.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=GROUP)
    # The process ends when we say so.
    result.process.ultimate_exiting_timeout = None
    # Idle objects need no task.
    result.queueing.idle_timeout = 1.0
    result.queueing.exit_timeout = 1.0
    return result
