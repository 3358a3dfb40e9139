"""Hooks in Python, from a ConfigMap (Momentum's Lua policies)."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from tubepost_api.config import PolicyConfig
from tubepost_api.convert import converted
from tubepost_api.fields import Checked, Duration, Size
from tubepost_api.rules import SpecModel

POLICY_KEY: Final = "policy.py"
"""Key of the ConfigMap that holds the module."""
MAX_SOURCE: Final = 256 * 1024
"""Bytes of UTF-8: the module is a part of the compiled document, which has to fit into a ConfigMap."""

ConfigMapName = Annotated[
    str,
    Checked(
        "the name of a ConfigMap",
        "use lower-case letters, digits, hyphens and dots, with a letter or digit at both ends",
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        253,
    ),
]
"""The name of a ConfigMap, in the same namespace."""


class PolicySpec(SpecModel):
    """Hooks in Python, which see what is sent and what comes of it, and may change both."""

    config_map_name: ConfigMapName
    """ConfigMap with the module, under the key policy.py; at most 256 KiB."""
    timeout: Duration = "1s"
    """Longest time of one call of a hook; then that message has failed for now."""
    memory: Size = "128Mi"
    """Most memory of one process that runs hooks, in bytes or as a quantity."""
    processes: Annotated[int, Field(ge=1, le=16)] = 1
    """Processes that run hooks, of each worker."""


@dataclass(frozen=True, slots=True)
class SourceFault:
    """What is wrong with a module; `text` continues a sentence that begins with the key."""

    text: str
    remedy: str


def policy_config(spec: PolicySpec, source: str) -> PolicyConfig:
    """The hooks as the dispatcher reads them."""
    return converted(spec, PolicyConfig, name=spec.config_map_name, source=source)


@functools.lru_cache(maxsize=16)
def source_fault(source: str) -> SourceFault | None:
    """What is wrong with the text of a module, as far as that shows without running it."""
    size = len(source.encode("utf-8", "surrogatepass"))
    if size > MAX_SOURCE:
        return SourceFault(
            f"has {size} bytes, more than {MAX_SOURCE}",
            "shorten it; what is only data can go into the context of messages",
        )
    try:
        with warnings.catch_warnings():
            # Of an invalid escape, for example: Python's own advice, not a fault.
            warnings.simplefilter("ignore")
            # To code, which is never run: that finds more than a tree would show, and takes half as long.
            compile(source, POLICY_KEY, "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f" (line {error.lineno})" if error.lineno else ""
        return SourceFault(f"is not Python{place}: {error.msg}", "correct the line, or the one before it")
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        why = "a null character" if isinstance(error, ValueError) else "nested too deep"
        return SourceFault(f"is not Python: {why}", "write a module that Python compiles")
    return None
