"""What may change while a pool lives; what may not is in `apns.pool_key`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What may change while a pool lives. Times in seconds; 0 means no limit."""

    connect_timeout: float = 30.0
    idle_timeout: float = 3_600.0
    max_connections: int = 32
    max_deliveries_per_connection: int = 0
