from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.simulator.support import settings
from tubepost_simulator import Simulator


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(settings()) as instance:
        yield instance
