"""What a PushDomain may say about its Service: the fields of a Service that make sense for mail."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from tubepost_api.fields import UNIQUE, Checked, Network, Port, no_repeats
from tubepost_api.podtemplate import NOT_OWN_ANNOTATIONS, OWN_PREFIX, Annotations
from tubepost_api.rules import Rule, SpecModel

LoadBalancerClass = Annotated[
    str,
    Checked(
        "the class of a load balancer",
        "write NAME or PREFIX/NAME, such as service.k8s.aws/nlb",
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
        317,
    ),
]
"""Which implementation makes the load balancer."""

_OUTSIDE = ("NodePort", "LoadBalancer")


def _only(field: str, types: tuple[str, ...], attribute: str) -> Rule:
    """A field that has a meaning for some types alone."""
    words = " or ".join(types)
    listed = ", ".join(f"'{name}'" for name in types)
    return Rule(
        f"!has(self.{field}) || self.type in [{listed}]",
        f"{field} has no meaning for other types than {words}",
        f"leave it out, or set type: {types[-1]}",
        lambda service: getattr(service, attribute) in (None, ()) or service.type in types,
        field,
    )


class ServiceSpec(SpecModel):
    """The Service in front of the dispatcher."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Type of the Service."""
    port: Port = 25
    """Port of the Service."""
    node_port: Port | None = None
    """Port of every node, for types NodePort and LoadBalancer; without it the cluster chooses one."""
    annotations: Annotations | None = None
    """Annotations of the Service, for example for a cloud's load balancer."""
    external_traffic_policy: Literal["Cluster", "Local"] | None = None
    """Local: nodes pass traffic from outside to their own pods alone, and the dispatcher sees the client's
    address; without it Cluster, where it sees a node's."""
    internal_traffic_policy: Literal["Cluster", "Local"] | None = None
    """The same for traffic from inside the cluster; without it Cluster."""
    load_balancer_class: LoadBalancerClass | None = None
    """Which implementation makes the load balancer; without it the cluster's. It cannot be changed."""
    load_balancer_source_ranges: Annotated[
        tuple[Network, ...], Field(max_length=64, json_schema_extra=UNIQUE), AfterValidator(no_repeats)
    ] = ()
    """IP networks whose hosts the load balancer lets in; empty: all."""
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    """Whether the Service has addresses of both IP families; without it as the cluster says."""
    ip_families: Annotated[
        tuple[Literal["IPv4", "IPv6"], ...],
        Field(max_length=2, json_schema_extra=UNIQUE),
        AfterValidator(no_repeats),
    ] = ()
    """IP families, the first one cannot be changed; empty: as the cluster says."""
    session_affinity: Literal["None", "ClientIP"] | None = None
    """ClientIP: connections of one client go to the same pod; without it None."""
    session_affinity_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """How long a client is remembered, with sessionAffinity ClientIP; without it three hours."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            NOT_OWN_ANNOTATIONS.format(field="annotations"),
            f"an annotation is the operator's own ({OWN_PREFIX}...)",
            "choose another key",
            lambda service: not any(key.startswith(OWN_PREFIX) for key in service.annotations or {}),
            "annotations",
        ),
        _only("nodePort", _OUTSIDE, "node_port"),
        _only("externalTrafficPolicy", _OUTSIDE, "external_traffic_policy"),
        _only("loadBalancerClass", ("LoadBalancer",), "load_balancer_class"),
        Rule(
            "!has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.size() == 0 "
            "|| self.type == 'LoadBalancer'",
            "loadBalancerSourceRanges has no meaning for other types than LoadBalancer",
            "leave it out, or set type: LoadBalancer; spec.listener.allowedNetworks holds for all types",
            lambda service: not service.load_balancer_source_ranges or service.type == "LoadBalancer",
            "loadBalancerSourceRanges",
        ),
        Rule(
            "!has(self.ipFamilies) || self.ipFamilies.size() < 2 "
            "|| (has(self.ipFamilyPolicy) && self.ipFamilyPolicy != 'SingleStack')",
            "two IP families need a policy for two",
            "set ipFamilyPolicy: PreferDualStack or RequireDualStack",
            lambda service: (
                len(service.ip_families) < 2 or service.ip_family_policy not in (None, "SingleStack")
            ),
            "ipFamilies",
        ),
        Rule(
            "!has(self.sessionAffinityTimeoutSeconds) "
            "|| (has(self.sessionAffinity) && self.sessionAffinity == 'ClientIP')",
            "sessionAffinityTimeoutSeconds has no meaning without sessionAffinity ClientIP",
            "set sessionAffinity: ClientIP, or leave it out",
            lambda service: (
                service.session_affinity_timeout_seconds is None or service.session_affinity == "ClientIP"
            ),
            "sessionAffinityTimeoutSeconds",
        ),
    )
