from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tests.dispatcher.bundles import SECRETS, bundle
from tubepost_api.problems import Problem, ProblemCode
from tubepost_dispatcher.config.source import Loaded, MountedSource
from tubepost_dispatcher.supervisor.file_watch import fingerprint


class Mount:
    """A volume as the kubelet writes it: versions in directories, one link that is swapped."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.number = 0
        directory.mkdir(parents=True)

    def write(self, files: dict[str, bytes]) -> None:
        old = sorted(self.directory.glob("..2*"))
        self.number += 1
        version = self.directory / f"..2026_{self.number:02d}"
        version.mkdir()
        for name, data in files.items():
            (version / name).write_bytes(data)
        (self.directory / "..data_tmp").symlink_to(version.name)
        (self.directory / "..data_tmp").replace(self.directory / "..data")
        for name in files:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        for gone in old:
            for file in gone.iterdir():
                file.unlink()
            gone.rmdir()


class Pod:
    def __init__(self, directory: Path) -> None:
        self.config = Mount(directory / "config")
        self.secrets = {name: Mount(directory / "secrets" / name) for name in SECRETS}
        self.config.write({"config.json": bundle().config.to_json().encode()})
        for name, keys in SECRETS.items():
            self.secrets[name].write(keys)
        self.source = MountedSource(directory / "config", directory / "secrets")


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path)


def test_a_mounted_configuration_is_what_was_written(pod: Pod) -> None:
    loaded = pod.source.load()
    assert loaded.problems == ()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets == SECRETS
    assert loaded.bundle.digest() == bundle().digest()


def test_a_swap_of_any_mounted_object_is_seen_and_read(pod: Pod) -> None:
    before = fingerprint(pod.source.paths)
    pod.secrets["token"].write({**SECRETS["token"], "teamId": b"TEAM654321"})
    after = fingerprint(pod.source.paths)
    assert after != before
    loaded = pod.source.load()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets["token"]["teamId"] == b"TEAM654321"
    pod.config.write({"config.json": bundle(log_level="Debug").config.to_json().encode()})
    assert fingerprint(pod.source.paths) != after
    loaded = pod.source.load()
    assert loaded.bundle is not None
    assert loaded.bundle.config.log_level == "Debug"


def test_certificate_and_key_are_of_one_version_when_the_swap_comes_between(
    pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount, read = pod.secrets["cert"], Path.read_bytes
    swapped = []

    def swap_after_the_first(path: Path) -> bytes:
        data = read(path)
        if path.name.startswith("tls.") and not swapped:
            swapped.append(path)
            mount.write({"tls.crt": b"new certificate", "tls.key": b"new key"})
        return data

    monkeypatch.setattr(Path, "read_bytes", swap_after_the_first)
    loaded = pod.source.load()
    assert swapped
    assert loaded.bundle is not None
    assert loaded.bundle.secrets["cert"] == {"tls.crt": b"new certificate", "tls.key": b"new key"}


def test_an_optional_secret_that_is_not_there_yet(pod: Pod, tmp_path: Path) -> None:
    source = MountedSource(tmp_path / "config", tmp_path / "elsewhere")
    loaded = source.load()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets == {}
    before = fingerprint(source.paths)
    # The mount point of an optional Secret exists, empty, from the beginning.
    (tmp_path / "elsewhere" / "cert").mkdir(parents=True)
    assert fingerprint(source.paths) == before
    loaded = source.load()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets == {}
    (tmp_path / "elsewhere" / "cert" / "tls.crt").write_bytes(b"x")
    assert fingerprint(source.paths) != before
    loaded = source.load()
    assert loaded.bundle is not None
    assert loaded.bundle.secrets == {"cert": {"tls.crt": b"x"}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "Invalid JSON"),
        (b"\xff", "cannot be read"),
        (b'{"name": 3}', "errors"),
        (bundle(schema_version=99).config.to_json().encode(), "schemaVersion 99"),
    ],
)
def test_a_broken_document_is_a_problem_and_no_exception(pod: Pod, text: bytes, words: str) -> None:
    pod.config.write({"config.json": text})
    loaded = pod.source.load()
    assert loaded.bundle is None
    (problem,) = loaded.problems
    assert words in str(problem)
    assert problem.remedy


def test_a_document_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    loaded = MountedSource(tmp_path / "none", tmp_path).load()
    assert loaded.bundle is None
    assert "ConfigMap" in loaded.problems[0].remedy


def test_an_absent_secret_is_told_once() -> None:
    absent = problem("warning", "Secret 'a' is not in the manifests", ProblemCode.SECRET_NOT_FOUND, "a")
    other = problem("warning", "Secret 'b' is not in the manifests", ProblemCode.SECRET_NOT_FOUND, "b")
    plain = problem("warning", "something else", ProblemCode.OTHER, "a")
    loaded = Loaded(None, (absent, other, plain))
    found = (problem("error", "Secret 'a' does not exist", ProblemCode.SECRET_NOT_FOUND, "a"),)
    assert loaded.beside(found) == (other, plain)
    assert loaded.beside(()) == loaded.problems


def problem(severity: Literal["error", "warning"], message: str, code: ProblemCode, secret: str) -> Problem:
    return Problem(severity, "", "ApnRoute", "default", "apns", "", message, "", code, secret)
