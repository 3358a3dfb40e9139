"""The NetworkPolicy of the dispatchers, where the operator is told to write one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tubepost_operator.names import Names
from tubepost_operator.observed import Document
from tubepost_operator.resources.common import Source, child
from tubepost_operator.resources.container import REST_PORT


def network_policy(source: Source) -> Document:
    """Build the policy.

    In: the listener, from the networks that the spec allows; requests from everywhere, since they have
    tokens, and so metrics and health, since probes come from the node and scrapers from any namespace.
    Out: DNS, and the ports of APNs, proxies, relays, webhooks and traces. Hosts are names, which a
    NetworkPolicy cannot hold: ports alone are bounded.
    """
    listener = source.config.listener
    rest = [_tcp(REST_PORT)] if source.config.rest is not None else []
    smtp: dict[str, Any] = {"ports": [_tcp("smtp")]}
    if listener.allowed_networks:
        # Load balancers stand for clients whose addresses only the dispatcher learns.
        networks = dict.fromkeys((*listener.allowed_networks, *listener.proxy_networks))
        smtp["from"] = [{"ipBlock": {"cidr": _cidr(network)}} for network in networks]
    return child(
        source,
        "NetworkPolicy",
        {
            "spec": {
                # Drain pods as well, which the Service does not select.
                "podSelector": {
                    "matchLabels": {Names.NAME_LABEL: Names.APP, Names.PUSH_DOMAIN_LABEL: source.name}
                },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [smtp, {"ports": [_tcp("http"), *rest]}],
                "egress": [
                    {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
                    {"ports": [_tcp(port) for port in _ports(source)]},
                ],
            }
        },
    )


def _ports(source: Source) -> list[int]:
    """Ports that the dispatcher connects to; 443 and 2197 are APNs' own, whichever a route names."""
    ports = {443, 2197}
    for route in source.config.routes.values():
        ports.add(route.port)
        if route.proxy is not None:
            ports.add(urlsplit(route.proxy).port or 80)
    if source.config.passthru is not None:
        ports.add(source.config.passthru.port)
    if source.config.bounces is not None:
        ports.add(source.config.bounces.relay.port)
    queue = source.config.queue
    if queue is not None and queue.jet_stream is not None:
        ports |= {int(server.rpartition(":")[2]) for server in queue.jet_stream.servers}
    addresses = [logger.webhook.url for logger in source.config.loggers if logger.webhook is not None]
    if source.config.tracing is not None:
        addresses.append(source.config.tracing.endpoint)
    for url in map(urlsplit, addresses):
        ports.add(url.port or (443 if url.scheme == "https" else 80))
    return sorted(ports)


def _tcp(port: int | str) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}


def _cidr(network: str) -> str:
    if "/" in network:
        return network
    return f"{network}/{128 if ':' in network else 32}"
