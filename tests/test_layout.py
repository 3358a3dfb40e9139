"""The layout: tests mirror the packages, module for module, and files have at most 400 lines.

`a/b.py` is tested by `a/test_b.py`, or says here by what.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "crds/tubepost_api": "api",
    "credentials/tubepost_credentials": "credentials",
    "runtime/tubepost_runtime": "runtime",
    "dispatcher/tubepost_dispatcher": "dispatcher",
    "dispatcher/tubepost_policy": "policy",
    "operator/tubepost_operator": "operator",
    "simulator/tubepost_simulator": "simulator",
    "importer/tubepost_importer": "importer",
    "cli/tubepost_cli": "cli",
}
MAX_LINES = 400
VALUES = "values or protocols, without behaviour of their own"
ENTRY = "an entry point: tests/e2e run it"
ROWS = "rows of a table: tests/dispatcher/reasons/test_catalogue.py goes over all of them"
GOLDEN = "tests/operator/test_golden.py: whole situations and the plans for them"
STORE = "tests/dispatcher/store/test_contract.py and jetstream/test_store.py"
TESTED_ELSEWHERE = {
    "cli/tubepost_cli/demo.py": ENTRY,
    "cli/tubepost_cli/kubectl/cluster.py": VALUES,
    "cli/tubepost_cli/queue_change.py": "tests/cli/test_queue.py",
    "cli/tubepost_cli/queue_options.py": "tests/cli/test_queue.py",
    "cli/tubepost_cli/simulated.py": "tests/dispatcher/supervisor/test_supervisor.py and tests/e2e send to it",
    "crds/tubepost_api/compiled.py": "tests/api/test_config_compatibility.py, and whoever compiles",
    "crds/tubepost_api/config.py": "the same tests",
    "crds/tubepost_api/config_jetstream.py": "the same tests, and tests/api/test_jetstream.py",
    "crds/tubepost_api/config_logger.py": "the same tests",
    "crds/tubepost_api/config_relay.py": "the same tests",
    "credentials/tubepost_credentials/findings.py": "tests/credentials/test_secrets.py",
    "dispatcher/tubepost_dispatcher/acceptance/active.py": VALUES,
    "dispatcher/tubepost_dispatcher/acceptance/base.py": "test_direct.py, test_queued.py and those about mail beside them",
    "dispatcher/tubepost_dispatcher/acceptance/context.py": "the same tests",
    "dispatcher/tubepost_dispatcher/acceptance/queue_port.py": VALUES,
    "dispatcher/tubepost_dispatcher/apns/pool/filling.py": "tests/dispatcher/apns/pool/test_pool.py",
    "dispatcher/tubepost_dispatcher/apns/pool/options.py": VALUES,
    "dispatcher/tubepost_dispatcher/apns/request.py": VALUES,
    "dispatcher/tubepost_dispatcher/bounces/words.py": "tests/dispatcher/bounces/test_report.py",
    "dispatcher/tubepost_dispatcher/channel/messages.py": "tests/dispatcher/channel/test_codec.py encodes and decodes each of them",
    "dispatcher/tubepost_dispatcher/delivery/domain.py": "tests/dispatcher/delivery/test_deliverer.py and test_pools.py",
    "dispatcher/tubepost_dispatcher/delivery/hooks.py": VALUES,
    "dispatcher/tubepost_dispatcher/delivery/listeners.py": VALUES,
    "dispatcher/tubepost_dispatcher/delivery/requests.py": "tests/dispatcher/delivery/test_deliverer.py",
    "dispatcher/tubepost_dispatcher/http/head.py": "tests/dispatcher/http/test_connection.py",
    "dispatcher/tubepost_dispatcher/http/listener.py": "tests/dispatcher/http/test_connection.py and test_server.py",
    "dispatcher/tubepost_dispatcher/intake/mcmt/limits.py": VALUES,
    "dispatcher/tubepost_dispatcher/intake/mcmt/message.py": VALUES,
    "dispatcher/tubepost_dispatcher/pod_limits/local.py": "tests of the listener and of delivery run on it",
    "dispatcher/tubepost_dispatcher/pod_limits/memory.py": "tests/dispatcher/pod_limits/test_shared.py and test_processes.py",
    "dispatcher/tubepost_dispatcher/pod_limits/interface.py": VALUES,
    "dispatcher/tubepost_dispatcher/queue/asking.py": "tests/dispatcher/queue/test_operations.py",
    "dispatcher/tubepost_dispatcher/queue/entries.py": "tests/dispatcher/queue/test_queue.py",
    "dispatcher/tubepost_dispatcher/queue/groups.py": "tests/dispatcher/queue/test_feeder.py, and test_mails.py",
    "dispatcher/tubepost_dispatcher/queue/item.py": "tests/dispatcher/queue/test_queue.py",
    "dispatcher/tubepost_dispatcher/queue/leaving.py": "tests/dispatcher/worker/test_worker_queue.py",
    "dispatcher/tubepost_dispatcher/queue_api_fields.py": "tests/dispatcher/test_queue_api.py",
    "dispatcher/tubepost_dispatcher/queue_step.py": VALUES,
    "dispatcher/tubepost_dispatcher/reasons/acceptance.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/apns.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/commands.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/delivery.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/listener.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/http_status.py": "tests/dispatcher/http/test_problems.py",
    "dispatcher/tubepost_dispatcher/reasons/relay.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/requests.py": ROWS,
    "dispatcher/tubepost_dispatcher/reasons/spec.py": VALUES,
    "dispatcher/tubepost_dispatcher/reply.py": VALUES,
    "dispatcher/tubepost_dispatcher/store/jetstream/claims.py": STORE,
    "dispatcher/tubepost_dispatcher/store/jetstream/holding.py": STORE,
    "dispatcher/tubepost_dispatcher/store/jetstream/opening.py": STORE,
    "dispatcher/tubepost_dispatcher/store/jetstream/puts.py": STORE,
    "dispatcher/tubepost_dispatcher/store/jetstream/reading.py": STORE,
    "dispatcher/tubepost_dispatcher/store/jetstream/settings.py": VALUES,
    "dispatcher/tubepost_dispatcher/store/jetstream/walk.py": STORE,
    "dispatcher/tubepost_dispatcher/transaction.py": VALUES,
    "dispatcher/tubepost_dispatcher/worker/__main__.py": ENTRY,
    "dispatcher/tubepost_dispatcher/worker/program.py": ENTRY,
    "dispatcher/tubepost_policy/constants.py": VALUES,
    "dispatcher/tubepost_dispatcher/policy/host.py": "test_check.py and test_process.py run it",
    "dispatcher/tubepost_dispatcher/policy/rulings.py": "tests/dispatcher/policy/test_hooks.py",
    "dispatcher/tubepost_dispatcher/policy/wire.py": VALUES,
    "importer/tubepost_importer/syntax.py": VALUES,
    "operator/tubepost_operator/__main__.py": ENTRY,
    "operator/tubepost_operator/actions.py": VALUES,
    "operator/tubepost_operator/observed.py": VALUES,
    "operator/tubepost_operator/plan/status_only.py": GOLDEN,
    "simulator/tubepost_simulator/exchange.py": VALUES,
    "simulator/tubepost_simulator/settings.py": VALUES,
}
"""Modules without a test file of their own: what tests them, or why nothing does."""
ABOUT_MORE_THAN_A_MODULE = {
    "tests/cli/kubectl/test_krew.py": "what krew installs",
    "tests/cli/test_man_page.py": "the manual page of all commands",
    "tests/api/test_broken.py": "the wording of problems, as golden files",
    "tests/api/test_effects.py": "every field has an effect",
    "tests/api/test_examples.py": "the files in examples/",
    "tests/dispatcher/feeds/test_loggers_webhook.py": "webhooks beside other loggers",
    "tests/dispatcher/feeds/webhook/test_outbox_stateful.py": "an outbox through crashes, as a state machine",
    "tests/dispatcher/config/test_readers.py": "every field of the compiled document has a reader",
    "tests/dispatcher/delivery/test_toy_store.py": "delivery driven by a store, without SMTP",
    "tests/dispatcher/pod_limits/test_processes.py": "limits with real processes",
    "tests/dispatcher/queue/test_mail_operations.py": "operations on mails that follow notifications",
    "tests/dispatcher/queue/test_on_disk.py": "the whole queue on real partitions",
    "tests/dispatcher/queue/test_stateful.py": "the whole queue through crashes, as a state machine",
    "tests/dispatcher/queue/test_week.py": "a simulated week of the whole queue",
    "tests/dispatcher/supervisor/test_pod_limits.py": "limits with real workers",
    "tests/dispatcher/store/test_contract.py": "what every store does",
    "tests/dispatcher/store/test_stateful.py": "the disk through power cuts, as a state machine",
    "tests/operator/resources/test_effects.py": "every field has an effect",
    "tests/operator/test_argo_cd.py": "a script in docs/install.md",
    "tests/operator/test_golden.py": "whole situations and the plans for them",
    "tests/simulator/test_reference.py": "the generated page",
}
"""Test files that belong to no single module."""


def modules() -> dict[str, str]:
    """Module of the product -> the test file that it should have."""
    found = {}
    for package, directory in PACKAGES.items():
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.name != "__init__.py":
                inside = path.relative_to(ROOT / package)
                test = inside.with_name(f"test_{path.stem.strip('_')}.py")
                found[f"{package}/{inside.as_posix()}"] = f"tests/{directory}/{test.as_posix()}"
    return found


def test_every_package_is_listed() -> None:
    packages = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/tubepost_*/__init__.py")}
    assert packages == set(PACKAGES)


def test_modules_without_a_test_file() -> None:
    missing = {module for module, test in modules().items() if not (ROOT / test).exists()}
    assert missing - TESTED_ELSEWHERE.keys() == set(), "give them one, or say here what tests them"
    assert TESTED_ELSEWHERE.keys() - missing == set(), "they have one: take them off the list"


@pytest.mark.parametrize("package", PACKAGES)
def test_test_files_without_a_module(package: str) -> None:
    """`test_pool_chaos.py` beside `test_pool.py` is about the module `pool`, too."""
    directory = ROOT / "tests" / PACKAGES[package]
    wanted = {ROOT / test for test in modules().values()}
    for path in sorted(directory.rglob("test_*.py")):
        words = path.stem.split("_")
        candidates = {path.with_name("_".join(words[:count]) + ".py") for count in range(2, len(words) + 1)}
        if not candidates & wanted:
            assert path.relative_to(ROOT).as_posix() in ABOUT_MORE_THAN_A_MODULE


def test_files_are_short_enough_to_read() -> None:
    """Tests are exempt: a table of cases may be long."""
    directories = [*(ROOT / package for package in PACKAGES), ROOT / "scripts", ROOT / "benchmarks"]
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for directory in directories
        for path in directory.rglob("*.py")
    }
    assert len(lengths) > 200
    assert {name for name, lines in lengths.items() if lines > MAX_LINES} == set()
