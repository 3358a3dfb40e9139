from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tubepost_dispatcher.queue import journal_file
from tubepost_dispatcher.queue.journal_file import BEFORE, NAME, JournalFile, search


def line(message_id: str, at: float, *values: object) -> bytes:
    return orjson.dumps([at, message_id, *values]) + b"\n"


def test_lines_are_found_by_message_in_the_order_of_time(tmp_path: Path) -> None:
    file = JournalFile(tmp_path / "00")
    file.append(line("m1", 3.0) + line("m2", 1.0) + line("m1", 2.0))
    other = JournalFile(tmp_path / "01")
    other.append(line("m1", 1.0, '"m2"', ["m2"]))
    directories = (tmp_path / "00", tmp_path / "01", tmp_path / "nowhere")
    assert [found[0] for found in search(directories, "m1")] == [1.0, 2.0, 3.0]
    assert [found[0] for found in search(directories, "m2")] == [1.0]
    assert search(directories, "m") == []


def test_the_file_is_only_ours_to_read(tmp_path: Path) -> None:
    JournalFile(tmp_path).append(line("m1", 1.0))
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_two_generations_are_kept(tmp_path: Path) -> None:
    file = JournalFile(tmp_path, most_bytes=200)
    for number in range(100):
        file.append(line(f"m{number}", number))
    assert {path.name for path in tmp_path.iterdir()} == {NAME, BEFORE}
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 200
    assert search((tmp_path,), "m0") == []
    assert len(search((tmp_path,), "m99")) == 1
    assert search((tmp_path,), "m93"), "it is in one of the two"


def test_two_writers_rotate_it_once(tmp_path: Path) -> None:
    first, second = (JournalFile(tmp_path, most_bytes=100) for _ in range(2))
    for number in range(3):
        first.append(line(f"a{number}", number))
        second.append(line(f"b{number}", number))
    first.append(line("a9", 9.0))  # renames the file that both have open
    second.append(line("b9", 9.0))
    for name in ("a9", "b9"):
        assert len(search((tmp_path,), name)) == 1
    assert NAME in {path.name for path in tmp_path.iterdir()}


def test_it_appends_to_what_is_there_and_opens_again(tmp_path: Path) -> None:
    for number in range(2):
        file = JournalFile(tmp_path)
        file.append(line("m1", number))
        file.close()
        file.close()
        file.append(line("m1", number + 0.5))
    assert len(search((tmp_path,), "m1")) == 4


def test_what_cannot_be_written_is_an_error_and_later_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "00").write_text("in the way")
    file = JournalFile(tmp_path / "00")
    with pytest.raises(OSError, match="00"):
        file.append(line("m1", 1.0))
    (tmp_path / "00").unlink()
    file.append(line("m1", 1.0))
    assert len(search((tmp_path / "00",), "m1")) == 1


def test_the_last_of_the_volume_is_left_to_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = JournalFile(tmp_path)
    monkeypatch.setattr(journal_file, "LEAST_FREE", 2**62)
    with pytest.raises(OSError, match="nearly full"):
        file.append(line("m1", 1.0))
    monkeypatch.undo()
    file.append(line("m2", 1.0))
    assert search((tmp_path,), "m1") == []
    assert len(search((tmp_path,), "m2")) == 1


@pytest.mark.parametrize("chunk", [40, 64, 100, 4_096])
def test_lines_across_chunks_and_broken_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(journal_file, "_CHUNK", chunk)
    lines = b"".join(line(f"m{number % 3}", number) for number in range(30))
    half = line("m1", 99.0)[:-5]
    (tmp_path / NAME).write_bytes(b'[0,"m1"\n{"m1":"m1"}\n["m1"]\n[null,"m1",1]\n' + lines + half)
    assert [found[0] for found in search((tmp_path,), "m1")] == list(range(1, 30, 3))


def test_a_file_without_line_ends_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "_CHUNK", 100)
    (tmp_path / NAME).write_bytes(b"x" * 10_000 + b"\n" + line("m1", 1.0))
    assert len(search((tmp_path,), "m1")) == 1


def test_a_message_that_was_tried_very_often_has_its_latest_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "MOST_FOUND", 3)
    JournalFile(tmp_path).append(b"".join(line("m1", number) for number in range(20)))
    assert [found[0] for found in search((tmp_path,), "m1")] == [17, 18, 19]
