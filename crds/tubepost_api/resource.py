"""What the three kinds have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from tubepost_api.naming import json_name
from tubepost_api.rules import Rule, SpecModel

GROUP = "tubepost.io"
"""The API group of all kinds."""
VERSION = "v1alpha1"
"""The only version so far."""
API_VERSION = f"{GROUP}/{VERSION}"
"""`apiVersion` of our manifests."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class KindNames:
    """How a kind is called, and what `kubectl get` shows of it."""

    kind: str
    plural: str
    singular: str
    short: str
    columns: tuple[Column, ...]
    scale: bool = False


class Metadata(BaseModel):
    """The part of an object's metadata that matters here; the rest is Kubernetes' business."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, alias_generator=json_name, use_attribute_docstrings=True
    )

    name: Annotated[str, Field(min_length=1)]
    """Name of the object."""
    namespace: str = "default"
    """Namespace of the object; references stay inside it."""
    generation: int = 1
    """Counts the changes of the spec."""


class Resource(SpecModel):
    """Base of the three kinds."""

    names: ClassVar[KindNames]

    api_version: str = API_VERSION
    """Version of the schema that the object is written for."""
    kind: str
    """Kind of the object."""
    metadata: Annotated[Metadata, WithJsonSchema({"type": "object"})]
    """Standard metadata of the object."""


NAME_RULE = Rule(
    "size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')",
    "the name is longer than 63 characters or contains a dot",
    "choose one of at most 63 lower-case letters, digits and hyphens",
    lambda resource: len(resource.metadata.name) <= 63 and "." not in resource.metadata.name,
)
"""Names of our objects become label values and DNS labels."""


def ready_column() -> Column:
    """The column that answers whether the object works."""
    return Column(
        "Ready",
        ".status.conditions[?(@.type=='Ready')].status",
        description="Whether it does what its spec says.",
    )


def age_column() -> Column:
    """The usual last column."""
    return Column("Age", ".metadata.creationTimestamp", "date", "Time since the object was made.")
