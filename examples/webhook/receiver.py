#!/usr/bin/env python3
"""A receiver of Tubepost's webhook that keeps a table of device tokens in SQLite. Standard library only.

    receiver.py --database tokens.db register TOKEN USER
    receiver.py --database tokens.db list
    receiver.py --database tokens.db serve --key-file signature-key [--key-file the-key-before] [--port 8080]

A request is taken when its signature is right and fresh, as a whole or not at all: 204 is said after the
commit. An event that came before is passed over, since Tubepost sends at least once. A dead token is removed
only if APNs found it dead after the app registered it last: the device may have registered it anew meanwhile.

Take it as a start for your own. Put it behind a TLS proxy, and let it listen to that alone.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import json
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST_BYTES = 16 * 1024 * 1024  # of a request; Tubepost sends about 1 MiB at most
FRESH = 300  # seconds that a signature is good for: clocks differ, and a recorded request must not work later
REMEMBERED = 14 * 24 * 3600  # seconds that an event is remembered: longer than an outbox keeps it

TABLES = """
CREATE TABLE IF NOT EXISTS tokens(token TEXT PRIMARY KEY, user TEXT NOT NULL, registered_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS seen(id TEXT PRIMARY KEY, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS seen_at ON seen(at);
"""


@contextlib.contextmanager
def database(path: str) -> Iterator[sqlite3.Connection]:
    """A transaction: everything inside, or nothing."""
    connection = sqlite3.connect(path, timeout=10)
    try:
        connection.executescript(TABLES)
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            yield connection
    finally:
        connection.close()


def register(path: str, token: str, user: str, now_ms: int) -> None:
    """The app on a device has registered: what your app server calls with the token that the app sends."""
    with database(path) as tables:
        tables.execute("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", (token.lower(), user, now_ms))


def take(path: str, events: list[dict[str, Any]], now: float) -> int:
    """Work through the events of a request; returns how many of them were new."""
    new = 0
    if not isinstance(events, list):
        raise TypeError("a batch is a list of events")
    with database(path) as tables:
        for event in events:
            identity = f"{event['source']} {event['id']}"
            if not tables.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (identity, int(now))).rowcount:
                continue
            new += 1
            token, since = event["data"].get("deadToken"), event["data"].get("deadTokenTimestamp")
            if token and since:
                # Registered after that: the device is back, and the event is about its past.
                tables.execute("DELETE FROM tokens WHERE token = ? AND registered_ms < ?", (token, since))
        tables.execute("DELETE FROM seen WHERE at < ?", (int(now) - REMEMBERED,))
    return new


def is_signed(header: str, body: bytes, keys: Sequence[bytes], now: float) -> bool:
    """Whether one of the keys made the signature, lately."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    timestamp, given = fields.get("t", ""), fields.get("v1", "")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > FRESH:
        return False
    signed = timestamp.encode() + b"." + body
    return any(
        hmac.compare_digest(hmac.new(key, signed, hashlib.sha256).hexdigest().encode(), given.encode())
        for key in keys
    )


class Handler(BaseHTTPRequestHandler):
    """POST with a batch of CloudEvents."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    path_of_database = ""
    keys: tuple[bytes, ...] = ()

    def do_POST(self) -> None:
        """Take a batch, or say why not."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
            self.answer(413)
            return
        body, now = self.rfile.read(int(length)), time.time()
        if not is_signed(self.headers.get("Tubepost-Signature", ""), body, self.keys, now):
            self.answer(401)
            return
        try:
            take(self.path_of_database, json.loads(body), now)
        except (ValueError, TypeError, KeyError, AttributeError):
            self.answer(400)  # it was signed, and is none of Tubepost's batches: sending it again is no use
        except sqlite3.Error as error:
            print(f"database: {error}", file=sys.stderr)
            self.answer(503)  # it is sent again
        else:
            self.answer(204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Keeps a table of device tokens by Tubepost's events.")
    parser.add_argument("--database", required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    registering = commands.add_parser("register")
    registering.add_argument("token")
    registering.add_argument("user")
    commands.add_parser("list")
    serving = commands.add_parser("serve")
    serving.add_argument("--key-file", required=True, action="append", type=Path)
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", default=8080, type=int)
    arguments = parser.parse_args()
    if arguments.command == "register":
        register(arguments.database, arguments.token, arguments.user, int(time.time() * 1000))
    elif arguments.command == "list":
        with database(arguments.database) as tables:
            for token, user in tables.execute("SELECT token, user FROM tokens ORDER BY user"):
                print(user, token)
    else:
        Handler.path_of_database = arguments.database
        Handler.keys = tuple(path.read_bytes().rstrip(b"\r\n") for path in arguments.key_file)
        server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
        print(f"listening on http://{arguments.host}:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
