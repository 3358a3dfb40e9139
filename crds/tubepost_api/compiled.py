"""What all parts of the compiled document have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from tubepost_api.naming import json_name

_LATER = "x-tubepost-later"


def later(default: Any) -> Any:
    """A field that joined after the first release of its schema version.

    It is written only where it is not its default, so that a dispatcher which does not know it yet reads the
    documents of those who do not use it, and reports the same digest. Where it is used, the older dispatcher
    refuses the document by the field's name and keeps the one before: nothing is ignored in silence.
    """
    return Field(default=default, json_schema_extra={_LATER: True})


class Compiled(BaseModel):
    """Base of everything in the document: immutable, camelCase, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=json_name, populate_by_name=True)

    @model_serializer(mode="wrap")
    def _without_unused_later_fields(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and _LATER in extra and getattr(self, name) == field.default:
                document.pop(field.alias or name, None)
                document.pop(name, None)
        return document


class SecretKeyRef(Compiled):
    """One key of one Secret."""

    secret: str
    key: str
