"""What this dispatcher is: its version, and whether what every message passes is compiled.

`dispatcher/compiled.txt` lists what can be.
"""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

_ONE_OF_THEM = "tubepost_dispatcher.notification"


def modules() -> Literal["compiled", "pure"]:
    """Whether those modules are extension modules here, or Python; none is imported for it."""
    spec = find_spec(_ONE_OF_THEM)
    origin = spec.origin if spec is not None else None
    return "compiled" if origin is not None and origin.endswith(tuple(EXTENSION_SUFFIXES)) else "pure"


def labels() -> tuple[str, str, str]:
    """Version, modules and Python's version, as the metric `tubepost_build_info` has them."""
    return version("tubepost"), modules(), ".".join(map(str, sys.version_info[:3]))


def line() -> str:
    """The same for people: `0.1.0 (compiled, Python 3.11.7)`."""
    own, kind, python = labels()
    return f"{own} ({kind}, Python {python})"
