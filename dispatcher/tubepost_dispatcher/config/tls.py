"""The listener's TLS context."""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path
from typing import Literal

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(
    certificate: bytes, private_key: bytes, min_version: Literal["1.2", "1.3"] = "1.2"
) -> ssl.SSLContext:
    """A server-side context from a PEM chain and its PEM key.

    Raises:
        ssl.SSLError: the key does not belong to the certificate, or one of them cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[min_version]
    # The ssl module reads certificates from files only: a private directory, gone before we return.
    with tempfile.TemporaryDirectory(prefix="tubepost-tls-") as directory:
        chain, key = Path(directory, "tls.crt"), Path(directory, "tls.key")
        for path, data in ((chain, certificate), (key, private_key)):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
        # A password is never asked for on a terminal: an encrypted key is an error.
        context.load_cert_chain(chain, key, password=_no_password)
    return context


def _no_password() -> bytes:
    raise ValueError("the private key is encrypted; store it without a passphrase")
