"""The list of modules to compile, and whether they are compiled where that is asked for."""

from __future__ import annotations

import ast
import importlib
import os
from pathlib import Path

import pytest

from scripts import compile_modules

SOURCES = Path(__file__).resolve().parents[1] / "dispatcher"
PACKAGE = SOURCES / "tubepost_dispatcher"
LIST = [line for line in (SOURCES / "compiled.txt").read_text().splitlines() if not line.startswith("#")]


def _module(name: str) -> str:
    return "tubepost_dispatcher." + name.removesuffix(".py").replace("/", ".")


def _classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]


def _bases(node: ast.ClassDef) -> set[str]:
    bases = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return {ast.unparse(base).rpartition(".")[2] for base in bases}


def test_the_list_is_sorted_and_names_modules() -> None:
    assert sorted(set(LIST)) == LIST
    assert all((PACKAGE / name).is_file() for name in LIST)


def test_nothing_outside_the_list_derives_from_a_class_of_it() -> None:
    """At run time that is a TypeError, when the class is made or when its first object is."""
    modules = {_module(name) for name in LIST}
    found = []
    for path in PACKAGE.rglob("*.py"):
        if str(path.relative_to(PACKAGE)) in LIST:
            continue
        imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        compiled = {
            one.asname or one.name for node in imports if node.module in modules for one in node.names
        }
        found += [f"{path}: {node.name}" for node in _classes(path) if _bases(node) & compiled]
    assert not found


def test_no_enumeration_of_the_list_has_a_constructor() -> None:
    """A compiled one takes its members for objects of another class."""
    for name in LIST:
        for node in _classes(PACKAGE / name):
            methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
            assert not (_bases(node) & {"Enum", "IntEnum"} and "__init__" in methods), name


def test_nothing_of_the_list_passes_a_dictionary_of_arguments_on_to_what_it_knows() -> None:
    """mypyc passes it as if it were the next argument. What is given as a parameter is called by Python's rules."""
    found = []
    for name in LIST:
        for function in ast.walk(ast.parse((PACKAGE / name).read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            parameters = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            found += [
                f"{name}:{call.lineno}: {ast.unparse(call)}"
                for call in calls
                if any(keyword.arg is None for keyword in call.keywords)
                and ast.unparse(call.func) not in parameters
            ]
    assert not found


def test_no_expression_of_the_list_reads_a_name_that_it_assigns() -> None:
    """mypyc evaluates `f(key, key := key + 1)` as if the name had its new value in both places."""
    found = []
    for name in LIST:
        for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
            if not isinstance(node, ast.Call | ast.BinOp | ast.Compare | ast.Tuple | ast.List):
                continue
            inner = list(ast.walk(node))
            targets = [one.target for one in inner if isinstance(one, ast.NamedExpr)]
            assigned = {one.id for one in targets}
            read = {one.id for one in inner if isinstance(one, ast.Name) and one not in targets}
            found += [f"{name}:{node.lineno}: {ast.unparse(node)}" for _ in assigned & read]
    assert not found


def test_a_change_of_what_is_imported_compiles_anew_and_others_do_not() -> None:
    read = {str(path.relative_to(SOURCES.parent)) for path in compile_modules.sources()}
    assert {f"dispatcher/tubepost_dispatcher/{name}" for name in LIST} <= read
    for path in read:  # mypyc follows every import, and so must the search
        tree = ast.parse((SOURCES.parent / path).read_text())
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    assert {"crds/tubepost_api/config.py", "dispatcher/tubepost_dispatcher/__init__.py"} <= read
    assert "dispatcher/tubepost_dispatcher/worker/zygote.py" not in read


def test_a_mend_of_the_compiler_s_runtime_fits_it_or_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = compile_modules.mended_runtime(tmp_path)
    (file,) = made.iterdir()
    assert "? endn - startn : 0;" in file.read_text()
    monkeypatch.setattr(compile_modules, "_LENGTH", "what another release has")
    with pytest.raises(SystemExit, match="Remedy: "):
        compile_modules.mended_runtime(tmp_path)


def test_modules_are_compiled_where_that_is_asked_for() -> None:
    asked = "compiled" in Path(os.environ.get("PYTHONPATH", "")).name
    for name in LIST:
        module = importlib.import_module(_module(name))
        assert str(module.__file__).endswith(".py") is not asked, module
