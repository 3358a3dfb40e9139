from __future__ import annotations

from pathlib import Path

from benchmarks import whole_path
from benchmarks.fixtures import DOMAIN, make_fixtures
from tubepost_dispatcher.config.source import MountedSource


def test_what_a_pod_has_mounted_is_what_the_manifests_say(tmp_path: Path) -> None:
    fixtures = make_fixtures(tmp_path)
    mounted = fixtures.mount(fixtures.manifests(4_433, entries=3))
    loaded = MountedSource(mounted / "config", mounted / "secrets").load()
    assert loaded.problems == ()
    assert loaded.bundle is not None
    assert [entry.name for entry in loaded.bundle.config.entries] == [
        "domain1.example",
        "domain2.example",
        DOMAIN,
    ]
    assert loaded.bundle.secrets["apns-key"]["key.p8"] == fixtures.token_key.read_bytes()


def test_a_document_has_more_domains_than_a_push_domain_may_have(tmp_path: Path) -> None:
    fixtures = make_fixtures(tmp_path)
    mounted = fixtures.mount(fixtures.manifests(4_433), 1_000)
    loaded = MountedSource(mounted / "config", mounted / "secrets").load()
    assert loaded.bundle is not None
    names = {entry.name for entry in loaded.bundle.config.entries}
    assert len(names) == 1_000
    assert DOMAIN in names


def test_a_pods_command_reads_that() -> None:
    command = whole_path.in_pod(whole_path.OURS)
    assert command.startswith(
        "{bin}/tubepost run --config {mounted}/config --secrets {mounted}/secrets --port"
    )
    assert whole_path.in_pod("other") == "other"
