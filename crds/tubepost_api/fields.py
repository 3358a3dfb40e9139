"""Types of fields that several kinds share.

Each carries its own check, the wording of its failure and its remedy, and becomes the same constraint in the
CRD: what the API server refuses, `tubepost validate` refuses, and the other way round where a pattern can
say it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tubepost_api.durations import DURATION_PATTERN, SIZE_PATTERN, parse_nanoseconds, parse_size

PROBLEM_TYPE = "tubepost"
"""Type of the pydantic errors that carry a remedy in their context."""


def failure(message: str, remedy: str) -> PydanticCustomError:
    """A validation error with a remedy."""
    # The text travels in the context, since pydantic takes the message itself as a template.
    return PydanticCustomError(PROBLEM_TYPE, "{message}", {"message": message, "remedy": remedy})


@dataclass(frozen=True, slots=True)
class Checked:
    """Annotates a string: a pattern, a length, and what to say about a string that does not match.

    `check` says in Python what a pattern cannot; it raises ValueError. `rules` are CEL rules for the same.
    `confidential`: the value may hold a password by mistake, so no message repeats it.
    """

    what: str
    remedy: str
    pattern: str
    max_length: int
    min_length: int = 1
    check: Callable[[str], object] | None = None
    rules: tuple[tuple[str, str], ...] = ()
    confidential: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic: our check alone, since it has a remedy for a wrong type as well."""
        return core_schema.no_info_plain_validator_function(self._validate)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Called by pydantic: the constraints as JSON schema."""
        result: JsonSchemaValue = {
            "type": "string",
            "minLength": self.min_length,
            "maxLength": self.max_length,
        }
        # Not as the schema's `pattern`: of that a server says nothing but the expression itself.
        matches = f"self.matches(r'{self.pattern}')"
        result["x-kubernetes-validations"] = [
            {"rule": matches, "message": f"is not {self.what}; {self.remedy}"},
            # A value that fails the pattern is reported once, not by every rule.
            *({"rule": f"!{matches} || {rule}", "message": message} for rule, message in self.rules),
        ]
        return result

    def _validate(self, value: Any) -> str:
        shown = "what is written" if self.confidential else repr(value)[:80]
        if not isinstance(value, str):
            raise failure(f"{shown} is not {self.what}", self.remedy)
        if not value:
            raise failure(f"is empty, where {self.what} is expected", self.remedy)
        if len(value) > self.max_length:
            raise failure(f"is longer than {self.max_length} characters", self.remedy)
        if not re.fullmatch(self.pattern, value):
            raise failure(f"{shown} is not {self.what}", self.remedy)
        if self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                raise failure(str(error), self.remedy) from error
        return value


def _positive(text: str) -> None:
    if not parse_nanoseconds(text):
        raise ValueError("must be more than zero")


_MAPPED: Final = 96
"""Bits before the IPv4 address in a mapped one, `::ffff:192.0.2.1` (RFC 4291, section 2.5.5.2)."""


def _network(text: str) -> None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            wider = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"{text!r} names a host inside a network; the network is {wider}") from error
        raise ValueError(f"{text!r} is not an IP network") from error
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED:
        plain = f"{mapped}/{network.prefixlen - _MAPPED}"
        raise ValueError(f"{text!r} is an IPv4 network in IPv6's form; clients have IPv4 addresses: {plain}")


NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
HOST_PATTERN = (
    r"^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
    r"|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$"
)
_DURATION_REMEDY = "write a Go duration such as 500ms, 5s, 1m30s or 168h"
_SIZE_REMEDY = "write bytes (65536) or a quantity (64Ki, 100Mi)"
# The cost estimate of an API server knows no bound but this one.
_DURATION_LENGTH = 32

HTTP_ADDRESS = r"^https?://([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
"""The beginning of the pattern of an HTTP address: scheme, host and port. `check_http_port` does the rest."""


def check_http_port(text: str) -> None:
    """Check the port of an HTTP address, which a pattern cannot.

    Raises:
        ValueError: there is no such port.
    """
    authority = text.partition("://")[2].partition("/")[0]
    port = authority.rpartition(":")[2] if not authority.endswith("]") and ":" in authority else ""
    if port and not 1 <= int(port) <= 65_535:
        raise ValueError(f"port {port} does not exist")


Name = Annotated[
    str,
    Checked(
        "the name of an object",
        "use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends",
        NAME_PATTERN,
        63,
    ),
]
"""The name of one of our objects, in the same namespace."""

SecretName = Annotated[
    str,
    Checked(
        "the name of a Secret",
        "use lower-case letters, digits, hyphens and dots, with a letter or digit at both ends",
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        253,
    ),
]
"""The name of a Secret, in the same namespace."""

SecretKey = Annotated[
    str, Checked("a key of a Secret", "use letters, digits, hyphens, dots and _", r"^[-._a-zA-Z0-9]+$", 253)
]
"""A key of a Secret's data."""

Duration = Annotated[
    str,
    Checked(
        "a positive duration",
        _DURATION_REMEDY,
        DURATION_PATTERN,
        _DURATION_LENGTH,
        check=_positive,
        rules=(("duration(self) > duration('0s')", "must be more than zero"),),
    ),
]
"""A positive Go duration."""

DurationOrZero = Annotated[
    str,
    Checked(
        "a duration",
        _DURATION_REMEDY + ", or 0s",
        DURATION_PATTERN,
        _DURATION_LENGTH,
        check=parse_nanoseconds,
        rules=(("duration(self) >= duration('0s')", "must be a duration of at most 292 years"),),
    ),
]
"""A Go duration that may be 0s."""

Host = Annotated[
    str,
    Checked("a host name or an IP address", "write it without scheme, port and brackets", HOST_PATTERN, 253),
]
"""A host name or an IP address, without brackets."""

Network = Annotated[
    str,
    Checked(
        "an IP network",
        "write a network such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32",
        r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
        49,
        check=_network,
    ),
]
"""An IPv4 or IPv6 network in CIDR notation, or a single address."""

Port = Annotated[int, Field(ge=1, le=65_535)]
"""A TCP port."""

Count = Annotated[int, Field(ge=0, le=1_000_000)]
"""A count; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class _Sized:
    """Annotates a number of bytes."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Called by pydantic."""
        return core_schema.no_info_plain_validator_function(self._validate)

    def _validate(self, value: Any) -> int | str:
        remedy = _SIZE_REMEDY
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise failure("is not a size", remedy)
        try:
            parse_size(value)
        except ValueError as error:
            raise failure(str(error), remedy) from error
        return value


Size = Annotated[
    int | str,
    _Sized(),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "maxLength": 32,
            "minimum": 0,
            "x-kubernetes-validations": [
                {
                    "rule": f"type(self) == int || self.matches(r'{SIZE_PATTERN}')",
                    "message": f"is not a size; {_SIZE_REMEDY}",
                }
            ],
        }
    ),
]
"""Bytes: an integer, or a quantity as Kubernetes writes them."""

UNIQUE: dict[str, Any] = {"x-kubernetes-list-type": "set"}
"""JSON-schema extras of a list without duplicates; `no_repeats` checks the same in Python."""


def no_repeats(values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a list that names something twice (the twin of list type `set`)."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise failure(f"names {value!r} twice", "name it once")
    return values
