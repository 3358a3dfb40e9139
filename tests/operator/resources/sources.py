"""What the builders of this directory are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.operator.cases import snapshot
from tubepost_api.podtemplate import PodTemplateSpec
from tubepost_api.service import ServiceSpec
from tubepost_operator.plan.push_domain import decide
from tubepost_operator.resources.common import Source


def source(name: str = "first-publish") -> Source:
    found = decide(snapshot(name)).selection.source
    assert found is not None
    return found


def templated(**spec: Any) -> Source:
    base = source()
    template = PodTemplateSpec.model_validate(spec)
    return replace(base, spec=base.spec.model_copy(update={"pod_template": template}))


def served(**spec: Any) -> Source:
    base = source()
    return replace(base, spec=base.spec.model_copy(update={"service": ServiceSpec.model_validate(spec)}))


def configured(**changes: Any) -> Source:
    base = source()
    return replace(base, config=base.config.model_copy(update=changes))
