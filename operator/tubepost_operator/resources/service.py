"""The Service that mail is sent to."""

from __future__ import annotations

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child


def service(source: Source) -> Document:
    """Build the Service: its port leads to the listener by name, so that a new listener port changes nothing.

    Metrics are not on it: scrapers ask every pod for its own.
    """
    wanted = source.spec.service
    return child(
        source,
        "Service",
        {
            "spec": {
                "type": wanted.type,
                "selector": Names.pod_selector(source.name),
                "ports": [
                    {
                        "name": "smtp",
                        "port": wanted.port,
                        "targetPort": "smtp",
                        "protocol": "TCP",
                        "appProtocol": "smtp",
                    }
                ],
            }
        },
        annotations=wanted.annotations,
    )
