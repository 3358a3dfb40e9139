from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART, ROOT, Objects, helm, refused, render, sub_chart
from tests.chart.value_sets import SETS
from tubepost_cli.kubectl.refusals import RIGHTS, ROLE
from tubepost_operator import names, rbac, settings
from tubepost_operator.resources import container as dispatcher
from tubepost_operator.webhook import permissions
from tubepost_operator.webhook.inject import HTTP_PORT_NAME
from tubepost_operator.webhook.rotation import service_hosts
from tubepost_operator.webhook.server import PATH

CLUSTER_KINDS = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
}
RENDERED: dict[str, Objects] = {}


@pytest.fixture(params=sorted(SETS))
def objects(request: pytest.FixtureRequest) -> Objects:
    """What the chart makes of each set of values."""
    name = request.param
    if name not in RENDERED:
        RENDERED[name] = render(SETS[name])
    return RENDERED[name]


def settings_of(objects: Objects, namespace: str = "push") -> settings.Settings:
    """The operator's own reading of its command line."""
    return settings.parse(objects.arguments, {"POD_NAME": "pod", "POD_NAMESPACE": namespace})


@pytest.mark.parametrize("name", ["bare", "defaults", "everything", "monitored"])
def test_lint(name: str) -> None:
    result = helm("lint", "--strict", str(CHART), values=SETS[name])
    assert result.code == 0, result.output + result.errors


def test_objects_are_whole(objects: Objects) -> None:
    seen = set()
    for document in objects:
        metadata = document["metadata"]
        identity = (document["apiVersion"], document["kind"], metadata.get("namespace"), metadata["name"])
        assert identity not in seen
        seen.add(identity)
        if metadata["name"].endswith(("-map", "-text")):
            continue  # the user's own objects
        assert ("namespace" in metadata) == (document["kind"] not in CLUSTER_KINDS), identity
        assert len(metadata["name"]) <= 63
        labels = metadata["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/instance"] == "tubepost"
        assert labels["helm.sh/chart"].startswith("tubepost-")
        assert all(isinstance(value, str) for value in labels.values())


def test_pod_security_restricted(objects: Objects) -> None:
    for name, spec in objects.pod_specs():
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        # The image's, or the namespace's (OpenShift).
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod.keys()
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True
            assert container["resources"]["requests"]
            assert container["resources"]["limits"]["memory"]
            for port in container.get("ports", ()):
                assert port["containerPort"] >= 1024
                assert len(port["name"]) <= 15
        volumes = {volume["name"] for volume in spec.get("volumes", ())}
        for container in spec["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", ())} == volumes
        for volume in spec.get("volumes", ()):
            assert set(volume) - {"name"} <= {"configMap", "emptyDir", "secret"}


