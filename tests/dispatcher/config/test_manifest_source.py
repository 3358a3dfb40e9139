from __future__ import annotations

from pathlib import Path

import yaml

from tests.dispatcher.bundles import SECRETS
from tubepost_api.problems import ProblemCode
from tubepost_dispatcher.config.bundle import ConfigBundle, prepare
from tubepost_dispatcher.config.manifest_source import ManifestSource
from tubepost_dispatcher.config.source import Loaded

API = "tubepost.io/v1alpha1"


def _manifests(**route: object) -> str:
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": API,
                "kind": "PushDomain",
                "metadata": {"name": "alerts"},
                "spec": {"domains": [{"name": "a.example.com"}], "routes": ["apns"]},
            },
            {
                "apiVersion": API,
                "kind": "ApnRoute",
                "metadata": {"name": "apns"},
                "spec": {"environment": "Sandbox", "certificate": {"secretName": "cert"}, **route},
            },
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "cert"},
                "stringData": {name: value.decode() for name, value in SECRETS["cert"].items()},
            },
        ]
    )


def test_manifests_with_their_secrets_and_places(tmp_path: Path) -> None:
    file = tmp_path / "push.yaml"
    file.write_text(_manifests())
    loaded = ManifestSource([file]).load()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets == {"cert": SECRETS["cert"]}
    assert loaded.origins["ApnRoute", "apns"] == str(file)
    file.write_text(_manifests(certificate={"secretName": "other"}))
    loaded = ManifestSource([file]).load()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets == {}


def test_hooks_and_loggers_are_among_the_manifests(tmp_path: Path) -> None:
    documents = [*yaml.safe_load_all(_manifests())]
    documents[0]["spec"] |= {"policy": {"configMapName": "hooks"}, "loggers": ["events"]}
    signature = {"secretName": "events", "key": "hmac"}
    webhook = {"url": "https://events.example", "signature": signature}
    sink = {"type": "Webhook", "webhook": webhook}
    documents += [
        {"apiVersion": API, "kind": "ApnLogger", "metadata": {"name": "events"}, "spec": {"sink": sink}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "events"},
            "stringData": {"hmac": "short"},
        },
    ]
    file, hooks = tmp_path / "push.yaml", tmp_path / "hooks.yaml"
    file.write_text(yaml.safe_dump_all(documents))

    def load(source: str) -> Loaded:
        metadata = {"name": "hooks"}
        document = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"policy.py": source},
        }
        hooks.write_text(yaml.safe_dump(document))
        return ManifestSource([tmp_path]).load()

    loaded = load("# hooks\n")
    assert loaded.bundle is not None
    assert loaded.bundle.config.policy is not None
    assert loaded.bundle.config.policy.source == "# hooks\n"
    (problem,) = loaded.locate(prepare(loaded.bundle)[1])
    assert (problem.kind, problem.name, problem.origin) == ("ApnLogger", "events", str(file))
    refused = load("def\n")
    assert refused.bundle is None
    assert [p.field for p in refused.problems if p.severity == "error"] == ["spec.policy.configMapName"]


def test_broken_manifests_are_problems(tmp_path: Path) -> None:
    file = tmp_path / "push.yaml"
    file.write_text("kind: PushDomain\n  oops: [")
    loaded = ManifestSource([file]).load()
    assert loaded.bundle is None
    assert any(p.severity == "error" for p in loaded.problems)


def test_a_secret_that_a_transformation_supplies_is_not_missing(tmp_path: Path) -> None:
    file = tmp_path / "push.yaml"
    file.write_text(_manifests(certificate={"secretName": "other"}, token=None))

    def supply(bundle: ConfigBundle) -> ConfigBundle:
        return ConfigBundle(bundle.config, {"other": SECRETS["cert"]})

    def fields(source: ManifestSource) -> list[str]:
        return [p.field for p in source.load().problems if p.code is ProblemCode.SECRET_NOT_FOUND]

    assert fields(ManifestSource([file])) == ["spec.certificate.secretName"]
    assert fields(ManifestSource([file], transform=supply)) == []
