"""What is shared by both kinds of credential: the error, and the word for being in date."""

from __future__ import annotations

from typing import Literal

Validity = Literal["valid", "expired", "not-yet-valid"]
"""Where a moment lies in relation to a credential's lifetime."""


class CredentialError(ValueError):
    """A credential that cannot be used.

    `message` says what is wrong and `remedy` what to do about it. Neither holds any byte of the credential:
    both may be logged, put into a status or shown to a user.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}. Remedy: {self.remedy}"
