"""The operator's settings, from the command line."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError

from tubepost_api.podtemplate import PodTemplateSpec
from tubepost_runtime.addresses import ALL

LEASE_DURATION: Final = 12
"""Seconds without a renewal after which the Lease is free. Whole ones: so they are written into the Lease."""
LEASE_RENEW: Final = 2.0
"""Seconds between renewals, and between a follower's reads of the Lease."""
LEASE_MARGIN: Final = 1.0
"""Seconds before its end at which the leader stops writing, for requests that are under way."""
IMAGE_GROUP: Final = 65532
"""Group that the images run as."""
_NO_TEMPLATE: Final = PodTemplateSpec()


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """What the operator's release decides about dispatcher pods.

    A change of these (an upgrade of the operator) rolls PushDomains gradually. `pod_template` holds where a
    PushDomain's own says nothing. `claim_group` 0: the namespace gives the volumes of claims their group.
    """

    image: str = "tubepost/dispatcher:0.1.0"
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    pod_template: PodTemplateSpec = _NO_TEMPLATE
    claim_group: int = IMAGE_GROUP


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Times are in seconds.

    `namespaces` empty: the whole cluster. `upgrades_at_a_time`: how many PushDomains are rolled out at the
    same time when nothing but the operator's release has changed. `webhook_certificate` Given: somebody else
    (cert-manager) fills the Secret and `caBundle`.
    """

    namespaces: tuple[str, ...] = ()
    release: ReleaseSettings = ReleaseSettings()
    network_policies: bool = False
    leader_election: bool = True
    lease_name: str = "tubepost-operator"
    lease_namespace: str = "default"
    lease_duration: int = LEASE_DURATION
    lease_renew: float = LEASE_RENEW
    identity: str = "tubepost-operator"
    webhook: bool = False
    webhook_port: int = 9443
    webhook_service: str = "tubepost-webhook"
    webhook_secret: str = "tubepost-webhook-tls"  # noqa: S105 - the name of a Secret
    webhook_configuration: str = "tubepost-webhook"
    webhook_on_refusal: Literal["fail", "ignore"] = "fail"
    webhook_certificate: Literal["Own", "Given"] = "Own"
    health_host: str = ALL
    health_port: int = 8080
    log_level: Literal["Debug", "Info", "Warning", "Error"] = "Info"
    log_format: Literal["text", "json"] = "text"
    cluster_domain: str = "cluster.local"
    kubeconfig: str | None = None
    workers: int = 4
    upgrades_at_a_time: int = 2
    debounce: float = 0.5
    resync: float = 600.0
    live_status_interval: float = 60.0

    @property
    def holder(self) -> str:
        """What this release calls itself on the objects that it writes; all its replicas are one."""
        return f"{self.lease_namespace}/{self.lease_name}"


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the command line; POD_NAME and POD_NAMESPACE (the downward API) are the defaults of some.

    Raises:
        SystemExit: the arguments are wrong, or help was asked for.
    """
    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="tubepost-operator",
        description="Makes running dispatchers of PushDomains, ApnRoutes and ApnLoggers.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    toggle = argparse.BooleanOptionalAction
    add("--namespace", action="append", default=[], help="namespace to watch; repeatable; none: all of them")
    add("--dispatcher-image", default=defaults.release.image, help="image of the dispatchers")
    add(
        "--dispatcher-pull-policy",
        default=defaults.release.pull_policy,
        choices=["Always", "IfNotPresent", "Never"],
        help="when nodes pull it",
    )
    add("--image-pull-secret", action="append", default=[], help="Secret to pull it with; repeatable")
    add(
        "--dispatcher-pod-template",
        type=_pod_template,
        default=defaults.release.pod_template,
        help="spec.podTemplate, as JSON, for what a PushDomain's own does not say",
    )
    add(
        "--claim-group",
        type=int,
        default=defaults.release.claim_group,
        help="fsGroup of pods with a queue on a claim; 0: none, the namespace fills in its own",
    )
    add("--network-policies", action=toggle, default=False, help="write a NetworkPolicy per PushDomain")
    add("--leader-election", action=toggle, default=True, help="hold a Lease, so that replicas take turns")
    add("--lease-name", default=defaults.lease_name, help="name of the Lease")
    add("--lease-namespace", default=environment.get("POD_NAMESPACE", "default"), help="its namespace")
    add(
        "--lease-duration",
        type=int,
        default=defaults.lease_duration,
        help="whole seconds without a renewal that free it",
    )
    add("--lease-renew", type=float, default=defaults.lease_renew, help="seconds between renewals")
    add("--identity", default=environment.get("POD_NAME") or socket.gethostname(), help="name in the Lease")
    add("--webhook", action=toggle, default=False, help="serve the webhook that injects sidecars")
    add("--webhook-port", type=int, default=defaults.webhook_port, help="its port")
    add("--webhook-service", default=defaults.webhook_service, help="name of its Service")
    add("--webhook-secret", default=defaults.webhook_secret, help="Secret for its certificate")
    add("--webhook-configuration", default=defaults.webhook_configuration, help="its configuration object")
    add(
        "--webhook-on-refusal",
        default=defaults.webhook_on_refusal,
        choices=["fail", "ignore"],
        help="what becomes of a labelled pod that can get no sidecar",
    )
    add(
        "--webhook-certificate",
        default=defaults.webhook_certificate,
        choices=["Own", "Given"],
        help="who fills its Secret and its configuration's caBundle: the operator, or somebody else",
    )
    add("--health-host", default=defaults.health_host, help="address of /livez, /readyz and /metrics")
    add("--health-port", type=int, default=defaults.health_port, help="their port; 0: any free one")
    add("--log-level", default="Info", choices=["Debug", "Info", "Warning", "Error"], help="least level")
    add("--log-format", default="text", choices=["text", "json"], help="form of log lines")
    add("--cluster-domain", default=defaults.cluster_domain, help="DNS domain of the cluster")
    add("--kubeconfig", default=None, help="outside a cluster: the file with address and credentials")
    add("--workers", type=int, default=defaults.workers, help="objects reconciled at the same time")
    add(
        "--upgrades-at-a-time",
        type=int,
        default=defaults.upgrades_at_a_time,
        help="PushDomains rolled at the same time after an upgrade of the operator",
    )
    add(
        "--resync-seconds",
        type=float,
        default=defaults.resync,
        help="seconds between reconciles of everything",
    )
    given = parser.parse_args(arguments)
    if given.lease_duration < 2 * given.lease_renew + LEASE_MARGIN or given.lease_renew <= 0:
        parser.error(
            f"--lease-duration {given.lease_duration} is too short for --lease-renew {given.lease_renew:g}. "
            f"Remedy: at least {2 * given.lease_renew + LEASE_MARGIN:g}, so that one renewal may fail"
        )
    return Settings(
        namespaces=tuple(dict.fromkeys(given.namespace)),
        release=ReleaseSettings(
            given.dispatcher_image,
            given.dispatcher_pull_policy,
            tuple(given.image_pull_secret),
            given.dispatcher_pod_template,
            given.claim_group,
        ),
        network_policies=given.network_policies,
        leader_election=given.leader_election,
        lease_name=given.lease_name,
        lease_namespace=given.lease_namespace,
        lease_duration=given.lease_duration,
        lease_renew=given.lease_renew,
        identity=given.identity,
        webhook=given.webhook,
        webhook_port=given.webhook_port,
        webhook_service=given.webhook_service,
        webhook_secret=given.webhook_secret,
        webhook_configuration=given.webhook_configuration,
        webhook_on_refusal=given.webhook_on_refusal,
        webhook_certificate=given.webhook_certificate,
        health_host=given.health_host,
        health_port=given.health_port,
        log_level=given.log_level,
        log_format=given.log_format,
        cluster_domain=given.cluster_domain,
        kubeconfig=given.kubeconfig,
        workers=max(1, given.workers),
        upgrades_at_a_time=max(1, given.upgrades_at_a_time),
        resync=max(10.0, given.resync_seconds),
    )


def _pod_template(text: str) -> PodTemplateSpec:
    """The option's value as a model.

    Raises:
        ArgumentTypeError: it is no `spec.podTemplate`; names the fields.
    """
    try:
        return PodTemplateSpec.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}".removeprefix(": ") for item in error.errors()
        )
        raise argparse.ArgumentTypeError(
            f"not a PushDomain's spec.podTemplate: {faults}. "
            "Remedy: correct the chart's value dispatcher.podTemplate"
        ) from None
