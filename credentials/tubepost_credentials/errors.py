"""What all kinds of credentials share: faults, the error, and validity in time."""

from __future__ import annotations

import enum
from typing import Literal, NamedTuple

Validity = Literal["valid", "expired", "not-yet-valid"]
"""A moment compared with a credential's lifetime."""

Subject = Literal["ExpiresSoon", "Untidy", "Chosen"]
"""What the owner of a good credential may have to hear: its lifetime is nearly over; it is not written as it
should be, and was understood all the same; it holds several certificates or keys, of which one was taken."""


class Fault(enum.Enum):
    """What can be wrong with a reference to a Secret, or with what the Secret holds."""

    SECRET_NOT_FOUND = enum.auto()
    """The Secret does not exist."""
    KEY_MISSING = enum.auto()
    """The Secret lacks a key."""
    MALFORMED = enum.auto()
    """A value cannot be read."""
    KEY_MISMATCH = enum.auto()
    """Certificate and private key do not belong together."""
    EXPIRED = enum.auto()
    """The certificate's lifetime is over."""
    NOT_YET_VALID = enum.auto()
    """The certificate's lifetime has not begun."""
    WRONG_ENVIRONMENT = enum.auto()
    """The certificate is for the other of Apple's two services."""

    @property
    def of_reference(self) -> bool:
        """Whether the reference is wrong, not what it leads to."""
        return self in {Fault.SECRET_NOT_FOUND, Fault.KEY_MISSING}

    @property
    def serves(self) -> bool:
        """Whether the credential can be read, and tried all the same: its time or environment is wrong."""
        return self in {Fault.EXPIRED, Fault.NOT_YET_VALID, Fault.WRONG_ENVIRONMENT}


class Remark(NamedTuple):
    """Something that the owner of a good credential should hear; holds no byte of it.

    `message` continues a sentence that begins with the credential's place, `remedy` is a sentence without
    its full stop. `part` says which value: 0 the certificate or signing key, 1 the private key or key id, 2
    the team id.
    """

    subject: Subject
    part: int
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message[:1].upper()}{self.message[1:]}. Remedy: {self.remedy}."


class CredentialError(ValueError):
    """A credential that cannot be used.

    `message` says what is wrong and `remedy` what to do about it. Neither holds any byte of the credential:
    both may be logged, put into a status or shown to a user. `fault` is MALFORMED or KEY_MISMATCH.
    """

    def __init__(self, message: str, remedy: str, fault: Fault = Fault.MALFORMED) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.fault = fault

    def __str__(self) -> str:
        return f"{self.message}. Remedy: {self.remedy}"
