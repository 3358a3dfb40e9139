"""Pages written by hand name things that exist: links and their anchors, files and directories of the repository."""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.manifests import compiled, push_domain, route, warnings
from tubepost_api.config import AcceptanceMode, AcceptanceOverflow, DeliveryConfig
from tubepost_api.podtemplate import PodTemplateSpec
from tubepost_api.resource import API_VERSION
from tubepost_dispatcher.delivery.schedule import Schedule
from tubepost_dispatcher.metrics import CATALOG
from tubepost_operator.metrics import CATALOG as OPERATORS
from tubepost_operator.names import Names

ROOT = Path(__file__).resolve().parents[1]
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^ {4}\S.*$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]+)*(\.(py|md|yaml|lock|toml)|/)|(?:[a-z_]+/)+[a-z_]+")


@cache
def files() -> frozenset[str]:
    """Every file of the repository, tracked or new, and every directory with one in it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    found = {name for name in listed if (ROOT / name).exists()}
    return frozenset(found | {str(parent) for name in found for parent in Path(name).parents})


def pages() -> list[str]:
    return sorted(
        name
        for name in files()
        if name.endswith(".md") and not name.startswith(("docs/reference/", "scripts/", ".github/"))
    )


def headings(text: str) -> set[str]:
    """Anchors as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*)$", _FENCE.sub("", text), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).strip().replace(" ", "-") for title in titles
    }


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in _LINK.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name).resolve() if name else path
        assert other.exists(), target
        if anchor:
            assert anchor in headings(other.read_text(encoding="utf-8")), target


@pytest.mark.parametrize(
    "page", [page for page in pages() if not page.startswith(("charts/", "examples/", "tests/"))]
)
def test_files_that_are_named_exist(page: str) -> None:
    """A name may leave out the directories before it: `lease.py`, `apns/pool`."""
    text = _INDENTED.sub("", _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8")))
    missing = [
        name
        for name in _CODE.findall(text)
        if _FILE.fullmatch(name)
        and name.rstrip("/") not in files()
        and not any(file.endswith("/" + name.rstrip("/")) for file in files())
        and not list(ROOT.glob(name))
    ]
    assert missing == []


def test_every_import_contract_is_on_the_architecture_page() -> None:
    contracts = re.findall(
        r"^\[importlinter:contract:(.+)\]$", (ROOT / ".importlinter").read_text(), re.MULTILINE
    )
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [name for name in contracts if f"`{name}`" not in page] == []


# -- docs/queue.md ------------------------------------------------------------------------------------

QUEUE = (ROOT / "docs" / "queue.md").read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """Indented blocks, without the indentation."""
    found = re.findall(r"(?:(?<=\n\n)|\A)((?: {4}.*\n|\n(?= {4}))+)", text)
    return [textwrap.dedent(block) for block in found]


def specs() -> list[dict[str, Any]]:
    """Blocks of the page about the queue that are parts of a PushDomain's spec."""
    parts = [yaml.safe_load(block) for block in blocks(QUEUE) if re.match(r"[a-z]+:\n", block)]
    return [part for part in parts if isinstance(part, dict)]


def test_parts_of_a_spec_on_the_page_about_the_queue_compile() -> None:
    configs = []
    for spec in specs():
        result = compiled(push_domain(**spec), route())
        assert result.config is not None, result.problems
        assert warnings(result) == []
        configs.append(result.config)
    # Two queues of mode Queued, one of overflow, and the schedule.
    assert [config.acceptance.mode for config in configs].count(AcceptanceMode.QUEUED) == 2
    assert [config.acceptance.overflow for config in configs].count(AcceptanceOverflow.QUEUE) == 1
    (schedule,) = [config for config in configs if config.queue is None]
    assert schedule.entries[0].delivery == DeliveryConfig()  # "with these defaults"


def seconds(text: str) -> float:
    return sum(
        int(number) * {"m": 60, "h": 3_600}[unit] for number, unit in re.findall(r"([0-9]+)([mh])", text)
    )


def test_the_table_of_attempts_is_the_schedule() -> None:
    rows = re.findall(r"^\| ([0-9]+) \| (\S+) \| (\S+) \| (\S+) \| (\S+) \|$", QUEUE, re.MULTILINE)
    options = DeliveryConfig()
    schedule = Schedule.of(options)
    policy = schedule.policy()
    waits = [0.0] + [policy.wait(attempt, 0.5) for attempt in range(1, 30)]
    numbers = [int(row[0]) for row in rows]
    assert numbers[:8] == list(range(1, 9))
    for number, row in zip(numbers, rows, strict=True):
        _, wait, earliest, latest, total = (seconds(text) for text in row)
        before = number - 1
        assert wait == waits[before], row
        assert earliest == (policy.wait(before, 0.0) if before else 0), row
        assert latest == (policy.wait(before, 1.0) if before else 0), row
        assert total == sum(waits[:number]), row
    # The last row is the last attempt that fits.
    assert sum(waits[: numbers[-1]]) <= options.message_expiration < sum(waits[: numbers[-1] + 1])


@pytest.mark.parametrize(
    "page",
    [
        "bounces.md",
        "queue.md",
        "routes.md",
        "listener.md",
        "grafana.md",
        "sidecar.md",
        "install.md",
        "scaling.md",
        "sizing.md",
        "upgrade.md",
        "backup.md",
        "pools.md",
        "safe.md",
    ],
)
def test_metrics_and_alerts_that_a_page_names_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    known = {spec.name + suffix for spec in (*CATALOG, *OPERATORS) for suffix in ("", "_total", "_bucket")}
    named = set(re.findall(r"\btubepost_[a-z0-9_]+[a-z0-9]\b", text))
    assert {name for name in named if name not in known} == set()
    alerts = {
        alert["alert"] for alert in yaml.safe_load((ROOT / "charts/tubepost/files/alerts.yaml").read_text())
    }
    assert set(re.findall(r"\bTubepost[A-Z][A-Za-z]+\b", text)) - alerts == set()


def test_manifests_on_the_page_about_scaling_aim_at_what_there_is() -> None:
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    blocks = [
        yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]
    assert len(blocks) == 5
    targets = [block["spec"]["scaleTargetRef"] for block in blocks if "spec" in block]
    assert targets == [{"apiVersion": API_VERSION, "kind": "PushDomain", "name": "alerts"}] * 2
    rules = {rule["name"]["as"] for block in blocks for rule in block.get("rules", {}).get("external", [])}
    assert rules <= {spec.name for spec in CATALOG}
    (external,) = [block["metrics"][0]["external"] for block in blocks if "metrics" in block]
    assert external["metric"]["name"] in rules
    (template,) = [block["podTemplate"] for block in blocks if "podTemplate" in block]
    spread = PodTemplateSpec.model_validate_json(json.dumps(template)).topology_spread_constraints
    assert spread is not None
    assert spread[0]["labelSelector"]["matchLabels"] == Names.pod_selector("alerts")


# -- the site -----------------------------------------------------------------------------------------


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    docs = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    whole = ("runbooks/", "decisions/")  # scripts/site_links.py lists what is in them
    assert {page for page in docs if not page.startswith(whole)} == set(re.findall(r"[\w/-]+\.md", text))
