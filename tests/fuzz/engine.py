"""One target under Atheris, which is libFuzzer with the coverage of Python code; run as a process of its own.

Arguments: the target's name, then libFuzzer's own (`python -m tests.fuzz` puts them together).
"""

from __future__ import annotations

import functools
import sys

import atheris

from tests.fuzz.target import load, within_time

INSTRUMENTED = ["tubepost_dispatcher", "tubepost_api", "tubepost_credentials"]
SLOWER = 6.0
"""How much longer instrumented code may take."""


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name = sys.argv[1]
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = load(name)
    run = functools.partial(within_time, target.run, slower=SLOWER)
    # libFuzzer starts itself anew for some of its work: by this command.
    command = f"{sys.executable} -m tests.fuzz.engine {name}"
    atheris.Setup([command, f"-max_len={target.max_length}", *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
