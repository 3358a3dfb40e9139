"""What a terminal of some columns shows, as SVG: plain text with the colours of `click.style`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

SIZE = 14
"""Pixels of the font."""
WIDTH, HEIGHT, MARGIN = 8.43, 19, 14
"""Pixels of a character, which `textLength` enforces in whatever font there is; of a line; and around all."""
_STYLES = {
    "1": 'font-weight="bold" fill="#ffffff"',
    "31": 'fill="#ff6b68"',
    "32": 'fill="#7ec699"',
    "33": 'fill="#e8c266"',
}
_ESCAPE = re.compile(r"\x1b\[(\d+)m")


def draw(prompt: str, lines: Sequence[str], columns: int) -> str:
    """The picture of a command, and of what it has printed."""
    width = columns * WIDTH + 2 * MARGIN
    height = (len(lines) + 1) * HEIGHT + 2 * MARGIN
    shown = [f"\x1b[1m$ {prompt}\x1b[0m", *lines]
    rows = "\n".join(_row(line, MARGIN + SIZE + number * HEIGHT) for number, line in enumerate(shown))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{SIZE}" fill="#d0d4da">\n'
        f'<rect width="100%" height="100%" rx="6" fill="#1b1f24"/>\n{rows}\n</svg>\n'
    )


def _row(line: str, y: int) -> str:
    return "".join(
        f'<text x="{MARGIN + start * WIDTH:.1f}" y="{y}" textLength="{len(text) * WIDTH:.1f}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve" {style}>{escape(text)}</text>'
        for start, text, style in _pieces(line)
    )


def _pieces(line: str) -> Iterator[tuple[int, str, str]]:
    """Column, text and style of what is not blank."""
    column, style = 0, ""
    for number, part in enumerate(_ESCAPE.split(line)):
        if number % 2:
            style = _STYLES.get(part, "")
        elif part:
            for word in re.finditer(r"\S+(?: \S+)*", part):
                yield column + word.start(), word[0], style
            column += len(part)
