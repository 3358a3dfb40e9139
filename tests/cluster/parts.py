"""What runs on a node, in the order of its start: one executable, its arguments and its configuration file each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.binaries import program
from tests.cluster.network import Block

DOMAIN = "cluster.local"
NODE = "node"
SOCKET = "/run/containerd/containerd.sock"
_CNI_PLUGINS = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
_ETCD = "http://127.0.0.1:2379"


@dataclass(frozen=True)
class Part:
    """One process of the node."""

    name: str
    executable: Path
    arguments: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    """Configuration files, by name below the run's `etc/`."""


def cni_plugins() -> Path | None:
    """Where the standard network plugins are installed, or None."""
    return next((Path(path) for path in _CNI_PLUGINS if Path(path, "bridge").exists()), None)


def parts(directory: Path, block: Block, containerd: Path, plugins: Path) -> list[Part]:
    """All parts of the run in `directory`.

    Args:
        directory: of the run; certificates are in `pki/`, configuration goes to `etc/`.
        block: the addresses.
        containerd: its executable.
        plugins: directory of the network plugins.
    """
    pki, etc = directory / "pki", directory / "etc"
    admin = f"--kubeconfig={pki / 'admin.kubeconfig'}"
    etcd = Part(
        "etcd",
        program("etcd"),
        (
            f"--data-dir={directory / 'etcd'}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
        ),
    )
    apiserver = Part(
        "kube-apiserver",
        program("kube-apiserver"),
        (
            f"--etcd-servers={_ETCD}",
            f"--service-cluster-ip-range={block.services}",
            f"--advertise-address={block.node}",
            "--secure-port=6443",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={pki / 'sa.pub'}",
            f"--service-account-signing-key-file={pki / 'sa.key'}",
            f"--kubelet-client-certificate={pki / 'admin.crt'}",
            f"--kubelet-client-key={pki / 'admin.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            f"--audit-policy-file={etc / 'audit.json'}",
            f"--audit-log-path={directory / 'log' / 'audit.log'}",
            "--audit-log-maxsize=500",
        ),
        {"audit.json": _json(_AUDIT)},
    )
    controllers = Part(
        "kube-controller-manager",
        program("kube-controller-manager"),
        (
            admin,
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            "--use-service-account-credentials",
            f"--cluster-cidr={block.pods}",
            f"--service-cluster-ip-range={block.services}",
            f"--node-cidr-mask-size={block.pods.prefixlen}",
            "--allocate-node-cidrs",
            "--leader-elect=false",
        ),
    )
    scheduler = Part("kube-scheduler", program("kube-scheduler"), (admin, "--leader-elect=false"))
    runtime = Part(
        "containerd",
        containerd,
        ("--config", str(etc / "containerd.toml")),
        {"containerd.toml": _CONTAINERD.format(directory=directory, socket=SOCKET, plugins=plugins)},
    )
    kubelet = Part(
        "kubelet",
        program("kubelet"),
        (
            f"--config={etc / 'kubelet.json'}",
            f"--kubeconfig={pki / 'node.kubeconfig'}",
            f"--hostname-override={NODE}",
            f"--node-ip={block.node}",
        ),
        {
            "kubelet.json": _json(_kubelet(directory, block)),
            "cni/network.conflist": _json(_network(directory, block)),
        },
    )
    proxy = Part(
        "kube-proxy",
        program("kube-proxy"),
        (
            admin,
            f"--hostname-override={NODE}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={block.pods}",
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ),
    )
    corefile = _COREFILE.format(domain=DOMAIN, address=block.node, kubeconfig=pki / "admin.kubeconfig")
    dns = Part("coredns", program("coredns"), ("-conf", str(etc / "Corefile")), {"Corefile": corefile})
    return [etcd, apiserver, controllers, scheduler, runtime, kubelet, proxy, dns]


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1)


def _kubelet(directory: Path, block: Block) -> dict[str, Any]:
    pki = directory / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        # Two nodes of one machine would share /kubepods.
        "cgroupRoot": f"/{block.link}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "clusterDomain": DOMAIN,
        "clusterDNS": [block.node],
        "resolvConf": "",
        "tlsCertFile": str(pki / "node.crt"),
        "tlsPrivateKeyFile": str(pki / "node.key"),
        "volumePluginDir": "/var/lib/kubelet/plugins",
        "maxPods": 250,
        # Images cannot be pulled again, so they are never collected.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }


def _network(directory: Path, block: Block) -> dict[str, Any]:
    ranges = [[{"subnet": str(block.pods)}]]
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": directory.name, "plugins": [bridge, portmap]}


# Requests with their user, verb and object: tests count what a controller asks for.
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:nodes", "system:masters"]},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}

# restrict_oom_score_adj: a machine that may not lower oom_score_adj would let runc fail.
_CONTAINERD = """version = 2
root = "{directory}/containerd"
state = "/run/containerd/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/tubepost-pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{directory}/etc/cni"
"""

# Names outside of the cluster do not exist, and say so at once.
_COREFILE = """{domain}:53 {{
    bind {address}
    errors
    kubernetes {domain} {{
        kubeconfig {kubeconfig} test
        pods verified
    }}
}}
.:53 {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
