#!/usr/bin/env python3
"""Write everything that is generated from the code: CRDs, reference pages.

Each module in `scripts/generators/` has a function `outputs() -> dict[str, str]` that maps paths, relative to
the repository, to their whole text. Without arguments all of them run; names choose among them.

    scripts/generate.py                    write what differs
    scripts/generate.py metrics_reference  write what one generator makes
    scripts/generate.py --check            write nothing; exit 1 when a file differs
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GENERATORS = ROOT / "scripts" / "generators"
REMEDY = "make generate"
"""The command that `--check` names."""


def generator_names() -> list[str]:
    """Names of all generators, sorted."""
    return sorted(path.stem for path in GENERATORS.glob("*.py") if not path.stem.startswith("_"))


def outputs_of(name: str) -> dict[str, str]:
    """What one generator makes: path relative to the repository -> text.

    Raises:
        ValueError: there is no such generator, or it names a path outside the repository.
    """
    path = GENERATORS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"tubepost_generators.{name}", path)
    if name not in generator_names() or spec is None or spec.loader is None:
        raise ValueError(f"no generator {name!r}; there are: {', '.join(generator_names())}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    outputs: dict[str, str] = module.outputs()
    for target in outputs:
        if not (ROOT / target).resolve().is_relative_to(ROOT):
            raise ValueError(f"generator {name} names a path outside the repository: {target}")
    return outputs


def collect(names: Iterable[str] = ()) -> dict[str, str]:
    """The outputs of the named generators, or of all.

    Raises:
        ValueError: two generators make the same file, or as `outputs_of`.
    """
    chosen = list(names) or generator_names()
    result: dict[str, str] = {}
    for name in chosen:
        outputs = outputs_of(name)
        if twice := sorted(result.keys() & outputs.keys()):
            raise ValueError(f"generator {name} makes files that another one makes too: {', '.join(twice)}")
        result.update(outputs)
    return result


def differing(outputs: dict[str, str], root: Path = ROOT) -> list[str]:
    """Paths whose file is absent or has other bytes than its output."""
    found = []
    for target, text in sorted(outputs.items()):
        try:
            same = (root / target).read_bytes() == text.encode()
        except FileNotFoundError:
            same = False
        if not same:
            found.append(target)
    return found


def write(outputs: dict[str, str], root: Path = ROOT) -> list[str]:
    """Write what differs, byte for byte, and return those paths."""
    changed = differing(outputs, root)
    for target in changed:
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(outputs[target].encode())
    return changed


def main(argv: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write (or check) everything that is generated.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file differs")
    parser.add_argument("names", nargs="*", metavar="GENERATOR", help="default: all of them")
    arguments = parser.parse_args(argv)
    try:
        outputs = collect(arguments.names)
    except ValueError as error:
        parser.error(str(error))
    if arguments.check:
        changed = differing(outputs)
        for target in changed:
            print(f"{target}: not what the code generates", file=sys.stderr)
        if changed:
            print(f"Remedy: {REMEDY}", file=sys.stderr)
        return 1 if changed else 0
    for target in write(outputs):
        print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
