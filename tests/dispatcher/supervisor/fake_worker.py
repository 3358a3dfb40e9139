"""Stands in a worker's place: speaks its side of the channel, and fails in the ways that are asked for."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

MODE = os.environ["TUBEPOST_FAKE_WORKER"]
COUNTED = {"tubepost_push_parts_total": [[[], 5.0]]}
PADDING = {"tubepost_attempts_total": [[["x" * 1_000], 0.0] for _ in range(2_000)]}


def _read(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise SystemExit(0)
        data += piece
    return data


def _send(line: socket.socket, kind: str, reply_to: int = 0, **fields: Any) -> None:
    data = json.dumps({"message": {"type": kind, **fields}, "reply_to": reply_to}).encode()
    line.sendall(len(data).to_bytes(4, "big") + data)


def _take(line: socket.socket, count: int) -> None:
    _, fds, _, _ = socket.recv_fds(line, 1, count + 1)
    for fd in fds:
        os.close(fd)


def main() -> None:
    """Arguments as a worker's; the mode is in the environment."""
    if MODE == "crash":
        raise SystemExit(3)
    line = socket.socket(fileno=int(sys.argv[3]))
    fd_line = socket.socket(fileno=int(sys.argv[4]))
    while True:
        envelope = json.loads(_read(line, int.from_bytes(_read(line, 4), "big")))
        message, request = envelope["message"], envelope["request"]
        match message["type"]:
            case "start":
                _take(fd_line, message["sockets"])
                if MODE == "obstructed":
                    _send(line, "queueState", partitions={"0": "no space"}, obstacle="the queue: no space")
                if MODE != "deaf" and not (MODE == "first alone" and message["index"]):
                    _send(line, "ready", request)
            case "sockets":
                _take(fd_line, message["count"])
            case "adopt":
                _send(
                    line, "queueState", partitions={str(slot): "" for slot in message["slots"]}, obstacle=""
                )
            case "configure":
                if MODE == "dies-at-config":
                    raise SystemExit(4)
                _send(line, "configured", request, problems=["not for me"] if MODE == "refuses" else [])
            case "getStatus" if MODE == "confused":
                _send(line, "alive", request)
            case "getStatus":
                _send(line, "status", request, metrics={}, status={"pid": os.getpid()})
            case "drain" if MODE != "stays":
                _send(line, "drained", cut=0, metrics={**COUNTED, **PADDING})
                raise SystemExit(0)
            case _:
                pass


if __name__ == "__main__":
    main()
