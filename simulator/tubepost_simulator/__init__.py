"""An APNs to develop and test against: HTTP/2 over TLS, Apple's rules and reasons, switches for bad days."""

from tubepost_simulator.chaos import Chaos, ChaosError
from tubepost_simulator.journal import Notification
from tubepost_simulator.magic import BehaviourKind, behaviour_token, reason_token
from tubepost_simulator.reasons import REASONS, Reason
from tubepost_simulator.server import Simulator
from tubepost_simulator.settings import Device, SimulatorSettings, TokenKey

__all__ = [
    "REASONS",
    "BehaviourKind",
    "Chaos",
    "ChaosError",
    "Device",
    "Notification",
    "Reason",
    "Simulator",
    "SimulatorSettings",
    "TokenKey",
    "behaviour_token",
    "reason_token",
]
