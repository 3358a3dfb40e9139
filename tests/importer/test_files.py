from __future__ import annotations

import pytest

from tubepost_importer import files
from tubepost_importer.files import InMemory, everything, read_configuration
from tubepost_importer.syntax import Include, Option


def configuration(**contents: str) -> files.Configuration:
    return read_configuration("main", InMemory({name: text.encode() for name, text in contents.items()}))


def test_includes_are_followed_wherever_they_stand() -> None:
    found = configuration(main='a = 1\ndomain "x" { include "inner" }', inner="b = 2")
    assert [s.name for _, s in everything(found) if isinstance(s, Option)] == ["a", "b"]
    assert list(found.included.values()) == [("inner",)]


def test_of_a_directory_all_files_are_read() -> None:
    found = read_configuration(
        "main", InMemory({"main": b'include "d"', "d/b": b"b = 2", "d/a": b"a = 1", "e": b"c = 3"})
    )
    assert list(found.included.values()) == [("d/a", "d/b")]


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        ({"main": 'include "nowhere"'}, "no such file"),
        ({"main": 'include "b"', "b": 'include "main"'}, "leads back to main"),
        ({"main": 'include "main"'}, "leads back to main"),
    ],
)
def test_what_cannot_be_followed_is_told(contents: dict[str, str], why: str) -> None:
    assert [w for w in configuration(**contents).not_included.values() if why in w]


def test_a_file_that_is_included_twice_is_read_once() -> None:
    found = configuration(main='include "b"\ninclude "b"', b="a = 1")
    assert len(found.files) == 2
    assert len(found.included) == 2


def test_number_depth_and_size_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = {f"f{n}": f'include "f{n + 1}"' for n in range(100)}
    found = configuration(main='include "f0"', **chain)
    assert len(found.files) <= files.DEEPEST + 1
    assert any("in a row" in why for why in found.not_included.values())
    monkeypatch.setattr(files, "MOST_FILES", 2)
    assert any(
        "files" in w for w in configuration(main='include "a" include "b"', a="", b="").not_included.values()
    )
    monkeypatch.setattr(files, "MOST_BYTES", 20)
    assert any("MiB" in w for w in configuration(main='include "a"', a="x" * 30).not_included.values())


def test_a_file_that_cannot_be_read_is_told() -> None:
    class Closed(InMemory):
        def read(self, name: str) -> bytes:
            if name == "b":
                raise PermissionError(13, "Permission denied")
            return super().read(name)

    found = read_configuration("main", Closed({"main": b'include "b"', "b": b""}))
    ((include, why),) = found.not_included.items()
    assert isinstance(include, Include)
    assert "b cannot be read (Permission denied)" in why


def test_faults_come_in_the_order_of_the_files() -> None:
    found = configuration(main='x y\ninclude "b"\nz w\n', b="v v")
    assert [str(f.place) for f in found.faults] == ["main:1:1", "main:3:1", "b:1:1"]
