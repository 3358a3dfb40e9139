"""Domain patterns: what RE2 takes, checked with the standard library.

The dispatcher matches with RE2, in linear time; CEL has the same syntax. A pattern is taken here only if it
stays within what RE2, Python and Rust's regular expressions have in common.
"""

from __future__ import annotations

import re

_ESCAPES = frozenset("dDwWsSbBAfnrtv")
_GROUPS = re.compile(r"\(\?(?::|i\)|i:|P<[A-Za-z_][A-Za-z0-9_]*>)")
_REPEAT = re.compile(r"\{([0-9]+)(,([0-9]*))?\}")
_LONGEST = 253
"""A domain has at most 253 characters; RE2 limits repetition too (1000, nested counts multiplied)."""
_REFUSED = {
    "(?=": "lookahead",
    "(?!": "negative lookahead",
    "(?<=": "lookbehind",
    "(?<!": "negative lookbehind",
    "(?>": "an atomic group",
    "(?(": "a conditional group",
    "(?P=": "a backreference",
    "(?#": "a comment",
}


def check_pattern(pattern: str) -> None:
    """Check a domain pattern.

    Raises:
        ValueError: not a regular expression, or one with something that RE2 leaves out on purpose
            (lookaround, backreferences) or does not know.
    """
    if pattern.startswith("/") and pattern.endswith("/") and len(pattern) > 1:
        raise ValueError(f"the slashes around {pattern!r} would have to be part of the domain")
    try:
        _scan(pattern)
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is too deep a regular expression") from error


def _scan(pattern: str) -> None:
    counts = [1]  # per open group: the most that counts in it multiply to
    last = 1  # the same of the item that a quantifier would follow
    quantified = False
    position = 0
    while position < len(pattern):
        start, character = position, pattern[position]
        after_quantifier, quantified = quantified, False
        position += 1
        repeat = _REPEAT.match(pattern, start)
        if character == "\\":
            position += 1
            _check_escape(pattern, start)
            last = 1
        elif character == "[":
            position = _class(pattern, start)
            last = 1
        elif character == "(":
            position = _group(pattern, start)
            counts.append(1)
        elif character == ")":
            last = counts.pop() if len(counts) > 1 else 1
        elif repeat or character in "*+?":
            if after_quantifier and character != "?":
                raise ValueError(
                    f"{pattern!r} has two quantifiers in a row, which RE2 has not (character {start + 1})"
                )
            quantified = not after_quantifier
            if repeat:
                position = repeat.end()
                last *= max(int(repeat[1]), int(repeat[3] or 0), 1)
                if last > _LONGEST:
                    raise ValueError(f"{pattern!r} repeats more than {_LONGEST} times, longer than a domain")
        elif character == "{":
            raise ValueError(f"{pattern!r} has {{ without a count: escape it (character {start + 1})")
        else:
            last = 1
        counts[-1] = max(counts[-1], last)


def _check_escape(pattern: str, start: int) -> None:
    escaped = pattern[start + 1 : start + 2]
    if escaped.isdigit() and escaped.isascii():
        raise ValueError(f"{pattern!r} has a backreference, which RE2 has not (character {start + 1})")
    if escaped and not escaped.isascii():
        raise ValueError(f"{pattern!r} escapes a character that is not ASCII (character {start + 1})")
    if escaped.isalpha() and escaped not in _ESCAPES:
        raise ValueError(f"{pattern!r} has \\{escaped}, which cannot be used here (character {start + 1})")


def _class(pattern: str, start: int) -> int:
    position = start + 1
    if pattern.startswith("^", position):
        position += 1
    first = position
    while position < len(pattern):
        character = pattern[position]
        if character == "]" and position > first:
            return position + 1
        if character == "[":
            raise ValueError(
                f"{pattern!r} has [ inside a character class: escape it (character {position + 1})"
            )
        if character in "&|~-" and pattern.startswith(character, position + 1):
            raise ValueError(
                f"{pattern!r} has {character * 2} inside a character class (character {position + 1})"
            )
        if character == "\\":
            _check_escape(pattern, position)
            if pattern[position + 1 : position + 2] in set("bBA"):
                raise ValueError(f"{pattern!r} has an anchor in a character class (character {position + 1})")
            position += 1
        position += 1
    raise ValueError(f"{pattern!r} has a character class that is never closed (character {start + 1})")


def _group(pattern: str, start: int) -> int:
    if not pattern.startswith("(?", start):
        return start + 1
    group = _GROUPS.match(pattern, start)
    if group:
        # `(?i)` is no group: its closing parenthesis belongs to it, and is read next.
        return group.end() - 1 if group.group() == "(?i)" else group.end()
    for opening in sorted(_REFUSED, key=len, reverse=True):
        if pattern.startswith(opening, start):
            raise ValueError(
                f"{pattern!r} has {_REFUSED[opening]}, which RE2 has not (character {start + 1})"
            )
    raise ValueError(f"{pattern!r} has a group that RE2 has not (character {start + 1})")
