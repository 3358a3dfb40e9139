from __future__ import annotations

from tests.operator.resources.sources import configured, served, source
from tubepost_api.config import RestConfig, RestTlsConfig
from tubepost_operator.names import Names
from tubepost_operator.resources.service import service


def test_it_leads_to_the_listener_by_name() -> None:
    manifest = service(served(port=2500, type="NodePort"))
    (port,) = manifest["spec"]["ports"]
    assert (port["port"], port["targetPort"], manifest["spec"]["type"]) == (2500, "smtp", "NodePort")
    assert manifest["spec"]["selector"] == Names.pod_selector(source().name)


def test_a_new_listener_port_does_not_change_it() -> None:
    listener = source().config.listener.model_copy(update={"port": 2600})
    assert service(configured(listener=listener)) == service(source())


def test_requests_have_a_port_of_their_own() -> None:
    rest = RestConfig(port=8181, tokens="clients")
    smtp, port = service(configured(rest=rest))["spec"]["ports"]
    assert smtp == service(source())["spec"]["ports"][0]
    assert port == {
        "name": "rest",
        "port": 8181,
        "targetPort": "rest",
        "protocol": "TCP",
        "appProtocol": "http",
    }
    pair = {"certificate": {"secret": "a", "key": "b"}, "private_key": {"secret": "a", "key": "c"}}
    secured = rest.model_copy(update={"tls": RestTlsConfig.model_validate(pair)})
    assert service(configured(rest=secured))["spec"]["ports"][1]["appProtocol"] == "https"


def test_annotations_for_a_cloud() -> None:
    annotations = service(served(annotations={"example.com/internal": "true"}))["metadata"]["annotations"]
    assert annotations["example.com/internal"] == "true"
    assert Names.APPLIED_ANNOTATION in annotations


def test_what_is_not_said_is_left_to_the_cluster() -> None:
    assert service(served())["spec"].keys() == {"type", "selector", "ports"}


def test_everything_is_said_by_kubernetes_own_names() -> None:
    spec = service(
        served(
            type="LoadBalancer",
            nodePort=30025,
            externalTrafficPolicy="Local",
            loadBalancerSourceRanges=("192.0.2.0/24",),
            ipFamilyPolicy="PreferDualStack",
            ipFamilies=("IPv6", "IPv4"),
            sessionAffinity="ClientIP",
            sessionAffinityTimeoutSeconds=600,
        )
    )["spec"]
    assert spec["ports"][0]["nodePort"] == 30025
    assert spec["externalTrafficPolicy"] == "Local"
    assert spec["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert (spec["ipFamilyPolicy"], spec["ipFamilies"]) == ("PreferDualStack", ["IPv6", "IPv4"])
    assert spec["sessionAffinity"] == "ClientIP"
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 600}}