def test_only_the_operator_has_a_token(objects: Objects) -> None:
    for name, spec in objects.pod_specs():
        is_operator = name == objects.operator["metadata"]["name"]
        assert spec["automountServiceAccountToken"] is is_operator
    for account in objects.of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_services_and_selectors_meet(objects: Objects) -> None:
    templates = [item["spec"]["template"] for item in objects.of("Deployment")]
    for service in objects.of("Service"):
        selector = service["spec"]["selector"].items()
        (template,) = [item for item in templates if selector <= item["metadata"]["labels"].items()]
        ports = {port["name"] for box in template["spec"]["containers"] for port in box["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for deployment in objects.of("Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
        # A selector cannot be changed later: nothing of version or values may be in it.
        assert set(selector) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
        assert "not-this" not in labels.values()


def test_the_operator_understands_its_command_line(objects: Objects) -> None:
    given = settings_of(objects)
    assert given.leader_election
    assert given.lease_namespace == "push"
    (container,) = objects.operator["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["health"] == given.health_port
    assert given.webhook == ("webhook" in ports)
    if given.webhook:
        assert ports["webhook"] == given.webhook_port
    assert [item["name"] for item in container["env"][:2]] == ["POD_NAME", "POD_NAMESPACE"]


def test_the_webhooks_objects_are_those_that_the_operator_is_told_of(objects: Objects) -> None:
    given = settings_of(objects)
    configurations = objects.of("MutatingWebhookConfiguration")
    assert len(configurations) == given.webhook
    if not given.webhook:
        assert not [item for item in objects.of("Service") if "webhook" in item["metadata"]["name"]]
        return
    configuration = configurations[0]
    assert configuration["metadata"]["name"] == given.webhook_configuration
    (webhook,) = configuration["webhooks"]
    service = webhook["clientConfig"]["service"]
    assert (service["namespace"], service["name"]) == (given.lease_namespace, given.webhook_service)
    assert service["path"] == PATH
    assert "caBundle" not in webhook["clientConfig"]  # the operator's: an upgrade must not take it away
    assert objects.one("Service", service["name"])["spec"]["ports"][0]["port"] == service["port"]
    if given.webhook_certificate == "Own":
        assert "data" not in objects.one("Secret", given.webhook_secret)
    else:
        certificate = objects.one("Certificate")
        assert certificate["spec"]["secretName"] == given.webhook_secret
        assert certificate["spec"]["dnsNames"] == list(service_hosts(given))
        source = f"{certificate['metadata']['namespace']}/{certificate['metadata']['name']}"
        assert configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == source
        assert certificate["spec"]["issuerRef"] == {
            "name": objects.one("Issuer")["metadata"]["name"],
            "kind": "Issuer",
        }
    assert webhook["failurePolicy"].lower() == given.webhook_on_refusal
    assert webhook["sideEffects"] == "None"
    (expression,) = webhook["objectSelector"]["matchExpressions"]
    assert expression == {"key": names.Names.INJECT_LABEL, "operator": "Exists"}
    (rule,) = webhook["rules"]
    assert (rule["operations"], rule["resources"]) == (["CREATE"], ["pods"])


def granted(role: dict[str, Any]) -> set[tuple[str, str, str, str]]:
    """Group, resource, name of the object ("" for all) and verb of everything that a role allows."""
    return {
        (group, resource, name, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def needed(scope: str, *, webhook: bool = True) -> set[tuple[str, str, str, str]]:
    return {
        (item.group, resource, "", verb)
        for item in rbac.PERMISSIONS
        if item.scope == scope and (webhook or item.feature != "webhook")
        for resource in item.resources
        for verb in item.verbs
    }


def named(scope: str, given: settings.Settings) -> set[tuple[str, str, str, str]]:
    return {
        (item.group, item.resource, item.object_name(given), verb)
        for item in permissions.PERMISSIONS
        if item.scope == scope and item.needed(given)
        for verb in item.verbs
    }


def test_the_roles_allow_what_the_code_needs_and_nothing_else(objects: Objects) -> None:
    given = settings_of(objects)
    if not objects.of("Role"):
        assert SETS["bare"]["rbac"] == {"create": False}
        return
    roles = {
        (item["metadata"].get("namespace"), item["metadata"]["name"]): item
        for item in objects.of("Role", "ClusterRole")
    }
    account = objects.operator["spec"]["template"]["spec"]["serviceAccountName"]
    watched, own, cluster = [], set(), set()
    for binding in objects.of("RoleBinding", "ClusterRoleBinding"):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "push"}]
        namespace = binding["metadata"].get("namespace")
        role = roles[namespace, binding["roleRef"]["name"]]
        assert role["kind"] == binding["roleRef"]["kind"]
        rights = granted(role)
        if rights & needed("own"):
            assert namespace == "push"
            own |= rights
        elif rights & needed("watched"):
            watched.append(namespace)
            assert rights == needed("watched", webhook=given.webhook)
        else:
            assert namespace is None
            cluster |= rights
    assert sorted(watched, key=str) == sorted(given.namespaces or [None], key=str)
    assert own == needed("own") | named("own", given)
    assert cluster == named("cluster", given)
    for role in roles.values():
        assert not any("*" in right for right in granted(role))


def test_users_get_their_rights_with_the_definitions() -> None:
    wanted = {"tubepost-view", "tubepost-edit", "tubepost-admin", "tubepost-user"}
    assert wanted <= {item["metadata"]["name"] for item in render().of("ClusterRole")}
    without = render({"crds": {"enabled": False}})
    assert wanted <= {item["metadata"]["name"] for item in without.of("ClusterRole")}
    assert not render({"rbac": {"aggregate": False}}).of("ClusterRole")[2:]
    # Whoever administers a namespace, and nothing else, can install this.
    assert not render(SETS["namespace-alone"]).kinds & CLUSTER_KINDS


def test_users_of_the_plugin_have_a_role_with_what_it_asks_for() -> None:
    (role,) = [one for one in render().of("ClusterRole") if one["metadata"]["name"] == ROLE]
    assert granted(role) == {
        (group, resource, "", verb) for (group, resource), verbs in RIGHTS.items() for verb in verbs
    }


def test_releases_in_namespaced_mode_stand_side_by_side() -> None:
    values = {"watch": {"namespaces": ["shop"]}, "crds": {"enabled": False}}
    one, other = (
        {
            (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
            for item in render(values, namespace=namespace)
        }
        for namespace in ("a", "b")
    )
    assert one
    assert not one & other


def test_the_definitions_are_those_of_the_repository() -> None:
    for keep in (True, False):
        rendered = render({"crds": {"keep": keep}}).of("CustomResourceDefinition")
        assert len(rendered) == 3
        for document in rendered:
            original = yaml.safe_load((ROOT / "crds" / f"{document['metadata']['name']}.yaml").read_text())
            assert document["spec"] == original["spec"]
            annotations = document["metadata"].get("annotations", {})
            assert annotations.get("helm.sh/resource-policy") == ("keep" if keep else None)
    assert not render(SETS["bare"]).of("CustomResourceDefinition")


def test_images() -> None:
    objects = render(SETS["private-registry"])
    (container,) = objects.operator["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example:5000/tubepost/operator@sha256:" + "0" * 64
    given = settings_of(objects)
    assert given.release.image == "other.example/mirror/dispatcher:9"
    assert given.release.pull_policy == "Always"
    assert given.release.pull_secrets == ("pull", "shared")
    assert objects.operator["spec"]["template"]["spec"]["imagePullSecrets"] == [
        {"name": "pull"},
        {"name": "shared"},
    ]
    assert settings_of(render()).release == settings.ReleaseSettings()


def test_what_the_operator_is_told() -> None:
    given = settings_of(render(SETS["tuned"]))
    assert (given.workers, given.resync, given.upgrades_at_a_time) == (8, 900.0, 5)
    assert (given.lease_duration, given.lease_renew) == (30, 5.0)
    template = given.release.pod_template
    assert template.resources.limits is not None
    assert template.resources.limits.cpu == "2"
    assert template.security.run_as_user == 1000
    # What a parent chart shares holds for dispatchers too.
    assert template.priority_class_name == "system-cluster-critical"
    assert template.node_selector == {"pool": "mail"}
    assert settings_of(render()).release.pod_template == settings.ReleaseSettings().pod_template


def test_the_nodes_network() -> None:
    spec = render(SETS["the-nodes-network"]).operator["spec"]
    assert spec["template"]["spec"]["hostNetwork"] is True
    assert spec["template"]["spec"]["dnsPolicy"] == "ClusterFirstWithHostNet"
    # Two pods cannot have one port of the node: the old one goes first.
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}


def test_a_disruption_budget_is_for_two_or_more() -> None:
    assert not render().of("PodDisruptionBudget")
    budget = render({"operator": {"replicas": 2}}).one("PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1
    off = {"operator": {"replicas": 2, "podDisruptionBudget": {"enabled": False}}}
    assert not render(off).of("PodDisruptionBudget")


def test_monitors_find_what_they_are_for() -> None:
    objects = render(SETS["monitored"])
    service = objects.one("ServiceMonitor")
    assert service["metadata"]["labels"]["release"] == "prometheus"
    selector = service["spec"]["selector"]["matchLabels"].items()
    matching = [item for item in objects.of("Service") if selector <= item["metadata"]["labels"].items()]
    ports = {port["name"] for item in matching for port in item["spec"]["ports"]}
    assert service["spec"]["endpoints"][0]["port"] in ports
    own = objects.one("PodMonitor", "tubepost-dispatchers")["spec"]
    assert own["selector"]["matchLabels"].items() <= names.Names.labels("x").items()
    assert own["podMetricsEndpoints"][0]["port"] == "http"
    assert own["namespaceSelector"] == {"any": True}
    sidecars = objects.one("PodMonitor", "tubepost-sidecars")["spec"]
    assert sidecars["selector"]["matchExpressions"][0]["key"] == names.Names.INJECT_LABEL
    assert sidecars["podMetricsEndpoints"][0]["port"] == HTTP_PORT_NAME
    limited = render({**SETS["monitored"], **SETS["namespaced"]})
    for monitor in limited.of("PodMonitor"):
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["shop", "news"]}


def test_the_dashboard_is_found_by_grafana() -> None:
    config_map = render(SETS["monitored"]).one("ConfigMap")
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config_map["metadata"]["annotations"] == {"grafana_folder": "Mail"}
    text = (CHART / "dashboards" / "tubepost.json").read_text()
    assert config_map["data"]["tubepost.json"].strip() == text.strip()


def test_network_policies() -> None:
    assert not render(SETS["simulator"]).of("NetworkPolicy")
    objects = render(SETS["closed"])
    assert settings_of(objects).network_policies
    egress = objects.one("NetworkPolicy", "tubepost-operator")["spec"]["egress"]
    ports = {port["port"] for rule in egress for port in rule["ports"]}
    assert ports == {53, 6443, dispatcher.HTTP_PORT, 1024}  # the last begins the range of sidecars
    assert egress[1]["to"] == [{"ipBlock": {"cidr": "192.0.2.1/32"}}]
    selector = egress[2]["to"][0]["podSelector"]["matchLabels"].items()
    assert selector <= names.Names.labels("x").items()
    default = render({"networkPolicies": {"enabled": True}}).one("NetworkPolicy")
    assert {port["port"] for port in default["spec"]["egress"][1]["ports"]} == {443, 6443}


def test_the_simulators_credentials_fit_together() -> None:
    import base64
    import ssl

    from cryptography import x509

    from tubepost_credentials.token import load_token

    objects = render({"simulator": {"enabled": True, "credentialsNamespaces": ["shop"]}})
    secrets = [
        item for item in objects.of("Secret") if item["metadata"]["name"] == "tubepost-simulator-credentials"
    ]
    assert {item["metadata"]["namespace"] for item in secrets} == {"push", "shop"}
    assert secrets[0]["data"] == secrets[1]["data"]
    data = {key: base64.b64decode(value) for key, value in secrets[0]["data"].items()}
    credential = load_token(data["key.p8"], data["keyId"], data["teamId"])
    assert not credential.warnings
    ssl.create_default_context(cadata=data["ca.crt"].decode())
    tls = objects.one("Secret", "tubepost-simulator-tls")["data"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(tls["tls.crt"]))
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(data["ca.crt"]))
    hosts = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"tubepost-simulator", "tubepost-simulator.push.svc"} <= set(
        hosts.get_values_for_type(x509.DNSName)
    )
    arguments = objects.one("Deployment", "tubepost-simulator")["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    (key,) = [item for item in arguments if item.startswith("--token-key=")]
    assert key == f"--token-key={credential.key_id}:{credential.team_id}:/etc/tubepost/credentials/key.p8"


def test_the_simulator_understands_its_command_line() -> None:
    from tubepost_cli.simulator import command

    options = {name for option in command.params for name in option.opts}
    for name in ("simulator", "everything"):
        (deployment,) = [
            item
            for item in render(SETS[name]).of("Deployment")
            if item["metadata"]["name"].endswith("-simulator")
        ]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        first, *rest = container["args"]
        assert first == "simulator"
        assert {argument.partition("=")[0] for argument in rest} <= options
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        files = re.findall(r"(/etc/[a-z/-]+)/[a-z0-9.]+", " ".join(rest))
        assert files
        assert set(files) <= mounts


def test_the_test_sends_a_message_where_there_is_a_simulator() -> None:
    objects = render(SETS["simulator"])
    pod = objects.one("Pod")
    (container,) = pod["spec"]["containers"]
    compile(container["args"][0], "test", "exec")
    assert "tubepost-test.push.svc" in container["args"][0]
    assert objects.one("PushDomain")["spec"]["routes"] == [objects.one("ApnRoute")["metadata"]["name"]]
    for document in (pod, *objects.of("PushDomain", "ApnRoute")):
        assert document["metadata"]["annotations"]["helm.sh/hook"] == "test"
    without = render()
    assert not without.of("PushDomain")
    (container,) = without.one("Pod")["spec"]["containers"]
    compile(container["args"][0], "test", "exec")
    assert "/readyz" in container["args"][0]


def test_the_test_is_what_the_operator_takes() -> None:
    from tubepost_api.compile import compile_manifests
    from tubepost_api.problems import Manifest, ProblemCode

    documents = render(SETS["simulator"]).of("PushDomain", "ApnRoute")
    result = compile_manifests([Manifest("chart", index, item) for index, item in enumerate(documents)])
    assert result.config is not None
    assert all(problem.code is ProblemCode.SECRET_NOT_FOUND for problem in result.problems)
    assert result.config.secret_names() == {"tubepost-simulator-credentials"}


def test_users_objects_are_rendered() -> None:
    found = {item["metadata"]["name"] for item in render(SETS["everything"]).of("ConfigMap")}
    assert {"tubepost-map", "tubepost-text"} <= found


def test_labels_of_the_user() -> None:
    for document in render(SETS["everything"]):
        labels = document["metadata"].get("labels")
        if labels:
            assert labels["cost-centre"] == "17"


def test_names_follow_the_release() -> None:
    assert render(release="push").operator["metadata"]["name"] == "push-tubepost"
    assert render(release="my-tubepost").operator["metadata"]["name"] == "my-tubepost"
    long = render(SETS["simulator"], release="r" * 50)
    assert all(len(item["metadata"]["name"]) <= 63 for item in long)
    assert render({"nameOverride": "post"}, release="x").operator["metadata"]["name"] == "x-post"


@pytest.mark.parametrize("name", ["bare", "defaults", "everything", "namespaced", "simulator"])
def test_the_notes(name: str) -> None:
    result = helm(
        "install", "tubepost", str(CHART), "--dry-run=client", "--namespace", "push", values=SETS[name]
    )
    assert result.code == 0, result.errors
    notes = result.output.partition("NOTES:")[2]
    assert "kubectl get pushdomains,apnroutes,apnloggers -A" in notes
    assert "<no value>" not in notes
    assert ("simulated APNs runs at" in notes) == SETS[name].get("simulator", {}).get("enabled", False)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"replicas": 2}, "replicas"),
        ({"operator": {"replica": 2}}, "replica"),
        ({"operator": {"replicas": "two"}}, "replicas"),
        ({"operator": {"replicas": -1}}, "replicas"),
        ({"operator": {"logLevel": "Loud"}}, "logLevel"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"imagePullSecrets": ["text"]}, "imagePullSecrets"),
        ({"watch": {"namespaces": ["UPPER"]}}, "namespaces"),
        ({"webhook": {"failurePolicy": "Maybe"}}, "failurePolicy"),
        ({"monitoring": {"alerts": {"failureRatio": 5}}}, "failureRatio"),
        ({"commonLabels": {"a": 1}}, "commonLabels"),
        ({"monitoring": {"alerts": {"enabled": True, "disabled": ["Tubepost"]}}}, "no alert Tubepost"),
        ({"dispatcher": {"podTemplate": {"tolerations": [{"effect": "Never"}]}}}, "effect"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], word: str) -> None:
    assert word in refused(values)


def test_as_a_sub_chart(tmp_path: Any) -> None:
    parent = sub_chart(tmp_path)
    values: dict[str, Any] = {
        "global": {"imageRegistry": "registry.example", "storageClass": "fast"},
        "tubepost": {"enabled": True, "simulator": {"enabled": True}},
    }
    objects = render(values, chart=parent, release="shop")
    assert objects.operator["metadata"]["name"] == "shop-tubepost"
    assert settings_of(objects).release.image.startswith("registry.example/")
    values["tubepost"]["enabled"] = False
    assert not list(render(values, chart=parent, release="shop"))
