from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.dispatcher.policy.support import asking, until


async def test_what_a_module_prints_is_logged_in_short_clean_lines(caplog: pytest.LogCaptureFixture) -> None:
    source = """
    import sys
    def generic_delivery_msg_dispose(msg):
        print("seen", msg.token, "\\x1b[31m")
        print("error", file=sys.stderr)
    """
    with caplog.at_level(logging.INFO, "tubepost.policy"):
        async with asking(source) as policy:
            await policy.ask()
            await until(lambda: "error" in caplog.text)
    assert "policy hooks: printed: seen abababab... ?[31m" in caplog.text


async def test_a_flood_is_read_at_a_bounded_pace(caplog: pytest.LogCaptureFixture) -> None:
    source = """
    def generic_delivery_msg_dispose(msg):
        for _ in range(100_000):
            print("x" * 90)
    """
    async with asking(source, timeout=10.0) as policy:
        assert await policy.ask() == {}
        process = max(policy.client._processes, key=lambda one: one._taken)
        assert process._taken < 4 * 65_536 + 65_536
        assert await policy.ask() == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x02{x",
        b"\x00\x00\x00\x02{}{}",
        b"\x00\x00\x00\x0c" + b'{"answer":1}',
    ],
)
async def test_an_answer_that_is_none_is_a_fault_of_its_call(answer: bytes) -> None:
    source = f"""
    import os
    def generic_delivery_msg_dispose(msg):
        if msg.sender == "evil":
            for fd in range(3, 64):
                try:
                    if os.readlink(f"/proc/self/fd/{{fd}}").startswith("socket"):
                        os.write(fd, {answer!r})
                except OSError:
                    pass
    """
    async with asking(source) as policy:
        await policy.ask()
        ((kind, _),) = await policy.faults("evil")
        assert kind == "result"
        # What it says too much is an answer to nothing, and ends it: as soon as it is read, which may be some
        # calls later, since another process stands by.
        for _ in range(6):
            await policy.faults("a")
        assert (await policy.faults("a")) == [("", 0)]


def test_a_process_ends_with_its_dispatcher_in_the_middle_of_an_endless_loop(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import asyncio, sys
        from tubepost_dispatcher.metrics import Metrics
        from tubepost_dispatcher.policy.client import PolicyClient
        from tubepost_api.config import PolicyConfig

        async def main():
            source = "import os\\nprint(os.getpid(), flush=True)\\nwhile True: pass\\n"
            client = PolicyClient(PolicyConfig(name="x", source=source), Metrics())
            while not client.pids:
                await asyncio.sleep(0.01)
            print(client.pids[0], flush=True)
            await asyncio.sleep(600)

        asyncio.run(main())
        """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as dispatcher:
        assert dispatcher.stdout is not None
        pid = int(dispatcher.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        os.kill(dispatcher.pid, signal.SIGKILL)

    def running() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
        except OSError:
            return False

    while running():  # the test's time limit bounds it
        os.sched_yield()
