"""The option that says how a command shows what it has found: for people, or for programs."""

from __future__ import annotations

from typing import Final

import click

output_format: Final = click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
"""Decorates a command that takes `output`: `text` or `json`."""
