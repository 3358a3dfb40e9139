"""What the parts of one simulator share: its rules and switches, what it has recorded, who is connected."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic.alias_generators import to_camel

from tubepost_simulator.chaos import ConnectionAction
from tubepost_simulator.journal import Journal
from tubepost_simulator.open_connections import OpenConnections
from tubepost_simulator.settings import SimulatorSettings
from tubepost_simulator.switchboard import Switchboard
from tubepost_simulator.validation import Policy


class Context:
    """The state of one simulator, without its sockets. Everything happens on one event loop.

    Raises:
        ValueError: settings that contradict themselves, or keys that cannot be read.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.instance = secrets.token_hex(4)
        """Names this run: numbers of notifications begin anew with the next."""
        self.policy = Policy(settings)
        self.board = Switchboard(settings.chaos, settings.seed)
        self.journal = Journal(settings.retain, settings.retain_bytes)
        self.counts = self.journal.counts
        self.connections = OpenConnections(settings.max_connections)
        self.port = 0
        """The port of APNs, once it is open."""
        self.api_port = 0
        """The port of the JSON API, once it is open."""

    def apply_chaos(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change switches by their JSON names (see `chaos.Chaos`); returns all of them.

        Raises:
            ChaosError: an unknown switch or a value out of range; nothing is changed.
        """
        action = self.board.patch(changes)
        for connection in self.connections:
            connection.chaos_changed()
            if action is ConnectionAction.DROP:
                connection.drop()
            elif action is ConnectionAction.GOAWAY:
                connection.goaway(self.board.chaos.goaway)
        return self.chaos()

    def chaos(self) -> dict[str, Any]:
        """The switches by their JSON names, with what is left of those that count down."""
        return self.board.current().model_dump(mode="json", by_alias=True)

    def stats(self) -> dict[str, Any]:
        """Counts since the start, by their JSON names (see `journal.Counts`), and the present state."""
        counts = {to_camel(name): value for name, value in asdict(self.counts).items()}
        return {
            **counts,
            "verdicts": dict(sorted(self.journal.verdicts.items())),
            "retained": len(self.journal),
            "connectionsOpen": len(self.connections),
            "streamsOpen": sum(connection.open_streams for connection in self.connections),
        }
