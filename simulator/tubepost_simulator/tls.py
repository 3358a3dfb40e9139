"""The TLS side of the simulator: its own authority, and the server's context."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tubepost_credentials import tls
from tubepost_credentials.throwaway import KeyPair, make_apns_certificate, make_ca, make_server_certificate
from tubepost_simulator.settings import Environment, SimulatorSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """What the simulator shows to clients, and whose client certificates it takes. All PEM.

    `ca_pem` is what clients have to trust: the throw-away authority, or the given server certificate.
    """

    ca_pem: bytes
    server: KeyPair
    client_ca_pem: bytes
    authority: KeyPair = field(repr=False)

    def issue(self, topics: Sequence[str], environments: Iterable[Environment]) -> KeyPair:
        """Make a client certificate from the throw-away authority."""
        return make_apns_certificate(self.authority, topics, environments)


def make_identity(settings: SimulatorSettings) -> Identity:
    """Take certificate and key from `settings`, or make them.

    Raises:
        ValueError: only one of certificate and key is given.
    """
    if (settings.server_certificate is None) != (settings.server_key is None):
        raise ValueError("server_certificate and server_key go together")
    authority = make_ca("Tubepost simulator CA")
    if settings.server_certificate is not None and settings.server_key is not None:
        server = KeyPair(settings.server_certificate, settings.server_key)
        ca_pem = settings.server_certificate
    else:
        server = make_server_certificate(authority, settings.hosts)
        ca_pem = authority.certificate_pem
    return Identity(ca_pem, server, settings.client_ca or authority.certificate_pem, authority)


def server_context(identity: Identity) -> ssl.SSLContext:
    """TLS 1.2 or newer, ALPN `h2`, a client certificate asked for but not demanded.

    A client certificate of another authority fails the handshake with an alert (`unknown_ca`); with TLS 1.3
    the client learns that at its first read.

    Raises:
        ssl.SSLError: certificate, key or authority cannot be read.
        ValueError: the key is encrypted.
    """
    context = tls.server_context(
        identity.server.certificate_pem, identity.server.private_key_pem, alpn=("h2",)
    )
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=identity.client_ca_pem.decode("ascii"))
    return context
