"""Objects to start from."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_token_key
from tubepost_operator.observed import Document, Secret

CA = make_ca()
START = datetime(2026, 1, 1, tzinfo=UTC)


def owned(document: Document, *, uid: str | None = None) -> Document:
    """A document with what the API server adds."""
    metadata = {
        "namespace": "default",
        "uid": uid or f"uid-{document['metadata']['name']}",
        "generation": 1,
        "resourceVersion": "1",
        **document["metadata"],
    }
    return {**document, "metadata": metadata}


def document(kind: str, name: str, spec: Document, **metadata: Any) -> Document:
    return owned(
        {
            "apiVersion": "tubepost.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, **metadata},
            "spec": spec,
        }
    )


def push_domain(name: str = "alerts", namespace: str = "default", **spec: Any) -> Document:
    return document(
        "PushDomain",
        name,
        {"domains": [{"name": "push.example.com"}], "routes": ["apns"], **spec},
        namespace=namespace,
        uid=f"uid-{name}" if namespace == "default" else f"uid-{namespace}-{name}",
    )


def route(name: str = "apns", namespace: str = "default", **spec: Any) -> Document:
    whole = {"environment": "Production", "certificate": {"secretName": "cert"}, **spec}
    if "token" in whole:
        del whole["certificate"]
    if "endpoint" in whole:
        del whole["environment"]
    return document("ApnRoute", name, whole, namespace=namespace)


def logger(name: str = "log", **spec: Any) -> Document:
    return document("ApnLogger", name, spec)


def contents(make: Document) -> dict[str, bytes]:
    """The contents of a Secret, as a case describes them."""
    kind = make["kind"]
    topics = make.get("topics", ["com.example.app"])
    environments = make.get("environments", ["Production", "Sandbox"])
    start = datetime.fromisoformat(str(make["start"])) if "start" in make else START
    if start.tzinfo is None:
        start = start.replace(tzinfo=UTC)
    if kind in {"certificate", "mismatch"}:
        pair = make_apns_certificate(CA, topics, environments, make.get("days", 365), start=start)
        key = pair.private_key_pem
        if kind == "mismatch":
            key = make_apns_certificate(CA, topics, environments).private_key_pem
        data = {"tls.crt": pair.certificate_pem, "tls.key": key}
    elif kind == "token":
        data = {"key.p8": make_token_key(), "keyId": b"ABCDE12345", "teamId": b"TEAM012345"}
    elif kind == "ca":
        data = {"ca.crt": CA.certificate_pem}
    else:
        data = {}
    data |= {key: str(value).encode() for key, value in make.get("text", {}).items()}
    for key in make.get("without", []):
        del data[key]
    return data


def secret(name: str = "cert", version: str = "1", **make: Any) -> Secret:
    return Secret(name, version, contents({"kind": "certificate", **make}))


def secret_of(item: Document) -> Secret:
    return Secret(item["metadata"]["name"], "1", contents(item["make"]))


def secret_document(name: str = "cert", namespace: str = "default", **make: Any) -> Document:
    data = contents({"kind": "certificate", **make})
    return owned(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
    )
