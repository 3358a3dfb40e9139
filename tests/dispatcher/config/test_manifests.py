from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from tubepost_api.problems import Manifest
from tubepost_dispatcher.config import manifests as module
from tubepost_dispatcher.config.manifests import ManifestSecrets, load_manifests

A = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n"


def put(path: Path, text: str | bytes = A) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def kinds(*paths: Path) -> list[str]:
    loaded, problems = load_manifests(paths)
    assert problems == []
    return [manifest.document["kind"] for manifest in loaded]


def test_several_documents_of_one_file(tmp_path: Path) -> None:
    path = put(tmp_path / "a.yaml", "kind: A\n---\n---\nkind: B\n")
    loaded, problems = load_manifests([path])
    assert problems == []
    assert loaded == [Manifest(str(path), 0, {"kind": "A"}), Manifest(str(path), 1, {"kind": "B"})]


def test_a_named_file_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    assert kinds(put(tmp_path / "manifests.txt")) == ["A"]


def test_json(tmp_path: Path) -> None:
    assert kinds(put(tmp_path / "a.json", '{\n\t"kind": "A"}')) == ["A"]


def test_directories_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "sub/d.yaml", "sub/er/e.yaml"):
        put(tmp_path / name, f'{{"kind": "{Path(name).stem}"}}')
    for name in ("README.md", ".hidden.yaml", ".git/x.yaml", "x.yaml~"):
        put(tmp_path / name, "kind: no")
    assert kinds(tmp_path) == ["a", "b", "c"]
    manifests, problems = load_manifests([tmp_path], recursive=True)
    assert [manifest.document["kind"] for manifest in manifests] == ["a", "b", "c", "d", "e"]
    assert problems == []
    _, (problem,) = load_manifests([put(tmp_path / "none/of/a.yaml").parent.parent])
    assert "-R" in problem.remedy
    assert kinds(tmp_path / "c.json", tmp_path / "a.yml") == ["c", "a"]


def test_a_mounted_config_map_is_read_once(tmp_path: Path) -> None:
    put(tmp_path / "..2026_11_23/a.yaml")
    (tmp_path / "..data").symlink_to("..2026_11_23")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert kinds(tmp_path) == ["A"]


def test_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    put(tmp_path / "a.yaml")
    (tmp_path / "again").symlink_to(tmp_path)
    assert kinds(tmp_path) == ["A"]


def test_lists_are_taken_apart(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.yaml",
        "apiVersion: v1\nkind: List\nitems: [{kind: A}, {kind: B}]\n---\n"
        "apiVersion: tubepost.io/v1alpha1\nkind: ApnRouteList\nitems: [{metadata: {name: a}}]\n",
    )
    loaded, problems = load_manifests([path])
    assert problems == []
    assert [manifest.document for manifest in loaded] == [
        {"kind": "A"},
        {"kind": "B"},
        {"apiVersion": "tubepost.io/v1alpha1", "kind": "ApnRoute", "metadata": {"name": "a"}},
    ]
    assert [manifest.index for manifest in loaded] == [0, 1, 2]


def test_a_kind_of_list_without_items_stays(tmp_path: Path) -> None:
    assert kinds(put(tmp_path / "a.yaml", "kind: AllowList\nspec: {}\n")) == ["AllowList"]


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("a: [\n", "line 2, column 1", "is not YAML"),
        ("kind: A\nkind: B\n", "line 2, column 1", "duplicate key 'kind'"),
        ("kind: A\n---\n- kind: B\n", "line 3", "is not an object"),
        ("just text", "line 1", "is not an object"),
        ("kind: List\nitems: [3]\n", "line 1", "is not an object"),
        (b"\xff", "", "UTF-8"),
    ],
)
def test_files_with_something_else(tmp_path: Path, text: str | bytes, field: str, message: str) -> None:
    path = put(tmp_path / "a.yaml", text)
    _, (problem,) = load_manifests([path, put(tmp_path / "b.yaml")])
    assert problem.severity == "error"
    assert problem.origin == str(path)
    assert problem.field == field
    assert message in problem.message


def test_the_other_files_are_read_all_the_same(tmp_path: Path) -> None:
    put(tmp_path / "a.yaml", "a: [")
    put(tmp_path / "b.yaml")
    loaded, problems = load_manifests([tmp_path])
    assert (len(loaded), len(problems)) == (1, 1)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(module, "MAX_FILE_SIZE", 10)
    large = put(tmp_path / "large.yaml")
    loaded, problems = load_manifests([tmp_path / "gone.yaml", tmp_path / "empty", large])
    assert loaded == []
    assert [problem.message for problem in problems] == [
        "cannot be read (no such file or directory)",
        "contains no manifests",
        "is larger than 10 bytes",
    ]


def test_a_fifo_in_a_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    _, (problem,) = load_manifests([tmp_path])
    assert problem.message == "is not a file"


def secret(name: str, namespace: str | None = None, **parts: object) -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return Manifest("a.yaml", 0, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **parts})


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_secrets_are_decoded_and_text_wins() -> None:
    source = ManifestSecrets(
        [
            Manifest("a.yaml", 0, {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": b64("1")}}),
            secret("a", data={"a": b64("1"), "b": b64("2"), "c": None}, stringData={"b": "3", "d": "é"}),
            secret("b"),
        ]
    )
    assert source.get("a") == {"a": b"1", "b": b"3", "c": b"", "d": "é".encode()}
    assert source.get("b") == {}
    assert source.get("c") is None


def test_secrets_are_those_of_a_namespace() -> None:
    both = [secret("a", data={"k": b64("1")}), secret("a", "other", data={"k": b64("2")})]
    assert ManifestSecrets(both).get("a") == {"k": b"1"}
    assert ManifestSecrets(both, "default").get("a") == {"k": b"1"}
    assert ManifestSecrets(both, "other").get("a") == {"k": b"2"}
    assert ManifestSecrets(both, "third").get("a") is None


def test_base64_over_several_lines() -> None:
    text = b64("x" * 200)
    folded = "\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    assert ManifestSecrets([secret("a", data={"k": folded})]).get("a") == {"k": b"x" * 200}


def test_what_is_wrong_with_a_secret_is_told_without_its_content(tmp_path: Path) -> None:
    path = put(
        tmp_path / "a.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
        "data: {good: aHVzaA==, bad: hush-hush!, number: 3}\nstringData: {port: 25}\n---\n"
        "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\ndata: [hush-hush]\n",
    )
    loaded, problems = load_manifests([path])
    assert [(problem.name, problem.field) for problem in problems] == [
        ("a", "data.bad"),
        ("a", "data.number"),
        ("a", "stringData.port"),
        ("b", "data"),
    ]
    assert "hush-hush" not in str(problems)
    assert ManifestSecrets(loaded).get("a") == {"good": b"hush"}
