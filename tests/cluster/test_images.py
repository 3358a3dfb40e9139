from __future__ import annotations

from pathlib import Path, PurePosixPath

from tests.cluster.images import BuildContext, image_name
from tests.cluster.layout import PROJECT


def test_a_context_holds_what_the_ignore_file_keeps_but_not_what_it_drops(tmp_path: Path) -> None:
    for name in (
        "README.md",
        "src/a.py",
        "src/__pycache__/a.pyc",
        "src/deep/b.pyc",
        "src/deep/b.py",
        "tests/t.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    context = BuildContext("# all\n*\n!README.md\n!src/\n**/__pycache__/\n**/*.pyc\n")
    found = [path.relative_to(tmp_path).as_posix() for path in context.files(tmp_path)]
    assert found == ["README.md", "src/a.py", "src/deep/b.py"]


def test_the_projects_context_has_every_package_and_no_tests() -> None:
    context = BuildContext((PROJECT / "images" / "Dockerfile.dockerignore").read_text())
    found = {path.relative_to(PROJECT).as_posix() for path in context.files(PROJECT)}
    packages = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("*/tubepost_*/__init__.py")}
    assert packages
    assert packages <= found
    assert not [name for name in found if name.startswith(("tests/", ".venv/", ".git/"))]


def test_every_copied_file_is_in_the_context() -> None:
    context = BuildContext((PROJECT / "images" / "Dockerfile.dockerignore").read_text())
    found = {path.relative_to(PROJECT).as_posix() for path in context.files(PROJECT)}
    copies = [
        line.split()[1:-1] for line in (PROJECT / "images" / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
    ]  # fmt: skip
    names = {name for copied in copies for name in copied if name != "."}
    assert names
    directories = {str(parent) for name in found for parent in PurePosixPath(name).parents}
    assert names <= found | directories


def test_images_have_the_names_that_pods_use() -> None:
    assert image_name("dispatcher") == "localhost/tubepost-dispatcher:test"
