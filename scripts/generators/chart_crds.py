"""The chart's copy of the CustomResourceDefinitions, from the models in `tubepost_api`."""

from __future__ import annotations

import yaml

from tubepost_api.crd import KINDS, crd

HEADER = "# Generated from the models in crds/tubepost_api by `make generate`; the template adds labels.\n"


def outputs() -> dict[str, str]:
    """Path of each copy, relative to the repository, and its text."""
    files: dict[str, str] = {}
    for kind in KINDS:
        document = crd(kind)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
        files[f"charts/tubepost/files/crds/{document['metadata']['name']}.yaml"] = HEADER + text
    return files
