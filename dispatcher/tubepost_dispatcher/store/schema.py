"""The tables of a database, and the versions that there were of them."""

from __future__ import annotations

from typing import Final

APPLICATION: Final = 0x74756270
"""`application_id` of our files: "tubp"."""
SCHEMA: Final = 2
"""`user_version`. This release reads its own and older ones: version 1 had no bundles."""
BUNDLES_SINCE: Final = 2
"""The first version with bundles."""
_FROM_1: Final = """
CREATE TABLE queue(
  key INTEGER PRIMARY KEY, message_id TEXT NOT NULL, domain TEXT NOT NULL, sender TEXT NOT NULL,
  accepted REAL NOT NULL, due REAL NOT NULL, expires REAL NOT NULL, attempt INTEGER NOT NULL,
  lane INTEGER NOT NULL, reason TEXT NOT NULL DEFAULT '', route TEXT NOT NULL DEFAULT '',
  hold TEXT NOT NULL DEFAULT '', crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX queue_lane ON queue(lane, due, key, expires);
CREATE TABLE damaged AS SELECT * FROM queue;
CREATE TABLE gone(key INTEGER PRIMARY KEY);
CREATE TABLE salvage(name TEXT PRIMARY KEY, done_to INTEGER NOT NULL);
CREATE TABLE keys(least INTEGER NOT NULL);
"""
"""`gone`: keys that ended before they were salvaged. `keys`: no key below `least` is for a new entry."""
_FROM_2: Final = """
CREATE TABLE bundle(first INTEGER PRIMARY KEY, count INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE bundle_gone(id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, keys BLOB NOT NULL);
"""
"""For these see `bundle_table`."""


def made_since(version: int) -> str:
    """The statements that make a database of an older version, 0 for an empty one, one of this release."""
    return _FROM_2 if version else _FROM_1 + _FROM_2
