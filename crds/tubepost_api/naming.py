"""How fields are called in manifests and in the compiled document."""

from __future__ import annotations

from pydantic.alias_generators import to_camel


def json_name(field: str) -> str:
    """The name of a model's field in JSON and YAML: `max_size` is maxSize, and `from_` is from.

    A field ends with an underscore where its name is a word of Python's own.
    """
    return to_camel(field.removesuffix("_"))
