"""Stands in a worker's place: speaks its side of the channel, and fails in the ways that are asked for."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

MODE = os.environ["TUBEPOST_FAKE_WORKER"]
COUNTED = {"tubepost_push_parts_total": [[[], 5.0]]}


def _read(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise SystemExit(0)
        data += piece
    return data


def _send(line: socket.socket, **message: Any) -> None:
    data = json.dumps(message).encode()
    line.sendall(len(data).to_bytes(4, "big") + data)


def main() -> None:
    """Arguments as a worker's; the mode is in the environment."""
    if MODE == "crash":
        raise SystemExit(3)
    line = socket.socket(fileno=int(sys.argv[-2]))
    fd_line = socket.socket(fileno=int(sys.argv[-1]))
    while True:
        message = json.loads(_read(line, int.from_bytes(_read(line, 4), "big")))
        match message["op"]:
            case "sockets":
                _, fds, _, _ = socket.recv_fds(fd_line, 1, message["count"] + 1)
                for fd in fds:
                    os.close(fd)
                if MODE != "deaf":
                    _send(line, op="ready", pid=os.getpid())
            case "config":
                if MODE == "dies-at-config":
                    raise SystemExit(4)
                if MODE == "refuses":
                    _send(line, op="refused", digest="", problems=["not for me"])
                else:
                    _send(line, op="applied", digest="")
            case "snapshot":
                _send(
                    line, op="snapshot", request=message["request"], metrics={}, status={"pid": os.getpid()}
                )
            case "drain" if MODE != "stays":
                _send(line, op="drained", cut=0, metrics=COUNTED, padding="x" * 2_000_000)
                raise SystemExit(0)
            case _:
                pass


if __name__ == "__main__":
    main()
