"""docs/feed.md: its examples are what the code sends, its commands work, its table is what answers mean."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import yaml

from tests.api.manifests import compiled, push_domain, route, warnings
from tubepost_dispatcher.feeds.events import LogEvent
from tubepost_dispatcher.feeds.webhook.answer import MOST_WAIT, Verdict, judge
from tubepost_dispatcher.feeds.webhook.client import MOST_READ
from tubepost_dispatcher.feeds.webhook.event import CONTENT_TYPE, TYPES, cloud_event
from tubepost_dispatcher.feeds.webhook.outbox import FILE_SIZE, LEAST_FREE
from tubepost_dispatcher.feeds.webhook.signature import HEADER, signature
from tubepost_dispatcher.feeds.webhook.sink import REFUSALS, RETRY_FIRST, SYNC

PAGE = (Path(__file__).parents[1] / "docs" / "feed.md").read_text(encoding="utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"(?<=\n\n)((?: {4}.*\n|\n(?= {4}))+)", PAGE)]


def block(start: str) -> str:
    (found,) = (one for one in BLOCKS if one.startswith(start))
    return found


def test_the_logger_of_the_page_compiles() -> None:
    logger: dict[str, Any] = yaml.safe_load(block("apiVersion"))
    result = compiled(push_domain(loggers=["dead-tokens"]), route(), logger)
    assert result.config is not None, result.problems
    assert [str(one) for one in warnings(result) if "Secret" not in str(one)] == []
    (only,) = result.config.loggers
    assert only.webhook is not None
    assert only.filter.dead_tokens
    assert f"`maxEvents` ({only.webhook.max_events:,})" in PAGE
    assert f"`maxSize` ({only.webhook.max_size // 2**20} MiB)" in PAGE


def test_the_event_of_the_page_is_what_is_sent() -> None:
    shown = json.loads(block("{"))
    data = shown["data"]
    event = LogEvent(
        "permfail",
        1767225600.25,
        message_id=data["messageId"],
        source_address=data["source"],
        destination_address=data["destination"],
        domain=data["domain"],
        device_token=data["deadToken"],
        apns_id=data["apnsId"],
        message_bytes=data["messageBytes"],
        route=data["route"],
        push_domain=data["pushDomain"],
        client_address=data["remoteIp"],
        status=data["status"],
        error=data["error"],
        reason=data["reason"],
        http_status=data["httpStatus"],
        duration_ms=data["durationMs"],
        topic=data["topic"],
        push_type=data["pushType"],
        dead_token_timestamp=data["deadTokenTimestamp"],
        peer=data["peerIp"],
        sent_bytes=data["sentBytes"],
    )
    assert json.loads(cloud_event(event, "default")) == shown
    assert CONTENT_TYPE.partition(";")[0] in PAGE
    assert all(f".{name.rpartition('.')[2]}`" in PAGE for name in TYPES.values())


def test_the_command_of_the_page_makes_our_signature(tmp_path: Path) -> None:
    assert block("Tubepost-Signature").startswith(f"{HEADER}: t=1767225600,v1=")
    key, body = b"throw-away key of 32 characters!", b'[{"id":"1"}]'
    (tmp_path / "signature-key").write_bytes(key + b"\n")
    (tmp_path / "body").write_bytes(body)
    command = "t=1767225600; " + block("(printf")
    told = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert signature(key, 1767225600, body) == f"t=1767225600,v1={told.split()[0]}"


def test_the_table_of_answers_is_what_answers_mean() -> None:
    rows = re.findall(r"^\| ([^|]*[0-9]{3}[^|]*|2xx) \| (.+) \|$", PAGE, re.MULTILINE)
    meant = {
        Verdict.TAKEN: "it is done",
        Verdict.SMALLER: "two halves",
        Verdict.REFUSED: f"sent {['no', 'one', 'two', 'three'][REFUSALS]} times",
        Verdict.AGAIN: "kept and sent again",
    }
    statuses = 0
    for cell, text in rows:
        for word in re.findall(r"\b[2-5](?:[0-9]{2}|xx)\b", cell.replace("other 4xx", "418")):
            status = int(word.replace("xx", "00" if word != "3xx" else "02"))
            assert meant[judge(status, b"", b"", 0.0).verdict] in text, status
            statuses += 1
    assert statuses >= 19


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    assert f"double from {RETRY_FIRST} s" in PAGE
    assert f"within {SYNC} s" in PAGE
    assert MOST_WAIT == 3600.0
    assert "up to an\nhour" in PAGE
    assert f"{MOST_READ // 1024} KiB of\nan answer" in PAGE
    assert f"some {FILE_SIZE // 2**20} MiB" in PAGE
    assert f"the last {LEAST_FREE // 2**20} MiB" in PAGE
