"""The peers as context managers: our Go servers, nginx and nghttpd. All speak HTTP/2 over TLS on loopback."""

from __future__ import annotations

import collections
import contextlib
import socket
from pathlib import Path
from typing import Any

from tests.peers import tools
from tests.peers.process import ControlledProcess, Process


class GoPeer(ControlledProcess):
    """`apnsserver`, `rawpeer` or `sink` with flags given as keywords: `max_streams=1` is `-max-streams=1`."""

    def __init__(self, name: str, certificate: Path, key: Path, **flags: object) -> None:
        options = [f"-{flag.replace('_', '-')}={_flag(value)}" for flag, value in flags.items()]
        super().__init__([str(tools.require(name)), f"-cert={certificate}", f"-key={key}", *options])

    async def answer(self, status: int, reason: str, count: int = 1) -> None:
        """Let the next `count` requests be answered so."""
        await self.call("/answer", {"status": status, "reason": reason, "count": count})

    def go_down(self) -> None:
        """Let `apnsserver` close its port and every connection; what it has counted stays."""
        self.get("/down", method="POST")

    def come_up(self) -> None:
        """Let it open its port again."""
        self.get("/up", method="POST")

    async def go_away(self) -> None:
        """Let a raw peer send GOAWAY now on every connection, with the last stream that it has seen."""
        await self.call("/goaway", method="POST")


class Nginx(Process):
    """nginx, answering 200 to everything.

    `streams` is its stream limit. After `requests` of a connection it sends GOAWAY. It is handed the
    listening socket, since it cannot be asked for any free port.
    """

    def __init__(
        self, directory: Path, certificate: Path, key: Path, *, streams: int = 128, requests: int = 100_000
    ) -> None:
        self.directory = directory
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._socket.getsockname()[1]
        self._log = directory / "access.log"
        configuration = directory / "nginx.conf"
        configuration.write_text(self._configuration(certificate, key, streams, requests), encoding="ascii")
        descriptor = self._socket.fileno()
        super().__init__(
            [
                str(tools.require("nginx")),
                *("-c", str(configuration), "-p", str(directory), "-e", "stderr"),
            ],
            pass_fds=(descriptor,),
            env={"NGINX": f"{descriptor};"},
        )

    def _configuration(self, certificate: Path, key: Path, streams: int, requests: int) -> str:
        temporary = "\n".join(
            f"  {name}_temp_path {self.directory}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
daemon off;
worker_processes 1;
pid {self.directory}/nginx.pid;
events {{ worker_connections 512; }}
http {{
{temporary}
  log_format seen '$status $connection $http_apns_id';
  access_log {self._log} seen;
  server {{
    listen 127.0.0.1:{self.port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    http2_max_concurrent_streams {streams};
    keepalive_requests {requests};
    keepalive_timeout 60s;
    location / {{ return 200; }}
  }}
}}
"""

    def ready(self) -> None:
        """Give the socket up: connections wait in it until nginx takes them."""
        self._socket.close()

    def stop(self) -> None:
        """End nginx, and close the socket if it was never handed over."""
        with contextlib.suppress(OSError):
            self._socket.close()
        super().stop()

    def answered(self) -> collections.Counter[str]:
        """How often each apns-id was answered 200, from the access log."""
        rows = [row.split() for row in self._log.read_text(encoding="ascii").splitlines()]
        return collections.Counter(row[2] for row in rows if row[0] == "200")

    def connections(self) -> int:
        """How many connections had requests."""
        return len({row.split()[1] for row in self._log.read_text(encoding="ascii").splitlines()})


class Nghttpd(Process):
    """nghttpd of the nghttp2 project: 200 to every POST, with the request's body as the answer's."""

    def __init__(
        self, certificate: Path, key: Path, *, streams: int = 100, padding: int = 0, window_bits: int = 16
    ) -> None:
        arguments: list[Any] = ["--echo-upload", f"--max-concurrent-streams={streams}", "-a", "127.0.0.1"]
        arguments += [f"--padding={padding}"] if padding else []
        arguments += [f"--window-bits={window_bits}", f"--connection-window-bits={window_bits}"]
        super().__init__([str(tools.require("nghttpd")), *arguments, "0", str(key), str(certificate)])

    def ready(self) -> None:
        """Find the port that the system gave."""
        self.port = self.listening()


def _flag(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
