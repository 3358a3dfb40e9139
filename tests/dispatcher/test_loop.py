from __future__ import annotations

import asyncio
import sys

import pytest

from tubepost_dispatcher.loop import run


async def _kind() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_the_whole_program_runs_on_uvloop() -> None:
    pytest.importorskip("uvloop")
    assert run(_kind()) == "uvloop"


def test_where_there_is_no_uvloop_asyncio_has_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(_kind()).startswith("asyncio")
