from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_api.config_logger import LoggerFormats
from tubepost_api.logformat import MACROS, STRFTIME_DIRECTIVES, FormatError, Macro, Text, parse_format


def test_the_default_delivery_line() -> None:
    at = Text("@")
    assert parse_format(LoggerFormats().delivery) == (
        Macro("t", None, quoted=False),
        Text("@D@"),
        Macro("i", None, quoted=False),
        Text('@"'),
        Macro("sa", None, quoted=True),
        Text('"@"'),
        Macro("da", None, quoted=True),
        Text('"@'),
        Macro("d", None, quoted=False),
        at,
        Macro("g", None, quoted=False),
        at,
        Macro("b", None, quoted=False),
        at,
        Macro("H", None, quoted=False),
        at,
        Macro("B", None, quoted=False),
        at,
        Macro("ti", None, quoted=False),
    )


@pytest.mark.parametrize("name", LoggerFormats.model_fields)
def test_the_defaults_are_formats(name: str) -> None:
    assert parse_format(getattr(LoggerFormats(), name))


@pytest.mark.parametrize("name", sorted(set(MACROS) - {"vctx_mess"}))
def test_every_macro_is_known(name: str) -> None:
    assert parse_format(f"%{name}") == (Macro(name, None, quoted=False),)


def test_the_longest_name_wins() -> None:
    assert [item.name for item in parse_format("%dt%da%d%ti%t") if isinstance(item, Macro)] == [
        "dt",
        "da",
        "d",
        "ti",
        "t",
    ]


def test_arguments() -> None:
    assert parse_format('%{%d/%b "%Y"}t%vctx_mess{DLV_Dest-ID.1}') == (
        Macro("t", '%d/%b "%Y"', quoted=False),
        Macro("vctx_mess", "DLV_Dest-ID.1", quoted=False),
    )


@pytest.mark.parametrize("directive", sorted(STRFTIME_DIRECTIVES))
def test_every_directive_is_taken(directive: str) -> None:
    assert parse_format(f"%{{%{directive}}}t") == (Macro("t", f"%{directive}", quoted=False),)


def test_percent_signs_join_the_text_around_them() -> None:
    assert parse_format("100%% sure") == (Text("100% sure"),)


def test_quotations_open_and_close() -> None:
    assert [item.quoted for item in parse_format('%d"%d""%d"%d') if isinstance(item, Macro)] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("%t@%x", "%x is not a macro", 3),
        ("%", "a single % ends", 0),
        ("a%", "a single % ends", 1),
        ("%-", "%- is not a macro", 0),
        ("%vctx_mess", "needs the name", 0),
        ("%vctx_mess{}", "is empty", 0),
        ("%vctx_mess{a b}", "not the name of a context variable", 11),
        ("%vctx_mess{a", "never closed", 0),
        ("%{%Y", "never closed", 0),
        ("%{%Y}d", "must be followed by t", 0),
        ("@%{%Y%Q}t", "%Q is not a strftime directive", 5),
        ("%{%}t", "% is not a strftime directive", 2),
        ("%{a\nb}t", "U+000A", 3),
        ('a"%d', "never closed", 1),
        ("a\nb", "U+000A", 1),
        ("\u2028", "U+2028", 0),
    ],
)
def test_faults_and_where_they_are(text: str, message: str, position: int) -> None:
    with pytest.raises(FormatError) as caught:
        parse_format(text)
    assert message in str(caught.value)
    assert caught.value.position == position


def parsed_or_position(text: str) -> tuple[Text | Macro, ...] | int:
    try:
        return parse_format(text)
    except FormatError as error:
        return error.position


def written(item: Text | Macro) -> str:
    if isinstance(item, Text):
        return item.value.replace("%", "%%")
    if item.name == "vctx_mess":
        return f"%vctx_mess{{{item.argument}}}"
    return f"%{{{item.argument}}}t" if item.argument else f"%{item.name}"


@given(st.text(alphabet='%{}tidsaBbgHSe"vctx_mess @Y', max_size=60))
def test_what_is_taken_can_be_written_again(text: str) -> None:
    items = parsed_or_position(text)
    if isinstance(items, int):
        assert 0 <= items < len(text)
        return
    assert "".join(written(item) for item in items) == text
    assert not any(isinstance(a, Text) and isinstance(b, Text) for a, b in pairwise(items))


@given(st.text(max_size=60))
def test_no_text_has_any_other_effect_than_a_format_error(text: str) -> None:
    items = parsed_or_position(text)
    if isinstance(items, int):
        assert 0 <= items < len(text)
    else:
        assert bool(items) == bool(text)
