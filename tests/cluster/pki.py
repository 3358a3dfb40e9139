"""Certificates and kubeconfigs of one cluster. Made anew for each run, thrown away with it."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = dt.timedelta(days=365)


@dataclass(frozen=True)
class Authority:
    """The cluster's certificate authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def write(directory: Path, server: str, addresses: list[str]) -> None:
    """Write all certificates, keys and kubeconfigs into `directory`.

    Args:
        directory: made when it is missing.
        server: URL of the API server, for the kubeconfigs.
        addresses: the API server's IP addresses, the node's first.
    """
    directory.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("tubepost-test-authority")
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority = Authority(certificate, key)
    (directory / "ca.crt").write_bytes(_pem(certificate))
    account = ec.generate_private_key(ec.SECP256R1())
    (directory / "sa.key").write_bytes(_key_pem(account))
    (directory / "sa.pub").write_bytes(
        account.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names.append("kubernetes.default.svc.cluster.local")
    _issue(directory / "apiserver", authority, _name("kube-apiserver"), names, ["127.0.0.1", *addresses])
    node = _name("system:node:node", "system:nodes")
    _issue(directory / "node", authority, node, ["node"], addresses[:1])
    _issue(directory / "admin", authority, _name("admin", "system:masters"), [], [])
    for user in ("admin", "node"):
        (directory / f"{user}.kubeconfig").write_text(_kubeconfig(directory, user, server))


def _issue(path: Path, authority: Authority, name: x509.Name, dns: list[str], addresses: list[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, authority.certificate.subject, key).add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        critical=False,
    )
    if dns or addresses:
        alternatives: list[x509.GeneralName] = [x509.DNSName(text) for text in dns]
        alternatives += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    path.with_suffix(".crt").write_bytes(_pem(builder.sign(authority.key, hashes.SHA256())))
    path.with_suffix(".key").write_bytes(_key_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + _VALID)
    )


def _name(common: str, organisation: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _kubeconfig(directory: Path, user: str, server: str) -> str:
    """A kubeconfig with everything inside, so that it can be copied; JSON is YAML."""

    def data(name: str) -> str:
        return base64.b64encode((directory / name).read_bytes()).decode()

    credentials = {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}
        ],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
        "current-context": "test",
    }
    return json.dumps(document, indent=1)
