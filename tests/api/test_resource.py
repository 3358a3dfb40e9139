from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.api.manifests import compiled, errors, push_domain, route
from tubepost_api.resource import Metadata


def test_metadata_keeps_what_matters_and_ignores_the_rest() -> None:
    metadata = Metadata.model_validate({"name": "alerts", "uid": "1", "managedFields": []})
    assert (metadata.name, metadata.namespace, metadata.generation) == ("alerts", "default", 1)
    with pytest.raises(ValidationError):
        Metadata.model_validate({"name": ""})


@pytest.mark.parametrize(("name", "accepted"), [("a" * 63, True), ("a" * 64, False), ("a.b", False)])
def test_names_become_labels(name: str, accepted: bool) -> None:
    problems = errors(compiled(push_domain(routes=[name]), route(name)))
    named = [problem for problem in problems if problem.kind == "ApnRoute"]
    assert (named == []) is accepted
    assert accepted or "63 characters" in named[0].message
