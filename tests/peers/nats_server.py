"""nats-server with JetStream, alone and as a cluster: killed, started again, stopped and continued by tests.

Ports are reserved for the fixture's whole life (bound, not listening), so that a server comes back on its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.peers import tools
from tests.peers.power import Disk
from tests.peers.process import PeerError

PATIENCE = 90.0
"""Seconds within which a server is ready, or a cluster has leaders, on a busy machine."""


class Reserved:
    """A port of loopback that nobody else gets: bound, never listening, so that a server may listen on it."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give it back."""
        self._socket.close()


class NatsServer:
    """One server. `access` is what its configuration says of users; it starts with the `with` block.

    `sync_interval`: `always`, or a duration such as `2m`; None for the server's own. `tls`: certificate and key.
    `disk`: has what it stores, and may lose power.
    """

    def __init__(
        self,
        directory: Path,
        name: str = "n1",
        *,
        sync_interval: str | None = None,
        tls: tuple[Path, Path] | None = None,
        access: str = "",
        more: str = "",
        disk: Disk | None = None,
    ) -> None:
        self.name, self.directory = name, directory
        self._disk = disk
        self.client, self.route, self._monitor = Reserved(), Reserved(), Reserved()
        self._settings = (sync_interval, tls)
        self.access = access
        self._more = more
        self.routes: Sequence[int] = ()
        """Ports of the routes of a cluster's servers, this one's too."""
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"{'tls' if self._settings[1] else 'nats'}://127.0.0.1:{self.client.port}"

    @property
    def running(self) -> bool:
        """Whether it has been started, and not been killed since."""
        return self._process is not None

    @property
    def cpu(self) -> float:
        """Seconds of CPU that its process has had."""
        assert self._process is not None
        fields = (
            Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def start(self, *, wait: bool = True) -> None:
        """Start it, again too, on the same port and the same files; `wait` until it is ready."""
        assert self._process is None
        configuration = self.directory / "nats.conf"
        configuration.write_text(self._configuration(), encoding="utf-8")
        prefix = self._disk.prefix if self._disk is not None else []
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*prefix, str(tools.require("nats-server")), "-c", str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until JetStream is ready: recovered, and current where it is a cluster's.

        Raises:
            PeerError: it has ended, or was not ready within PATIENCE.
        """
        self.wait_until(lambda: self.monitor("healthz").get("status") == "ok", "is not ready")

    def wait_until(self, true: Callable[[], bool], why: str) -> None:
        """Wait until `true`; the server may refuse or not answer meanwhile.

        Raises:
            PeerError: it has ended, or PATIENCE was over.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise self.failure("has ended")
            with contextlib.suppress(OSError, ValueError):
                if true():
                    return
            time.sleep(0.02)  # another process has no Event
        raise self.failure(why)

    def monitor(self, path: str) -> dict[str, Any]:
        """What the server's monitoring answers, such as `jsz`; an error's body too."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._monitor.port}/{path}", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                found = json.load(error)
        return found

    def failure(self, why: str) -> PeerError:
        """An error that says why, with the end of the log."""
        log = (self.directory / "log").read_text(encoding="utf-8", errors="replace")
        return PeerError(f"nats-server {self.name} {why}\n{log[-4000:]}")

    def kill(self) -> None:
        """SIGKILL, waited for; what it had not synced stays in the kernel's cache."""
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            process.wait(60)

    def cut_power(self) -> None:
        """It is gone, and so is what it had not synced; `start` has the rest."""
        assert self._disk is not None
        assert self._process is not None
        self._disk.cut([self._process.pid])
        self.kill()
        self._disk.back()

    def stop(self) -> None:
        """Silence: it holds its connections and answers nothing, as behind a partition."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """Let it go on after `stop`."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def reload(self) -> None:
        """Read the configuration again: `access` may have changed. The log says when it is in force."""
        assert self._process is not None
        (self.directory / "nats.conf").write_text(self._configuration(), encoding="utf-8")
        log = self.directory / "log"
        before = log.read_text(encoding="utf-8").count("Reloaded server configuration")
        os.kill(self._process.pid, signal.SIGHUP)
        self.wait_until(
            lambda: log.read_text(encoding="utf-8").count("Reloaded server configuration") > before,
            "did not reload",
        )

    def close(self) -> None:
        """End it by SIGKILL, and give its ports back."""
        self.kill()
        for port in (self.client, self.route, self._monitor):
            port.close()

    def _configuration(self) -> str:
        sync, tls = self._settings
        lines = [
            f"server_name: {self.name}",
            f"listen: 127.0.0.1:{self.client.port}",
            f"http: 127.0.0.1:{self._monitor.port}",
            f'jetstream {{ store_dir: "{(self._disk.path if self._disk else self.directory) / "store"}"',
            "max_memory_store: 64MB, max_file_store: 16GB",
            *([f"sync_interval: {sync}"] if sync is not None else []),
            "}",
            self.access,
            self._more,
        ]
        if tls is not None:
            lines.append(f'tls {{ cert_file: "{tls[0]}", key_file: "{tls[1]}", timeout: 10 }}')
        if self.routes:
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.routes)
            lines.append(f"cluster {{ name: test, listen: 127.0.0.1:{self.route.port}, routes: [{others}] }}")
        return "\n".join(lines) + "\n"


class NatsCluster:
    """Three servers that are one JetStream, or as many as `disks`, or one; a server is stopped and started by itself."""

    def __init__(self, directory: Path, disks: Sequence[Disk | None] = (None,) * 3, **options: Any) -> None:
        self.servers = [
            NatsServer(directory / f"n{number}", f"n{number}", disk=disk, **options)
            for number, disk in enumerate(disks, 1)
        ]
        for server in self.servers if len(self.servers) > 1 else ():
            server.routes = [one.route.port for one in self.servers]

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start(wait=False)
            for server in self.servers:
                server.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def urls(self) -> list[str]:
        """Where clients connect."""
        return [server.url for server in self.servers]

    def others(self, server: NatsServer) -> list[NatsServer]:
        """All but this one."""
        return [one for one in self.servers if one is not server]

    def cut_power(self) -> None:
        """All are gone at once, with what they had not synced, and come back."""
        for server in self.servers:
            server.stop()
        for server in self.servers:
            server.cut_power()
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_ready()

    def leader(self, stream: str) -> NatsServer:
        """The server that leads the stream, once there is one.

        Raises:
            PeerError: there was none within PATIENCE.
        """
        found: list[NatsServer] = []

        def led() -> bool:
            for server in self._running():
                with contextlib.suppress(OSError, ValueError):
                    found.extend(
                        self._named(name) for name in _leaders(server.monitor("jsz?streams=1"), stream)
                    )
                    if found:
                        return True
            return False

        next(self._running()).wait_until(led, f"knows no leader of {stream}")
        return found[0]

    def close(self) -> None:
        """End all."""
        for server in self.servers:
            server.close()

    def _running(self) -> Iterator[NatsServer]:
        return (server for server in self.servers if server.running)

    def _named(self, name: str) -> NatsServer:
        return next(server for server in self.servers if server.name == name)


def _leaders(answer: dict[str, Any], stream: str) -> Iterator[str]:
    for account in answer.get("account_details", ()):
        for detail in account.get("stream_detail", ()):
            leader = detail.get("cluster", {}).get("leader")
            if detail["name"] == stream and leader:
                yield leader
