from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.operator.webhook.support import Document, patched, pod, published_deployment, published_source
from tubepost_operator.names import Names
from tubepost_operator.resources.deployment import pod_template
from tubepost_operator.resources.queue import DIRECTORY, QueueVolume
from tubepost_operator.webhook.inject import (
    CONTAINER,
    DEFAULT_HTTP_PORT,
    HTTP_PORT_ANNOTATION,
    REST_PORT_ANNOTATION,
    SMTP_PORT_ANNOTATION,
    Injection,
    Refusal,
    config_name,
    inject,
)

TEMPLATE: Document = published_deployment()["spec"]["template"]
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def injected(original: Document, template: Document = TEMPLATE) -> Document:
    outcome = inject(original, template)
    assert isinstance(outcome, Injection), outcome
    return patched(original, outcome.patch)


def sidecar(document: Document) -> Any:
    (found,) = [item for item in document["spec"]["initContainers"] if item["name"] == CONTAINER]
    return found


def option(container: Any, name: str) -> str:
    """The value of an option on the command line, where it stands once."""
    arguments = container["args"]
    assert arguments.count(name) == 1
    return str(arguments[arguments.index(name) + 1])


def test_a_plain_pod() -> None:
    result = injected(pod())
    container = sidecar(result)
    own = TEMPLATE["spec"]["containers"][0]
    assert container["restartPolicy"] == "Always"
    assert container["image"] == "registry.example/dispatcher:9"
    assert set(own["args"]) - set(container["args"]) == {"9090", "9091"}
    assert option(container, "--host") == "localhost"
    assert option(container, "--config") == "/etc/tubepost/config"
    assert option(container, "--port") == "2525"
    assert result["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert result["spec"]["containers"] == pod()["spec"]["containers"]
    config = TEMPLATE["metadata"]["annotations"][Names.CONFIG_ANNOTATION]
    assert result["metadata"]["annotations"] == {Names.CONFIG_ANNOTATION: config}
    # The label that selects dispatchers' pods for the Service and the Deployment must not be there.
    assert result["metadata"]["labels"] == {Names.INJECT_LABEL: "alerts"}


def test_it_reads_the_same_objects_as_the_deployment() -> None:
    result = injected(pod())
    own = TEMPLATE["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in sidecar(result)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in result["spec"]["volumes"]}
    assert set(mounts) == {m["mountPath"] for m in own["containers"][0]["volumeMounts"]} | {TOKEN_PATH}
    config = volumes[mounts["/etc/tubepost/config"]]
    secret = volumes[mounts["/etc/tubepost/secrets/apns-certificate"]]
    assert config["configMap"]["name"] == config_name(TEMPLATE)
    assert secret["secret"]["secretName"] == "apns-certificate"
    assert secret["secret"]["optional"] is True
    assert not any("subPath" in mount for mount in sidecar(result)["volumeMounts"])
    # The app's pod need not have a group of ours.
    assert config["configMap"]["defaultMode"] == secret["secret"]["defaultMode"] == 0o444


def test_the_token_of_the_app_is_covered() -> None:
    result = injected(pod())
    (mount,) = [m for m in sidecar(result)["volumeMounts"] if m["mountPath"] == TOKEN_PATH]
    assert mount["readOnly"] is True
    (volume,) = [v for v in result["spec"]["volumes"] if v["name"] == mount["name"]]
    assert set(volume) == {"name", "emptyDir"}


def test_pod_security_restricted() -> None:
    security = sidecar(injected(pod({"securityContext": {"runAsUser": 0}})))["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["readOnlyRootFilesystem"] is True


def test_options_in_either_form_are_replaced() -> None:
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["containers"][0]["args"] = ["run", "--host=::", "--http-port", "1", "--lenient"]
    arguments = sidecar(injected(pod(), template))["args"]
    ports = ["--http-port", str(DEFAULT_HTTP_PORT), "--admin-port", str(DEFAULT_HTTP_PORT + 1)]
    assert arguments == ["run", "--lenient", "--host", "localhost", *ports]


def test_the_command_line_is_one_that_the_dispatcher_takes() -> None:
    from tubepost_cli.run import command

    container = sidecar(injected(pod(annotations={SMTP_PORT_ANNOTATION: "1025"})))
    first, *rest = container["args"]
    assert first == "run"
    with command.make_context("run", rest) as context:
        assert context.params["host"] == "localhost"
        assert context.params["http_host"] == "::"
        assert context.params["port"] == 1025
        assert context.params["http_port"] == DEFAULT_HTTP_PORT
        assert context.params["lenient"] is True


def test_the_identity_of_the_push_domains_pods() -> None:
    template = published_deployment(podTemplate={"security": {"runAsUser": 1000, "runAsGroup": 2000}})
    security = sidecar(injected(pod(), template["spec"]["template"]))["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (1000, 2000)


@pytest.mark.parametrize("app", [{}, {"runAsUser": 1000650000, "fsGroup": 1000650000}])
def test_without_need_the_user_is_the_apps_or_the_images(app: dict[str, int]) -> None:
    security = sidecar(injected(pod({"securityContext": app})))["securityContext"]
    assert security["runAsNonRoot"] is True
    assert not {"runAsUser", "runAsGroup"} & security.keys()


def test_the_app_does_not_depend_on_apns() -> None:
    container = sidecar(injected(pod()))
    assert "readinessProbe" not in container
    assert "lifecycle" not in container
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["livenessProbe"]["httpGet"]["port"] == DEFAULT_HTTP_PORT
    assert [port["containerPort"] for port in container["ports"]] == [DEFAULT_HTTP_PORT]


def test_it_starts_before_the_apps_own_init_containers() -> None:
    result = injected(pod({"initContainers": [{"name": "migrate"}]}))
    assert [item["name"] for item in result["spec"]["initContainers"]] == [CONTAINER, "migrate"]


def test_what_the_pod_has_stays() -> None:
    spec = {
        "volumes": [{"name": "config", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
        "imagePullSecrets": [{"name": "mine"}, {"name": "pull"}],
        "serviceAccountName": "shop",
    }
    result = injected(pod(spec, annotations={"a/b": "c"}))
    names = [volume["name"] for volume in result["spec"]["volumes"]]
    assert names[:2] == ["config", "tmp"]
    assert len(set(names)) == len(names)
    assert result["spec"]["imagePullSecrets"] == spec["imagePullSecrets"]
    assert result["metadata"]["annotations"]["a/b"] == "c"
    assert Names.CONFIG_ANNOTATION in result["metadata"]["annotations"]
    assert result["spec"]["serviceAccountName"] == "shop"


def test_ports_of_the_pods_choice() -> None:
    result = injected(pod(annotations={SMTP_PORT_ANNOTATION: "1025", HTTP_PORT_ANNOTATION: "19090"}))
    container = sidecar(result)
    assert option(container, "--port") == "1025"
    assert option(container, "--http-port") == "19090"
    assert option(container, "--admin-port") == "19091"
    assert container["startupProbe"]["httpGet"]["port"] == 19090


def test_a_port_for_requests_is_as_its_push_domain_or_its_pod_says() -> None:
    wanted = pod(annotations={REST_PORT_ANNOTATION: "18080"})
    assert "--rest-port" not in sidecar(injected(wanted))["args"], "its PushDomain has none"
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["containers"][0]["args"] += ["--rest-port", "8080"]
    assert option(sidecar(injected(pod(), template)), "--rest-port") == "8080"
    container = sidecar(injected(wanted, template))
    assert option(container, "--rest-port") == "18080"
    assert option(container, "--host") == "localhost"


@pytest.mark.parametrize("name", [SMTP_PORT_ANNOTATION, HTTP_PORT_ANNOTATION, REST_PORT_ANNOTATION])
@pytest.mark.parametrize("text", ["", "smtp", "25", "65535", "-1", "2525.0", "٣٠٠٠", "99999999999999999999"])
def test_a_port_that_is_none(name: str, text: str) -> None:
    outcome = inject(pod(annotations={name: text}), TEMPLATE)
    assert isinstance(outcome, Refusal)
    assert name in outcome.message
    assert "Remedy: " in outcome.message


def test_pods_that_can_have_none() -> None:
    for spec in ({"hostNetwork": True}, {"os": {"name": "windows"}}):
        outcome = inject(pod(spec), TEMPLATE)
        assert isinstance(outcome, Refusal)
        assert "Remedy: " in outcome.message


def test_a_pod_that_has_one_is_left_alone() -> None:
    assert inject(injected(pod()), TEMPLATE) == Injection(())


def test_long_names_of_volumes() -> None:
    template = copy.deepcopy(TEMPLATE)
    long = "v" * 63
    template["spec"]["volumes"].append({"name": long, "emptyDir": {}})
    template["spec"]["containers"][0]["volumeMounts"].append({"name": long, "mountPath": "/x"})
    result = injected(pod(), template)
    names = [volume["name"] for volume in result["spec"]["volumes"]]
    assert all(len(name) <= 63 for name in names)
    assert len(set(names)) == len(names)


NAMES = st.sampled_from(["config", "tmp", "data", "tubepost-config", "secret-1"])
PODS = st.builds(
    pod,
    st.fixed_dictionaries(
        {},
        optional={
            "volumes": st.lists(
                st.builds(lambda name: {"name": f"app-{name}", "emptyDir": {}}, NAMES), max_size=3
            ),
            "initContainers": st.lists(st.builds(lambda name: {"name": name}, NAMES), max_size=3),
            "imagePullSecrets": st.lists(st.builds(lambda name: {"name": name}, NAMES | st.just("pull"))),
        },
    ),
    annotations=st.none() | st.dictionaries(NAMES, st.text(max_size=5)),
)


@given(PODS)
def test_any_pod_gets_exactly_one_and_keeps_what_it_has(original: Document) -> None:
    before = copy.deepcopy(original)
    result = injected(original)
    assert original == before
    assert sidecar(result)
    for field in ("volumes", "containers", "imagePullSecrets"):
        had = original["spec"].get(field) or []
        assert result["spec"][field][: len(had)] == had
    assert result["spec"]["initContainers"][1:] == (original["spec"].get("initContainers") or [])
    volumes = {volume["name"] for volume in result["spec"]["volumes"]}
    assert {mount["name"] for mount in sidecar(result)["volumeMounts"]} <= volumes
    assert inject(result, TEMPLATE) == Injection(())


@pytest.mark.parametrize("place", QueueVolume)
def test_its_queue_is_on_an_empty_dir_and_it_never_retires(place: QueueVolume) -> None:
    claim = {"size": "1Gi"} if place is QueueVolume.CLAIM else None
    source = replace(published_source(queue={"disk": {"claim": claim} if claim else {}}), queue=place)
    result = injected(pod(), pod_template(source))
    container = sidecar(result)
    assert option(container, "--queue-dir") == DIRECTORY
    assert "--queue-volatile" in container["args"]
    assert not {"--workload", "--ordinal"} & set(container["args"])
    assert not any("$(" in argument for argument in container["args"])
    assert "env" not in container
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in result["spec"]["volumes"]}
    assert volumes[mounts[DIRECTORY]] == {"name": "tubepost-queue", "emptyDir": {}}


ENDS = {"name": "other-init"}
STAYS = {"name": "mesh", "restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([ENDS], [CONTAINER, "other-init"]),
        ([STAYS], ["mesh", CONTAINER]),
        ([STAYS, ENDS], ["mesh", CONTAINER, "other-init"]),
        ([ENDS, STAYS], [CONTAINER, "other-init", "mesh"]),
        ([], [CONTAINER]),
    ],
)
def test_asked_again_it_stands_before_what_others_have_put_there(
    before: list[Document], after: list[str]
) -> None:
    first = injected(pod({"initContainers": [{"name": "own"}]}))
    first["spec"]["initContainers"][:0] = before
    again = injected(first)
    assert [item["name"] for item in again["spec"]["initContainers"]] == [*after, "own"]
    assert sidecar(again) == sidecar(first)
    last = inject(again, TEMPLATE)
    assert last == Injection(())


def test_a_container_of_this_name_that_the_app_brings_stays_where_it_is() -> None:
    document = pod({"initContainers": [ENDS], "containers": [{"name": CONTAINER}]})
    assert inject(document, TEMPLATE) == Injection(())


def test_resources_are_the_push_domains_unless_annotated() -> None:
    assert sidecar(injected(pod()))["resources"] == TEMPLATE["spec"]["containers"][0]["resources"]
    annotations = {"tubepost.io/sidecar-cpu-limit": "50m", "tubepost.io/sidecar-memory-limit": "1Gi"}
    assert sidecar(injected(pod(annotations=annotations)))["resources"] == {
        "requests": {"cpu": "50m", "memory": "128Mi"},
        "limits": {"cpu": "50m", "memory": "1Gi"},
    }


def test_a_secret_that_its_push_domains_own_pods_lack_for_a_while_is_there() -> None:
    template = copy.deepcopy(TEMPLATE)
    whole = sidecar(injected(pod()))
    (volume,) = [item for item in template["spec"]["volumes"] if "secret" in item]
    dispatcher = template["spec"]["containers"][0]
    template["spec"]["volumes"].remove(volume)
    dispatcher["volumeMounts"] = [
        item for item in dispatcher["volumeMounts"] if item["name"] != volume["name"]
    ]
    lacking = injected(pod(), template)
    assert sidecar(lacking)["volumeMounts"] != whole["volumeMounts"]
    template["metadata"]["annotations"][Names.WITHOUT_ANNOTATION] = volume["secret"]["secretName"]
    result = injected(pod(), template)

    def by_name(items: Any) -> dict[str, Any]:
        return {item["name"]: item for item in items}

    assert by_name(sidecar(result)["volumeMounts"]) == by_name(whole["volumeMounts"])
    assert by_name(result["spec"]["volumes"]) == by_name(injected(pod())["spec"]["volumes"])
