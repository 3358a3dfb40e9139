"""Missing tools are skipped loudly where somebody works, and fail where CI runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers import tools

EVERYTHING = [*tools.PROGRAMS, *tools.GO_PEERS, *tools.GO_PROGRAMS, *tools.MODULES]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tools, "_SYSTEM", ())


@pytest.mark.parametrize("tool", EVERYTHING)
def test_a_missing_tool_fails_in_ci(
    nothing_installed: None, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"not installed\. Remedy: scripts/setup-test-tools"):
        tools.require(tool)


def test_a_missing_tool_is_skipped_loudly_elsewhere(
    nothing_installed: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="scripts/setup-test-tools"):
        tools.require("nginx")
    assert "NOT TESTED: nginx is not installed" in capfd.readouterr().err


def test_a_test_that_needs_root_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1)
    with pytest.raises(pytest.fail.Exception, match="not root"):
        tools.require_root()


def test_a_test_that_mounts_fails_in_ci_without_loop_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(tools.os, "geteuid", lambda: 0)
    monkeypatch.setattr(tools.Path, "exists", lambda _: False)
    with pytest.raises(pytest.fail.Exception, match="no loop devices"):
        tools.require_loop_devices()


def test_the_program_tells_what_is_missing(
    nothing_installed: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert tools.main(["--quiet"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("MISSING") == len(EVERYTHING)


def test_a_tool_of_the_cache_is_found(nothing_installed: None, tmp_path: Path) -> None:
    program = tmp_path / "tubepost" / "tools" / "bin" / "swaks"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert tools.require("swaks") == program
