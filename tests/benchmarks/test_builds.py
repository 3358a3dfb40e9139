from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import http2_half
from benchmarks.peers import builds


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_contestant_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def make(target: Path) -> None:
        made.append(target)
        (target / "send").write_text("program")

    monkeypatch.setitem(builds.BUILDERS, "go", make)
    with pytest.raises(builds.BuildError, match="not built"):
        builds.built("go")
    target = builds.build("go")
    assert builds.build("go") == target == builds.built("go")
    assert (target / "send").read_text() == "program"
    assert len(made) == 1


def test_why_a_build_failed_is_kept_and_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_target: Path) -> None:
        raise builds.BuildError("no compiler here")

    monkeypatch.setitem(builds.BUILDERS, "rust", fail)
    with pytest.raises(builds.BuildError, match="no compiler here"):
        builds.build("rust")
    with pytest.raises(builds.BuildError, match="no compiler here"):
        builds.built("rust")
    monkeypatch.setitem(builds.BUILDERS, "rust", lambda target: (target / "send").touch())
    assert builds.build("rust") == builds.built("rust")


def test_the_command_says_what_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_target: Path) -> None:
        raise builds.BuildError("no compiler here")

    for language in builds.BUILDERS:
        monkeypatch.setitem(
            builds.BUILDERS,
            language,
            fail if language == "java" else lambda target: target.mkdir(exist_ok=True),
        )
    assert builds.main() == 0
    said = capsys.readouterr()
    assert "java     CANNOT BE HAD: no compiler here" in said.err
    assert "go" in said.out


def test_a_change_of_sources_is_another_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(builds, "HERE", tmp_path)
    (tmp_path / "go").mkdir()
    (tmp_path / "go" / "main.go").write_text("one")
    before = builds.directory("go")
    assert builds.directory("go") == before
    (tmp_path / "go" / "main.go").write_text("two")
    assert builds.directory("go") != before


def test_the_crate_is_changed_in_two_places_or_not_at_all() -> None:
    source = (
        'match self {\n            Endpoint::Production => "api.push.apple.com",\n        }\n'
        "fn default_connector() -> C {\n    HttpsConnectorBuilder::new()\n        .with_webpki_roots()\n}\n"
    )
    changed = builds.patched(source)
    assert "APNS_HOST" in changed
    assert "APNS_CA" in changed
    assert "with_webpki_roots" not in changed
    with pytest.raises(builds.BuildError, match="has changed"):
        builds.patched(source.replace("with_webpki_roots", "with_other_roots"))


def test_a_program_that_is_missing_or_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(builds.BuildError, match="no-such-program is not installed"):
        builds._program("no-such-program")
    with pytest.raises(builds.BuildError, match=r"sh failed: it broke"):
        builds._run(["sh", "-c", "echo it broke >&2; exit 1"], tmp_path)
    assert builds._run(["sh", "-c", "pwd"], tmp_path).strip() == str(tmp_path)


def test_every_build_has_a_sender() -> None:
    for language in builds.BUILDERS:
        (builds.directory(language)).mkdir(parents=True)
    used = set()
    for sender in http2_half.SENDERS.values():
        if sender is http2_half.SENDERS[http2_half.CEILING]:
            continue
        used |= {
            language
            for language in builds.BUILDERS
            if str(builds.directory(language)) in " ".join(sender.command())
        }
    assert used == set(builds.BUILDERS)
