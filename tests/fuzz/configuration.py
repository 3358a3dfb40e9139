"""Manifests, from the bytes of a YAML or JSON file to the compiled document.

Whatever is wrong is a problem of one printable line with a remedy, never an exception, and a compiled document
exists if and only if no problem is an error; it survives being written and read. What a Secret among the
manifests holds stands in no problem.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fuzz.target import Target
from tubepost_api.compile import compile_manifests
from tubepost_api.config import DispatcherConfig
from tubepost_api.problems import Manifest, Problem
from tubepost_dispatcher.config.documents import DocumentError, read_json, read_yaml
from tubepost_dispatcher.config.manifests import ManifestSecrets, _bad_secret, _items

_CANARY = "canary-3f9a51c07e"
_ROOT = Path(__file__).parents[2]


def run(data: bytes) -> None:
    """Byte 0: `J` for JSON. Then the file."""
    text = data[1:]
    try:
        documents = read_json(text) if data[:1] == b"J" else read_yaml(text)
    except DocumentError as error:
        _check_refusal(error)
        return
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for _, document in documents:
        for item in _items(document):
            if isinstance(item, dict):
                manifest = Manifest("f.yaml", len(manifests), item)
                manifests.append(manifest)
                problems += _bad_secret(manifest)
    ManifestSecrets(manifests)
    result = compile_manifests(manifests)
    problems += result.problems
    for problem in problems:
        _check(problem, text)
    errors = any(problem.severity == "error" for problem in result.problems)
    assert (result.config is None) == errors
    if result.config is not None:
        assert DispatcherConfig.model_validate_json(result.config.model_dump_json()) == result.config


def _check_refusal(error: DocumentError) -> None:
    assert str(error)
    assert error.remedy
    assert error.line >= 0


def _check(problem: Problem, text: bytes) -> None:
    line = str(problem)
    assert line.isprintable(), line
    line.encode()
    assert problem.message
    assert problem.remedy
    assert len(line) <= 2_000 + 8 * len(text)
    if _CANARY.encode() in text and text.count(_CANARY.encode()) == 1 and _in_secret(text):
        assert _CANARY not in line


def _in_secret(text: bytes) -> bool:
    """Whether the canary stands where the seed has it: as a value of a Secret."""
    return b"kind: Secret" in text and b'stringData: {password: "canary-3f9a51c07e"}' in text


def _examples() -> tuple[bytes, ...]:
    files = sorted((_ROOT / "examples").rglob("*.yaml")) + sorted(
        (_ROOT / "tests/api/data/broken").glob("*.yaml")
    )
    return tuple(b"Y" + file.read_bytes() for file in files)


def _words() -> tuple[bytes, ...]:
    """Names of the fields of our kinds."""
    found: set[str] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            found.update(schema.get("properties", ()))
            found.update(word for word in schema.get("enum", ()) if isinstance(word, str))
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(DispatcherConfig.model_json_schema())
    return tuple(f"{word}: ".encode() for word in sorted(found) if len(word) < 40)


TARGET = Target(
    run,
    4_096,
    (
        *_examples(),
        b'Y{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: "canary-3f9a51c07e"}}\n',
        (
            b'J{"apiVersion":"tubepost.io/v1alpha1","kind":"PushDomain","metadata":{"name":"a"},"spec":{"domains":'
            b'[{"name":"x.example"}],"routes":["r"],"acceptance":{"deadline":"30s"}}}'
        ),
        b"Ya: &a [1, 1:30, 0x1f, 1e3, .inf, 2001-01-01]\nb: *a\n<<: {c: !!binary aGk=}\n",
    ),
    (
        *_words(),
        b"apiVersion: tubepost.io/v1alpha1\n",
        b"kind: PushDomain\n",
        b"kind: ApnRoute\n",
        b"kind: ApnLogger\n",
        b"kind: List\n",
        b"items:\n",
        b"metadata: {name: a}\n",
        b"\n---\n",
        b"- ",
        b"&a ",
        b"*a",
        b"<<: ",
        b"!!binary ",
        b"!!set ",
        b"!!timestamp ",
        b"1:59:59",
        b"1e999",
        b".nan",
        b"5s",
        b"1h30m",
        b"null",
        b"true",
        b"|\n",
        b"\\ud800",
        b'"\\uD800"',
        b"1_0",
    ),
)
