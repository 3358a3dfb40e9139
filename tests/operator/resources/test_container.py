from __future__ import annotations

from dataclasses import replace

import pytest

from tests.operator.resources.sources import configured, source, templated
from tubepost_api.config import RestConfig
from tubepost_operator.observed import Document
from tubepost_operator.resources.container import SECRETS_DIRECTORY, container, volumes
from tubepost_operator.webhook.inject import config_name


def test_every_secret_that_is_named_is_mounted_where_the_dispatcher_looks() -> None:
    given = source("everything-in-the-spec")
    names = sorted(given.config.secret_names())
    assert names
    mounted = {mount["name"]: mount["mountPath"] for mount in container(given)["volumeMounts"]}
    secrets = {
        volume["secret"]["secretName"]: mounted[volume["name"]]
        for volume in volumes(given)
        if "secret" in volume
    }
    assert secrets == {name: f"{SECRETS_DIRECTORY}/{name}" for name in names}


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}),
        (
            {"requests": {"cpu": "2"}},
            {"requests": {"cpu": "2", "memory": "224Mi"}, "limits": {"cpu": "4", "memory": "896Mi"}},
        ),
        (
            {"requests": {"cpu": "250m"}},
            {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        ),
        (
            {"requests": {"cpu": "0.75"}},
            {"requests": {"cpu": "0.75", "memory": "160Mi"}, "limits": {"cpu": "1500m", "memory": "640Mi"}},
        ),
        (
            {"requests": {"memory": "256Mi"}},
            {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        ),
        (
            {"requests": {"memory": "1Gi"}},
            {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        ),
        (
            {"requests": {"cpu": "3", "memory": "1536Mi"}, "limits": {"cpu": "none", "memory": "none"}},
            {"requests": {"cpu": "3", "memory": "1536Mi"}, "limits": {}},
        ),
        (
            {"limits": {"cpu": "none"}},
            {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        ),
        (
            {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "2Gi"}},
            {
                "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"},
                "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "2Gi"},
            },
        ),
        (
            {"requests": {"cpu": "250m"}, "limits": {"memory": "1Gi"}},
            {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        ),
        (
            {"limits": {"memory": "64Mi"}},
            {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        ),
        (
            {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}},
            {"requests": {"cpu": "1", "memory": "224Mi"}, "limits": {"cpu": "4", "memory": "896Mi"}},
        ),
    ],
)
def test_defaults_never_contradict_what_is_given(resources: Document, expected: Document) -> None:
    assert container(templated(resources=resources))["resources"] == expected


@pytest.mark.parametrize(("cpu", "workers"), [("100m", "1"), ("2500m", "3"), ("4", "4")])
def test_without_a_cpu_limit_the_request_says_how_many_workers(cpu: str, workers: str) -> None:
    given = templated(resources={"requests": {"cpu": cpu}, "limits": {"cpu": "none"}})
    arguments = container(given)["args"]
    assert arguments[arguments.index("--workers") + 1] == workers
    # What the PushDomain says itself is in its configuration, and reloads.
    named = replace(given, spec=given.spec.model_copy(update={"workers": 2}))
    assert "--workers" not in container(named)["args"]
    assert "--workers" not in container(source())["args"]


def test_authorities_of_a_config_map_are_trusted() -> None:
    given = templated(caBundle={"configMapName": "corp", "key": "bundle.pem"})
    found = container(given)
    variable = found["env"][-1]
    assert variable["name"] == "SSL_CERT_FILE"
    directory, _, file = variable["value"].rpartition("/")
    (mount,) = [item for item in found["volumeMounts"] if item["mountPath"] == directory]
    (volume,) = [item for item in volumes(given) if item["name"] == mount["name"]]
    assert volume["configMap"]["name"] == "corp"
    assert volume["configMap"]["items"] == [{"key": "bundle.pem", "path": file}]
    # A sidecar still finds its configuration.
    assert config_name({"spec": {"volumes": volumes(given)}}) == given.config_map


def test_the_arguments_are_those_of_the_command_line() -> None:
    from tubepost_cli.run import command

    known = {option for parameter in command.params for option in parameter.opts}
    arguments = container(source())["args"]
    assert arguments[0] == "run"
    assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_a_listener_for_requests_has_a_port_and_is_told_it() -> None:
    plain = container(source())
    assert "--rest-port" not in plain["args"]
    built = container(configured(rest=RestConfig(port=8181, tokens="clients")))
    assert {"name": "rest", "containerPort": 8181, "protocol": "TCP"} in built["ports"]
    assert built["args"][built["args"].index("--rest-port") + 1] == "8181"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert built[probe] == plain[probe]
    assert built["volumeMounts"] != plain["volumeMounts"], "the tokens are mounted"
