"""The Service that mail is sent to."""

from __future__ import annotations

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child, without_none
from tubepost_operator.resources.container import REST_PORT


def service(source: Source) -> Document:
    """Build the Service: its port leads to the listener by name, so that a new listener port changes nothing.

    Metrics are not on it: scrapers ask every pod for its own.
    """
    wanted = source.spec.service
    port: Document = {
        "name": "smtp",
        "port": wanted.port,
        "targetPort": "smtp",
        "protocol": "TCP",
        "appProtocol": "smtp",
    }
    if wanted.node_port is not None:
        port["nodePort"] = wanted.node_port
    # What is not said is left to the cluster, or to whoever else writes this Service.
    said = wanted.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude={"port", "node_port", "annotations", "session_affinity_timeout_seconds"},
    )
    ports = [port]
    if source.config.rest is not None:
        number = source.config.rest.port
        application = {"appProtocol": "https" if source.config.rest.tls else "http"}
        ports.append(
            {"name": REST_PORT, "port": number, "targetPort": REST_PORT, "protocol": "TCP", **application}
        )
    spec: Document = {**without_none(said), "selector": Names.pod_selector(source.name), "ports": ports}
    if (seconds := wanted.session_affinity_timeout_seconds) is not None:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    return child(source, "Service", {"spec": spec}, annotations=wanted.annotations)
