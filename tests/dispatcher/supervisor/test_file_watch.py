from __future__ import annotations

from pathlib import Path

from tubepost_dispatcher.supervisor.file_watch import SETTLE, SETTLE_MOST, Debouncer, fingerprint


def _sig(number: int) -> tuple[tuple[str, int, int, int], ...]:
    return (("file", number, 0, 0),)


def test_a_change_counts_once_it_has_come_to_rest() -> None:
    debouncer = Debouncer(_sig(1))
    assert not debouncer.observe(_sig(1), 0.0)
    assert not debouncer.observe(_sig(2), 1.0)
    assert debouncer.pending
    assert not debouncer.observe(_sig(2), 1.0 + SETTLE / 2)
    assert debouncer.observe(_sig(2), 1.01 + SETTLE)
    assert not debouncer.observe(_sig(2), 2.0 + SETTLE)


def test_changes_one_after_another_are_taken_together() -> None:
    debouncer = Debouncer(_sig(1))
    now, taken = 0.0, 0
    for number in range(2, 6):
        taken += debouncer.observe(_sig(number), now)
        now += SETTLE / 2
    assert taken == 0
    assert debouncer.observe(_sig(5), now + SETTLE)


def test_endless_restlessness_is_taken_after_a_while() -> None:
    debouncer = Debouncer(_sig(1))
    now = 0.0
    for number in range(2, 1000):
        if debouncer.observe(_sig(number), now):
            break
        now += 0.1
    assert now <= SETTLE_MOST + 0.2


def test_a_change_that_was_taken_back_is_no_change() -> None:
    debouncer = Debouncer(_sig(1))
    assert not debouncer.observe(_sig(2), 0.0)
    assert not debouncer.observe(_sig(1), 0.1)
    assert not debouncer.observe(_sig(1), 0.11 + SETTLE)


def test_kubernetes_symlink_swap_is_seen(tmp_path: Path) -> None:
    mount = tmp_path / "secret"
    mount.mkdir()
    for number in (1, 2):
        data = mount / f"..2026_0{number}"
        data.mkdir()
        (data / "tls.crt").write_text("same size")
    (mount / "..data").symlink_to("..2026_01")
    (mount / "tls.crt").symlink_to("..data/tls.crt")
    before = fingerprint([mount])
    assert len(before) == 1
    (mount / "..data_tmp").symlink_to("..2026_02")
    (mount / "..data_tmp").replace(mount / "..data")
    assert fingerprint([mount]) != before


def test_files_that_come_and_go_are_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    nothing = fingerprint([file, tmp_path / "none"])
    file.write_text("x")
    there = fingerprint([file, tmp_path / "none"])
    assert there != nothing
    file.unlink()
    assert fingerprint([file, tmp_path / "none"]) == nothing
