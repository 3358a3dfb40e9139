"""A real Chromium, driven by its own protocol (Chrome DevTools Protocol) over a WebSocket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.peers import tools

PATIENCE = 100.0
"""Seconds for whatever should happen soon: the machine may be busy."""
_KEYS = {
    "ArrowDown": (40, ""),
    "ArrowUp": (38, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Tab": (9, ""),
    " ": (32, " "),
}


@contextlib.contextmanager
def chromium() -> Iterator[str]:
    """Run it without a window; yields the address of its protocol."""
    program = tools.require("chromium")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as directory:
        arguments = [
            "--headless=new",
            "--no-sandbox",  # root has none, and the pages are ours
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-extensions",
            "--disable-sync",
            "--no-first-run",
            "--no-proxy-server",
            "--hide-scrollbars",
            "--lang=en-GB",
            "--remote-debugging-port=0",
            f"--user-data-dir={directory}",
            "about:blank",
        ]
        with Path(directory, "log").open("wb") as log:
            process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
            try:
                yield _address(process, Path(directory))
            finally:
                process.terminate()
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _address(process: subprocess.Popen[bytes], directory: Path) -> str:
    file = directory / "DevToolsActivePort"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        lines = file.read_text().splitlines() if file.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"Chromium does not start: {(directory / 'log').read_text()[-2000:]}")


class Page:
    """One page in a context of its own. `faults` is what its console says, `requests` what it has asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._session = ""
        self._context = ""
        self.faults: list[str] = []
        self.requests: list[str] = []

    async def _read(self) -> None:
        async for message in self._socket:
            data = json.loads(message.data)
            future = self._waiting.pop(data.get("id", 0), None)
            if future is None:
                self._note(data.get("method", ""), data.get("params", {}))
            elif not future.done():
                future.set_result(data)

    def _note(self, method: str, event: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(event["exceptionDetails"])[:2000])
        elif method == "Runtime.consoleAPICalled" and event["type"] in {"error", "warning", "assert"}:
            self.faults.append(json.dumps(event["args"])[:2000])
        elif method == "Log.entryAdded" and event["entry"]["level"] in {"error", "warning"}:
            if "ERR_NETWORK_CHANGED" not in event["entry"]["text"]:  # see `load`
                self.faults.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        number = self._number
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        async with asyncio.timeout(PATIENCE):
            answer = await future
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self) -> None:
        """Open the page, in a context of its own."""
        self._context = (await self.call("Target.createBrowserContext"))["browserContextId"]
        target = await self.call("Target.createTarget", url="about:blank", browserContextId=self._context)
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    async def close(self) -> None:
        """Close it, and forget all about it."""
        self._session = ""
        await self.call("Target.disposeBrowserContext", browserContextId=self._context)

    async def permit(self, *permissions: str) -> None:
        """Give the page permissions, as its user would."""
        await self.call("Browser.grantPermissions", permissions=permissions, browserContextId=self._context)

    async def look(self, width: int, height: int, scheme: str = "light", scale: float = 1) -> None:
        """Set the size of the window, and whether the system is `light` or `dark`."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=False,
        )
        await self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )

    async def load(self, url: str, until: str) -> None:
        """Load a page, and wait until it is there.

        A network interface that comes or goes on the machine makes Chromium give up what it is loading: then
        once more.
        """
        end = time.monotonic() + PATIENCE
        while True:
            await self.call("Page.navigate", url=url)
            once_more = time.monotonic() + 20
            while time.monotonic() < once_more:
                if await self.eval(f"Boolean({until})"):
                    return
                await asyncio.sleep(0.05)
            assert time.monotonic() < end, (url, self.faults)

    async def eval(self, script: str) -> Any:
        """The value of an expression, awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until an expression is true."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self.eval(f"Boolean({script})"):  # noqa: ASYNC110 - it is in another process
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.eval("document.body.innerText.slice(0, 3000)")
            raise AssertionError(f"never: {script}\n{self.faults}\n{text}") from None

    async def until_fault(self, words: str) -> None:
        """Wait for a fault that is expected, and forget it."""
        async with asyncio.timeout(PATIENCE):
            while not any(words in fault for fault in self.faults):  # noqa: ASYNC110 - told by another process
                await asyncio.sleep(0.05)
        self.faults = [fault for fault in self.faults if words not in fault]

    async def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        place = await self.eval(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )

    async def key(self, name: str) -> None:
        """Press a key: a character, or one with a name."""
        code, text = _KEYS.get(name, (ord(name[0].upper()), name))
        given = {"key": name, "windowsVirtualKeyCode": code}
        if text:
            given["text"] = text
        await self.call("Input.dispatchKeyEvent", type="keyDown", **given)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=name, windowsVirtualKeyCode=code)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def picture(self, path: Path) -> None:
        """Write what is to be seen as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(answer["data"]))  # noqa: ASYNC240 - a test's own file


@contextlib.asynccontextmanager
async def page(address: str) -> AsyncIterator[Page]:
    """A page of a running Chromium."""
    async with (
        aiohttp.ClientSession(trust_env=False) as session,
        session.ws_connect(address, max_msg_size=0) as socket,
    ):
        opened = Page(socket)
        reader = asyncio.get_running_loop().create_task(opened._read())
        try:
            await opened.open()
            yield opened
            await opened.close()
        finally:
            reader.cancel()
