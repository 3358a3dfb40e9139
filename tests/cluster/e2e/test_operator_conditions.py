"""Broken references and credentials: said plainly, mended without touching the PushDomain, and nothing stops."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.e2e.operating import CA, Operated, certificate, expired, figure, secret
from tests.cluster.e2e.release import Release
from tests.cluster.handle import Cluster, CommandFailed

pytestmark = pytest.mark.xdist_group("conditions")
"""On one worker: they share an installation."""


@pytest.fixture(scope="module")
def operated(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with cluster.namespace("conditions") as name:
        found = Operated(Release(cluster, name, tmp_path_factory.mktemp("release")))
        found.install()
        yield found


def broken(operated: Operated, reason: str, *words: str) -> None:
    """Wait for the fault; the message names what is to be named, and a remedy."""

    def told() -> str:
        status, found, message = operated.condition()
        return message if (status, found) == ("False", reason) else ""

    message = operated.release.cluster.until(reason, told, timeout=20)
    for word in (*words, "Remedy: "):
        assert word in message


def unready(operated: Operated) -> str:
    """What the newest dispatcher pod says of its readiness."""
    pod = operated.pods()[-1]["metadata"]["name"]
    ask = (
        "import urllib.request as u, urllib.error as e\n"
        "try: print(u.urlopen('http://127.0.0.1:9090/readyz').read())\n"
        "except e.HTTPError as error: print(error.code, error.read().decode())"
    )
    return operated.release.cluster.exec(operated.namespace, pod, "python", "-c", ask)


@pytest.mark.timeout(600, func_only=True)
def test_each_fault_is_named_and_mended_while_the_dispatcher_serves_on(operated: Operated) -> None:
    cluster = operated.release.cluster
    generation = operated.get("pushdomain", "alerts")["metadata"]["generation"]
    pod = operated.pod()["metadata"]["uid"]
    with operated.traffic(rate=10, sessions=2) as traffic:
        # The credential is removed, and comes back.
        cluster.kubectl("delete", "secret", "apns", operated.place)
        broken(operated, "SecretNotFound", "'apns'", "ApnRoute apns")
        operated.apply(secret("apns", certificate()))
        operated.ready()
        # It lacks a key.
        pair = certificate()
        cluster.kubectl("delete", "secret", "apns", operated.place)
        operated.apply(secret("apns", tls_crt=pair.certificate_pem))
        broken(operated, "KeyMissing", "'tls.key'", "'apns'")
        # Key and certificate do not belong together.
        operated.apply(secret("apns", tls_crt=pair.certificate_pem, tls_key=certificate().private_key_pem))
        broken(operated, "KeyMismatch", "'apns'", "tls.key")
        # It is no certificate.
        operated.apply(secret("apns", tls_crt=b"nonsense", tls_key=b"nonsense"))
        broken(operated, "Malformed", "'apns'")
        # A replica that starts now has no credential, which is nowhere but in the Secret and in the memory of
        # the pod from before: that one gets all the messages.
        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=2", operated.place)
        cluster.until("its reason", lambda: "no ApnRoute has a credential" in unready(operated))
        traffic.more(20)
        operated.apply(secret("apns", certificate()))
        operated.serving(2)
        operated.ready()
        assert pod in [item["metadata"]["uid"] for item in operated.pods()]
        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=1", operated.place)
        operated.serving(1)
        pod = operated.pod()["metadata"]["uid"]
        # The route is removed, and comes back.
        cluster.kubectl("delete", "apnroute", "apns", operated.place)
        broken(operated, "RouteNotFound", "'apns'", "spec.routes[0]")
        # A replica that starts now serves the last good configuration.
        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=2", operated.place)
        operated.serving(2)
        fresh = operated.pods()[-1]["metadata"]["name"]
        assert "delivered: 250" in operated.release.send(f"pod/{fresh}", "by the last good configuration")
        operated.apply(operated.route())
        operated.ready()
        # The logger.
        cluster.kubectl("delete", "apnlogger", "log", operated.place)
        broken(operated, "LoggerNotFound", "'log'", "spec.loggers[0]")
        operated.apply(operated.logger())
        operated.ready()
        assert pod in [item["metadata"]["uid"] for item in operated.pods()]
        cluster.kubectl("scale", "pushdomain/alerts", "--replicas=1", operated.place)
        operated.ready()
        traffic.more(20)
    stats = traffic.check(reconnects=True)
    figure(str(stats))
    document = operated.get("pushdomain", "alerts")
    # Nobody touched the PushDomain but for its replicas.
    assert document["metadata"]["generation"] == generation + 4


def test_certificates_out_of_time_or_place(operated: Operated) -> None:
    operated.apply(secret("late", expired()))
    operated.apply(operated.route("late", certificate={"secretName": "late"}))
    operated.apply(secret("sandbox", certificate(environments=["Sandbox"])))
    production = {"endpoint": None, "environment": "Production", "certificate": {"secretName": "sandbox"}}
    operated.apply(operated.route("sandbox", **production))
    cluster = operated.release.cluster

    def reason(name: str) -> str:
        conditions = operated.get("apnroute", name)["status"]["conditions"]
        return str(next(item["reason"] for item in conditions if item["type"] == "Ready"))

    cluster.until("Expired", lambda: reason("late") == "Expired")
    cluster.until("WrongEnvironment", lambda: reason("sandbox") == "WrongEnvironment")
    row = cluster.kubectl("get", "apnroute", "late", operated.place).splitlines()[1].split()
    assert row[1:4] == ["False", "Unknown", "Certificate"]  # Ready, Delivering, Auth
    operated.apply(secret("late", certificate()))
    cluster.until("mended", lambda: reason("late") == "NotUsed")


def test_a_first_configuration_with_a_fault_is_not_started(operated: Operated) -> None:
    cluster = operated.release.cluster
    operated.apply(operated.push_domain("first", routes=["nowhere"]))
    cluster.until("the fault", lambda: operated.condition(name="first")[1] == "RouteNotFound")
    assert operated.condition("Programmed", "first")[0] == "False"
    assert "deployment.apps/first" not in cluster.kubectl(
        "get", "deployments", operated.place, "--output=name"
    )
    operated.apply(operated.route("nowhere"))
    operated.ready("first")
    cluster.kubectl("delete", "pushdomain", "first", operated.place)
    cluster.kubectl("delete", "apnroute", "nowhere", operated.place)


def test_a_legacy_endpoint_is_taken_with_a_warning(operated: Operated) -> None:
    cluster = operated.release.cluster
    legacy = "apn://gateway.sandbox.push.apple.com?port=2195"
    operated.apply(operated.route("legacy", endpoint=legacy))

    def accepted() -> bool:
        conditions = operated.get("apnroute", "legacy")["status"]["conditions"]
        return ("Accepted", "True", "LegacyEndpoint") in [
            (item["type"], item["status"], item["reason"]) for item in conditions
        ]

    cluster.until("the warning", accepted)
    status = operated.get("apnroute", "legacy")["status"]
    assert (status["environment"], status["address"]) == ("Sandbox", "api.sandbox.push.apple.com:443")
    events = cluster.get("events", operated.place, "--field-selector=reason=LegacyEndpoint")["items"]
    assert events[0]["type"] == "Warning"


def test_the_definitions_read_like_documentation(operated: Operated) -> None:
    cluster = operated.release.cluster
    text = cluster.kubectl("explain", "pushdomain.spec", "--recursive")
    for field in ("domains", "podTemplate", "maxOutboundConnections", "terminationGracePeriodSeconds"):
        assert field in text
    assert "DESCRIPTION" in cluster.kubectl("explain", "apnroute.spec.certificate")
    wrong = operated.push_domain("wrong", routes=None)
    with pytest.raises(CommandFailed) as refused:
        operated.apply(wrong)
    assert "a domain has no routes; name ApnRoutes in spec.routes" in str(refused.value)
    own = operated.push_domain("wrong", podTemplate={"labels": {"tubepost.io/push-domain": "other"}})
    with pytest.raises(CommandFailed) as refused:
        operated.apply(own)
    assert "choose another key" in str(refused.value)
    assert CA.certificate_pem
