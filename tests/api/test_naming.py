from __future__ import annotations

import pytest

from tubepost_api.naming import json_name


@pytest.mark.parametrize(
    ("field", "name"),
    [("host", "host"), ("max_body_size", "maxBodySize"), ("from_", "from"), ("key_id", "keyId")],
)
def test_names_are_in_camel_case_without_what_python_needs(field: str, name: str) -> None:
    assert json_name(field) == name
