from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tubepost_generate", ROOT / "scripts" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate = _load()


@pytest.mark.parametrize("name", generate.generator_names())
def test_what_is_generated_is_what_is_in_the_repository(name: str) -> None:
    outputs = generate.outputs_of(name)
    assert outputs
    assert generate.differing(outputs) == [], f"run: {generate.REMEDY}"
    for target, text in outputs.items():
        assert text.endswith("\n"), target
        assert not text.endswith("\n\n"), target


def test_the_generators_do_not_overlap() -> None:
    assert generate.collect().keys() >= {"docs/reference/metrics.md", "docs/reference/logger.md"}


def test_generating_twice_gives_the_same() -> None:
    assert generate.collect() == generate.collect()


def test_writing_touches_only_what_differs(tmp_path: Path) -> None:
    outputs = {"a.md": "text\n", "deep/er/b.md": "Zoë\n"}
    assert generate.write(outputs, tmp_path) == ["a.md", "deep/er/b.md"]
    assert (tmp_path / "deep/er/b.md").read_bytes() == "Zoë\n".encode()
    assert generate.write(outputs, tmp_path) == []
    (tmp_path / "a.md").write_text("text\r\n")
    assert generate.differing(outputs, tmp_path) == ["a.md"]


def test_check_names_the_files_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "collect", lambda names: {"docs/reference/none.md": "x\n"})
    assert generate.main(["--check"]) == 1
    error = capsys.readouterr().err
    assert "docs/reference/none.md: not what the code generates" in error
    assert "Remedy: make generate" in error
    assert not (ROOT / "docs/reference/none.md").exists()


def test_check_is_silent_when_all_is_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check", "metrics_reference", "logger_reference"]) == 0
    assert capsys.readouterr() == ("", "")


def test_an_unknown_generator(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        generate.main(["nonsense"])
    assert "no generator 'nonsense'; there are: " in capsys.readouterr().err


def test_faulty_generators(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(generate, "GENERATORS", tmp_path)
    (tmp_path / "a.py").write_text("def outputs():\n    return {'x.md': 'x'}\n")
    (tmp_path / "b.py").write_text("def outputs():\n    return {'x.md': 'y'}\n")
    with pytest.raises(ValueError, match=r"another one makes too: x\.md"):
        generate.collect()
    (tmp_path / "b.py").write_text("def outputs():\n    return {'../x.md': 'y'}\n")
    with pytest.raises(ValueError, match="outside the repository"):
        generate.collect()
