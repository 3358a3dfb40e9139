from __future__ import annotations

import pytest

from tests.operator.resources.sources import source, templated
from tubepost_operator.observed import Document
from tubepost_operator.resources.container import SECRETS_DIRECTORY, container, volumes


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
        ({}, {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}),
        (
            {"requests": {"cpu": "2"}},
            {"requests": {"cpu": "2", "memory": "192Mi"}, "limits": {"cpu": "4", "memory": "512Mi"}},
        ),
        (
            {"requests": {"cpu": "250m"}},
            {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        ),
        (
            {"requests": {"cpu": "0.75"}},
            {"requests": {"cpu": "0.75", "memory": "192Mi"}, "limits": {"cpu": "1500m", "memory": "512Mi"}},
        ),
        (
            {"requests": {"memory": "256Mi"}},
            {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        ),
        (
            {"requests": {"memory": "1Gi"}},
            {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
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
            {"requests": {"cpu": "1", "memory": "192Mi"}, "limits": {"cpu": "4", "memory": "512Mi"}},
        ),
    ],
)
def test_defaults_never_contradict_what_is_given(resources: Document, expected: Document) -> None:
    assert container(templated(resources=resources))["resources"] == expected


def test_the_arguments_are_those_of_the_command_line() -> None:
    from tubepost_cli.run import command

    known = {option for parameter in command.params for option in parameter.opts}
    arguments = container(source())["args"]
    assert arguments[0] == "run"
    assert {argument for argument in arguments if argument.startswith("--")} <= known
