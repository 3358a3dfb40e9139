"""The examples that the command carries with it."""

from __future__ import annotations

from pathlib import Path


def example(name: str) -> Path:
    """The path of an example: inside the installed package, or in the checkout.

    Raises:
        FileNotFoundError: neither is there.
    """
    here = Path(__file__).resolve()
    for root in (here.parent / "_examples", here.parents[2] / "examples"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"example {name} is not installed")
