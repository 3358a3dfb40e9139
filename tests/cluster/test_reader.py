from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.reader import Query, Reader, Refused, put_together, queries
from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_server_certificate

CA = make_ca()
PODS = "/api/v1/namespaces/shop/pods"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pods", "--namespace=shop"], [Query(PODS, True)]),
        (["pod", "a", "--namespace=shop"], [Query(f"{PODS}/a", False)]),
        (["pods", "--namespace=shop", "-l", "a=b,c"], [Query(f"{PODS}?labelSelector=a%3Db%2Cc", True)]),
        (["pods", "--namespace=shop", "--selector=a=b"], [Query(f"{PODS}?labelSelector=a%3Db", True)]),
        (
            ["events", "--namespace=shop", "--field-selector=reason=x"],
            [Query("/api/v1/namespaces/shop/events?fieldSelector=reason%3Dx", True)],
        ),
        (
            ["pvc", "q", "--namespace=shop"],
            [Query("/api/v1/namespaces/shop/persistentvolumeclaims/q", False)],
        ),
        (
            ["deployments,statefulsets", "--namespace=shop"],
            [
                Query("/apis/apps/v1/namespaces/shop/deployments", True),
                Query("/apis/apps/v1/namespaces/shop/statefulsets", True),
            ],
        ),
        (
            ["pushdomain", "alerts", "--namespace=shop"],
            [Query("/apis/tubepost.io/v1alpha1/namespaces/shop/pushdomains/alerts", False)],
        ),
    ],
)
def test_what_is_asked_for(arguments: list[str], expected: list[Query]) -> None:
    assert queries(arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ["namespace", "shop"],
        ["pods", "--namespace=shop", "--all-namespaces"],
        ["certificates.cert-manager.io", "--namespace=shop"],
        ["pods", "a", "b", "--namespace=shop"],
        ["pods,services", "a", "--namespace=shop"],
        ["--namespace=shop"],
    ],
)
def test_what_is_left_to_kubectl(arguments: list[str]) -> None:
    assert queries(arguments) is None


def test_items_say_what_they_are() -> None:
    lists = [
        {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "a"}}]},
        {"apiVersion": "apps/v1", "kind": "StatefulSetList", "items": []},
    ]
    assert put_together(lists)["items"] == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    ]


class Server(BaseHTTPRequestHandler):
    """One pod, and everything else is not found."""

    def do_GET(self) -> None:
        found = {"kind": "Pod"} if self.path == f"{PODS}/a" else {"message": 'pods "b" not found'}
        body = json.dumps(found).encode()
        self.send_response(200 if "kind" in found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        pass


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """Leads to a server that asks for a certificate of our authority."""
    pair, user = make_server_certificate(CA, ["127.0.0.1"]), make_apns_certificate(CA, ["x"], days=1)
    for name, data in (("crt", pair.certificate_pem), ("key", pair.private_key_pem)):
        (tmp_path / name).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.load_verify_locations(cadata=CA.certificate_pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        data = {
            "client-certificate-data": base64.b64encode(user.certificate_pem).decode(),
            "client-key-data": base64.b64encode(user.private_key_pem).decode(),
        }
        cluster = {
            "server": f"https://127.0.0.1:{server.server_port}",
            "certificate-authority-data": base64.b64encode(CA.certificate_pem).decode(),
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps({"clusters": [{"cluster": cluster}], "users": [{"user": data}]}))
        yield path
        server.shutdown()


def test_an_object_is_read_or_it_is_said_why_not(kubeconfig: Path) -> None:
    reader = Reader.of(kubeconfig)
    assert reader is not None
    assert reader.get(["pod", "a", "--namespace=shop"]) == {"kind": "Pod"}
    assert reader.get(["nodes"]) is None
    with pytest.raises(Refused, match='404: pods "b" not found'):
        reader.get(["pod", "b", "--namespace=shop"])
    gone = Reader("https://127.0.0.1:9", ssl.create_default_context())
    with pytest.raises(Refused, match="ConnectionRefusedError"):
        gone.raw("/readyz")


@pytest.mark.parametrize("text", ["", "apiVersion: v1", "{}", '{"clusters": [], "users": []}'])
def test_other_kubeconfigs_are_left_to_kubectl(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    assert Reader.of(path) is None
    path.write_text(text)
    assert Reader.of(path) is None
