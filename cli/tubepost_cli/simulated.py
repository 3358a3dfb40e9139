"""Putting a simulated APNs in the place of the real one."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tubepost_api.compiled import SecretKeyRef
from tubepost_api.config import RouteConfig, RouteTls
from tubepost_credentials.secrets import Secrets, check
from tubepost_credentials.throwaway import make_apns_certificate, make_ca, make_token_key
from tubepost_dispatcher.config.bundle import ConfigBundle
from tubepost_simulator import Simulator, SimulatorSettings, TokenKey

CA_SECRET = "tubepost-simulator"  # noqa: S105 - a Secret's name
DEFAULT_TOPIC = "com.example.app"
INBOX_PORT = 2198
"""The usual port of the inbox page and the JSON API: beside that of APNs (2197), and nobody else's."""


class SimulatedApns:
    """A simulator and the throw-away credentials that it accepts. Use as an async context manager.

    Args:
        inbox_port: port of its inbox page and API, 0 for any; None for the usual one, or any if it is taken.
    """

    def __init__(self, inbox_port: int | None = 0) -> None:
        self._ca = make_ca()
        self._key = make_token_key()
        self._certificates: dict[tuple[str, ...], tuple[bytes, bytes]] = {}
        self._simulator = Simulator(
            SimulatorSettings(
                api_port=INBOX_PORT if inbox_port is None else inbox_port,
                api_port_may_differ=inbox_port is None,
                client_ca=self._ca.certificate_pem,
                token_keys={"SIMULATED1": TokenKey("SIMULATEAM", self._key)},
            )
        )

    @property
    def simulator(self) -> Simulator:
        """The running simulator."""
        return self._simulator

    @property
    def inbox_url(self) -> str:
        """Address of its inbox page."""
        return f"http://127.0.0.1:{self._simulator.api_port}/"

    async def __aenter__(self) -> Self:
        await self._simulator.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._simulator.stop()

    def take_over(self, bundle: ConfigBundle) -> ConfigBundle:
        """The same configuration with every route leading here, authenticated by throw-away credentials."""
        secrets = {name: dict(keys) for name, keys in bundle.secrets.items()}
        routes = {}
        for name, route in bundle.config.routes.items():
            self._give_credentials(route, bundle.secrets, secrets)
            routes[name] = route.model_copy(
                update={
                    "host": "127.0.0.1",
                    "port": self._simulator.port,
                    "tls": RouteTls(ca=SecretKeyRef(secret=CA_SECRET, key="ca.crt")),
                    "proxy": None,
                    "proxy_auth": None,
                    "topic": route.topic or (DEFAULT_TOPIC if route.token else None),
                }
            )
        secrets[CA_SECRET] = {"ca.crt": self._simulator.ca_pem}
        return ConfigBundle(bundle.config.model_copy(update={"routes": routes}), secrets)

    def _give_credentials(
        self, route: RouteConfig, given: Secrets, secrets: dict[str, dict[str, bytes]]
    ) -> None:
        if route.certificate is not None:
            refs = (route.certificate.certificate, route.certificate.private_key)
            certificate = self._certificate(_topics(route, given))
            for ref, value in zip(refs, certificate, strict=True):
                secrets.setdefault(ref.secret, {})[ref.key] = value
        elif route.token is not None:
            token = route.token
            values = (
                (token.private_key, self._key),
                (token.key_id, b"SIMULATED1"),
                (token.team_id, b"SIMULATEAM"),
            )
            for ref, value in values:
                secrets.setdefault(ref.secret, {})[ref.key] = value

    def _certificate(self, topics: tuple[str, ...]) -> tuple[bytes, bytes]:
        # Made once: a new certificate at every look would be a changed configuration at every look.
        pair = self._certificates.get(topics)
        if pair is None:
            made = make_apns_certificate(self._ca, topics)
            pair = self._certificates[topics] = (made.certificate_pem, made.private_key_pem)
        return pair


def _topics(route: RouteConfig, given: Secrets) -> tuple[str, ...]:
    certificate = check(route.references(), given).certificate
    if certificate is not None and certificate.topics:
        return certificate.topics
    return (route.topic or DEFAULT_TOPIC,)
