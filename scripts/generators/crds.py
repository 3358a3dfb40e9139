"""The CustomResourceDefinitions, from the models in `tubepost_api`."""

from __future__ import annotations

from pathlib import Path

import yaml

from tubepost_api.crd import KINDS, crd

HEADER = "# Generated from the models in crds/tubepost_api by `make generate`; do not edit.\n"


def outputs() -> dict[str, str]:
    """Path of each CRD, relative to the repository, and its text."""
    files: dict[str, str] = {}
    for kind in KINDS:
        document = crd(kind)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
        files[f"crds/{document['metadata']['name']}.yaml"] = HEADER + text
    return files


def write_crds(directory: Path) -> None:
    """Write the CRDs into another directory."""
    for name, text in outputs().items():
        (directory / Path(name).name).write_text(text, encoding="utf-8")
