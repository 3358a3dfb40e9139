"""Context variables, as a mapping that hooks may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Final

from tubepost_policy.constants import OWN_VARIABLES

MAX_VARIABLES: Final = 64
"""Context variables of one message."""
MAX_NAME: Final = 64
"""Characters of the longest name."""
MAX_VALUE: Final = 1_024
"""Characters of the longest value."""


def _check(name: object, value: object) -> None:
    """Raise ValueError for what cannot be a variable of a message."""
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or not name:
        raise ValueError(f"{name!r:.80} is no name of a context variable: printable ASCII text")
    if "=" in name or " " in name or len(name) > MAX_NAME:
        raise ValueError(f"{name!r:.80}: at most {MAX_NAME} characters, without spaces and =")
    if not isinstance(value, str) or not value.isprintable() or len(value) > MAX_VALUE:
        raise ValueError(f"the value of {name} is not printable text of at most {MAX_VALUE} characters")


class Context(MutableMapping[str, str]):
    """The context variables of a message; what is set lasts for the rest of its life.

    Those that Tubepost sets itself (`DLV_Transaction_ID`, `DLV_Response_Status`,
    `DLV_Response_Status_Detail`, `DLV_Msg_Length`, `DLV_Remote_IP_Address`) can be read, not changed.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = dict(variables)
        self._changed = False

    def __getitem__(self, name: str) -> str:
        return self._variables[name]

    def __setitem__(self, name: str, value: str) -> None:
        if name in OWN_VARIABLES:
            raise PermissionError(f"the context variable {name} is set by Tubepost alone")
        _check(name, value)
        if name not in self._variables and len(self._variables) >= MAX_VARIABLES + len(OWN_VARIABLES):
            raise ValueError(f"a message has at most {MAX_VARIABLES} context variables")
        if self._variables.get(name) != value:
            self._variables[name] = value
            self._changed = True

    def __delitem__(self, name: str) -> None:
        if name in OWN_VARIABLES:
            raise PermissionError(f"the context variable {name} is set by Tubepost alone")
        del self._variables[name]
        self._changed = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __repr__(self) -> str:
        return f"Context({dict(self)!r})"

    @property
    def changes(self) -> dict[str, str] | None:
        """All variables but Tubepost's own, None where nothing was changed."""
        if not self._changed:
            return None
        return {name: value for name, value in self._variables.items() if name not in OWN_VARIABLES}
