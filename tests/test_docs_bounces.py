"""The page about bounces: its sample is what is sent, its configurations compile, its words exist."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import yaml

from tests.api.manifests import compiled, push_domain, route, warnings
from tubepost_api.bounces import BouncesSpec
from tubepost_dispatcher.bounces.report import Event, Reporter, report
from tubepost_dispatcher.bounces.wishes import wishes_of
from tubepost_dispatcher.notification import Notification, PushPart
from tubepost_dispatcher.outcome import Outcome, OutcomeKind
from tubepost_dispatcher.queue.groups import MOST_MAILS, RELAY
from tubepost_dispatcher.queue.mails import MAIL_EXPIRATION

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "bounces.md").read_text(encoding="utf-8")
ACCEPTED = 1_796_055_600.0
HEADERS = """\
From: shop@corp.example
To: customer@news.push.corp.example
Subject: Your parcel
Message-ID: <order-4711@shop.corp.example>
"""


def blocks() -> list[str]:
    found = re.findall(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)", PAGE)
    return [textwrap.dedent(block) for block in found]


def test_the_sample_is_what_is_sent() -> None:
    notification = Notification(
        PushPart(b"c0ffee" * 11, b"{}"),
        b"4a0c1d2e-7a3b-4c9d-8e1f-0123456789ab",
        "1a22d5eee9d0",
        "shop@corp.example",
        "customer@news.push.corp.example",
        "news.push.corp.example",
        accepted_at=ACCEPTED,
        attempt=1,
        headers=HEADERS.replace("\n", "\r\n"),
        dsn={"ENVID": "row-4711", "ORCPT": "rfc822;customer-17@shop.corp.example"},
    )
    outcome = Outcome(OutcomeKind.PERMANENT, "Unregistered", 410, timestamp=1_795_510_800_000)
    event = Event("bounce", notification, outcome, ACCEPTED + 9, ACCEPTED + 9, peer="api.push.apple.com")
    sent = report(event, Reporter("push.corp.example"), wishes_of(notification.dsn)).content.decode()
    shown = re.sub(r"=_[0-9a-f]+", "=_BOUNDARY", sent.replace("\r\n", "\n"))
    (sample,) = [block for block in blocks() if block.startswith("From: Notification")]
    assert sample.rstrip("\n") == shown.rstrip("\n")


def test_configurations_on_the_page_compile() -> None:
    specs: list[dict[str, Any]] = [
        yaml.safe_load(block) for block in blocks() if re.match(r"(acceptance|bounces):\n", block)
    ]
    assert len(specs) == 2
    for spec in specs:
        result = compiled(push_domain(**spec), route())
        assert result.config is not None, result.problems
        assert warnings(result) == []
        assert result.config.bounces is not None
    # "All that is needed", and everything that there is.
    assert set(specs[0]["bounces"]) == {"relay"}
    fields = {name.removesuffix("_") for name in BouncesSpec.model_fields} - {"enabled"}
    assert {re.sub("([A-Z])", r"_\1", name).lower() for name in specs[1]["bounces"]} == fields


def test_defaults_on_the_page_are_the_models() -> None:
    spec = BouncesSpec()
    assert (spec.enabled, spec.delay_notices, spec.delay_after, spec.direct) == (True, False, "4h", "Reply")
    for text in ("| `enabled` | true |", "| false, 4h |", "| `direct` | Reply |"):
        assert text in PAGE


def test_figures_on_the_page_are_the_codes() -> None:
    assert MAIL_EXPIRATION == 5 * 86_400
    assert f"`{RELAY}`" in PAGE
    assert f"At most {MOST_MAILS} are on their way" in PAGE
