"""The plain manifests are what the chart makes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import yaml

from tests.chart.helm import ROOT, find

DOCUMENTS: list[dict[str, Any]] = [
    document
    for document in yaml.load_all((ROOT / "deploy" / "tubepost.yaml").read_text(), yaml.CSafeLoader)
    if document
]


def test_they_are_what_the_chart_makes() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/render-manifests", "--check"],
        cwd=ROOT,
        env={**os.environ, "HELM": str(find())},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_in_them_is_helms() -> None:
    text = "".join(
        yaml.safe_dump(document) for document in DOCUMENTS if document["kind"] != "CustomResourceDefinition"
    )
    assert "helm" not in text.lower()


def test_the_namespace_is_there_first_and_strict() -> None:
    assert DOCUMENTS[0]["kind"] == "Namespace"
    name = DOCUMENTS[0]["metadata"]["name"]
    assert DOCUMENTS[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {document["metadata"].get("namespace", name) for document in DOCUMENTS} == {name}


def test_no_secret_is_in_them() -> None:
    (secret,) = [document for document in DOCUMENTS if document["kind"] == "Secret"]
    assert "data" not in secret
    assert "stringData" not in secret
