from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tubepost_api.config_logger import LoggerFormats
from tubepost_api.logformat import MACROS, FormatError, Macro, parse_format
from tubepost_dispatcher.feeds.events import LogEvent
from tubepost_dispatcher.feeds.format import compile_format, escape, legacy_escape, split_line
from tubepost_dispatcher.feeds.json_format import json_line

MakeEvent = Callable[..., LogEvent]
UNDER_LOAD = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TOKEN = "0123456789abcdef" * 4

# Lone surrogates too: addresses that were read with `surrogateescape` hold them.
any_text = st.text(st.characters(exclude_categories=())) | st.text('@"\\ x40u{}\r\n\0\x7f\u2028')

ATTRIBUTES = {
    "i": "message_id",
    "sa": "source_address",
    "da": "destination_address",
    "d": "domain",
    "dt": "device_token",
    "ti": "apns_id",
    "b": "route",
    "g": "push_domain",
    "H": "client_address",
    "e": "error",
}


def test_the_default_lines(make_event: MakeEvent) -> None:
    formats = LoggerFormats()
    event = make_event(status=8, error="BadDeviceToken")
    assert compile_format(formats.delivery)(event) == (
        '1767225600@D@0f3a-7@"alerts@example.com"@"user"@apn_example.com@alerts@production@10.0.0.3@731'
        "@123e4567-e89b-12d3-a456-426614174000"
    )
    assert compile_format(formats.permfail)(event) == (
        "1767225600@P@0f3a-7@alerts\\x40example.com@user@apn_example.com@alerts@production@10.0.0.3@8"
        "@BadDeviceToken"
    )
    assert compile_format(formats.tempfail)(event) == (
        '1767225600@T@0f3a-7@"alerts@example.com"@"user"@apn_example.com@alerts@production@10.0.0.3@731'
        "@123e4567-e89b-12d3-a456-426614174000@8@BadDeviceToken"
    )
    assert compile_format(formats.heartbeat)(event) == "1767225600@M"


@pytest.mark.parametrize("name", ["delivery", "permfail", "tempfail"])
@UNDER_LOAD
@given(data=st.data())
def test_every_line_of_a_default_format_splits_into_its_values(name: str, data: st.DataObject) -> None:
    text = getattr(LoggerFormats(), name)
    values = {attribute: data.draw(any_text, attribute) for attribute in ATTRIBUTES.values()}
    values["device_token"] = TOKEN
    numbers = {
        "message_bytes": data.draw(st.integers(0, 2**40)),
        "status": data.draw(st.integers(0, 255)),
    }
    event = LogEvent("delivery", 1767225600.9, **values, **numbers)
    line = compile_format(text)(event)
    assert line.isprintable()
    assert line.encode().decode() == line

    expected = []
    for item in parse_format(text):
        if not isinstance(item, Macro):
            expected += [part for part in item.value.replace('"', "").split("@") if part]
        elif item.name == "t":
            expected.append("1767225600")
        elif item.name in {"B", "S"}:
            expected.append(str(numbers["message_bytes" if item.name == "B" else "status"]))
        else:
            expected.append(values[ATTRIBUTES[item.name]])
    assert split_line(line) == expected


@UNDER_LOAD
@given(any_text, st.booleans())
def test_an_escaped_value_is_one_field(value: str, quoted: bool) -> None:
    written = escape(value, quoted=quoted)
    assert split_line(f'a@"{written}"@b' if quoted else f"a@{written}@b") == ["a", value, "b"]


@UNDER_LOAD
@given(any_text)
def test_splitting_any_text_gives_fields_or_a_value_error(text: str) -> None:
    try:
        fields = split_line(text)
    except ValueError:
        return
    assert fields


@pytest.mark.parametrize(
    ("value", "quoted", "written"),
    [
        ("plain text", False, "plain text"),
        ("a@b", False, "a\\x40b"),
        ("a@b", True, "a@b"),
        ('"', True, '\\"'),
        ("\\", False, "\\\\"),
        ("\r\n\t\0\x1b\x7f", True, "\\x0d\\x0a\\x09\\x00\\x1b\\x7f"),
        ("\x85\xa0", True, "\\x85\\xa0"),
        ("\u2028\u202e\ufeff", False, "\\u{2028}\\u{202e}\\u{feff}"),
        ("\udc80", True, "\\u{dc80}"),
        ("Zoë 📬", False, "Zoë 📬"),
    ],
)
def test_escapes(value: str, quoted: bool, written: str) -> None:
    assert escape(value, quoted=quoted) == written


@pytest.mark.parametrize(
    "value",
    [
        "x\n1767225600@D@forged",
        "x\r\n1767225600@P@forged",
        'x"@"y"@evil@alerts@prod@1.1.1.1@1@id\n',
        'x\\"@"y',
        "x\u2028y",
        "x\x85y",
        "\x1b[2Kgone",
    ],
)
@pytest.mark.parametrize("attribute", sorted(set(ATTRIBUTES.values()) - {"device_token"}))
def test_no_value_forges_a_line_or_a_field(make_event: MakeEvent, attribute: str, value: str) -> None:
    for name in ("delivery", "permfail", "tempfail"):
        compiled = compile_format(getattr(LoggerFormats(), name))
        honest, forged = compiled(make_event()), compiled(make_event(**{attribute: value}))
        assert len(forged.splitlines()) == 1
        assert len(split_line(forged)) == len(split_line(honest))


def test_every_macro_is_rendered(make_event: MakeEvent) -> None:
    event = make_event(context={"campaign": "a@b"}, status=8, error="why", peer="192.0.2.7", unique_id="5a6b")
    for name in MACROS:
        macro = "%vctx_mess{campaign}" if name == "vctx_mess" else f"%{name}"
        assert compile_format(macro)(event)
        assert compile_format(f'%i "{macro}"')(event).endswith('"')


def test_context_variables(make_event: MakeEvent) -> None:
    line = compile_format('%vctx_mess{campaign}@"%vctx_mess{campaign}"@%vctx_mess{none}|')
    assert line(make_event(context={"campaign": "a@b"})) == 'a\\x40b@"a@b"@|'


def test_the_token_is_in_full_for_dt_only(make_event: MakeEvent) -> None:
    event = make_event(
        device_token=TOKEN, destination_address=TOKEN.upper(), context={"DLV_Dest_ID": TOKEN, "copy": TOKEN}
    )
    assert compile_format("%i@%dt")(event) == f"0f3a-7@{TOKEN}"
    assert compile_format("%i@%da")(event) == "0f3a-7@01234567..."
    assert compile_format("%vctx_mess{DLV_Dest_ID} %vctx_mess{copy}")(event) == "01234567... 01234567..."
    for name in LoggerFormats.model_fields:
        assert TOKEN not in compile_format(getattr(LoggerFormats(), name))(event).lower()


def test_a_token_in_the_address_is_short_before_it_is_known(make_event: MakeEvent) -> None:
    event = make_event(device_token="", destination_address=TOKEN)
    assert compile_format("%i@%da")(event) == "0f3a-7@01234567..."


def test_another_address_of_the_tokens_length_stays_whole(make_event: MakeEvent) -> None:
    assert compile_format("%i@%da")(make_event(destination_address="u" * 64)) == "0f3a-7@" + "u" * 64


def test_times(make_event: MakeEvent) -> None:
    stamp = compile_format("%{%Y-%m-%dT%H:%M:%SZ}t %t")
    assert stamp(make_event()) == "2026-01-01T00:00:00Z 1767225600"
    assert stamp(make_event(time=1767225601.99)) == "2026-01-01T00:00:01Z 1767225601"
    assert stamp(make_event()) == "2026-01-01T00:00:00Z 1767225600"
    fraction = compile_format("%{%S.%f}t")
    assert fraction(make_event()) == "00.250000"
    assert fraction(make_event(time=1767225600.5)) == "00.500000"
    assert compile_format('%{%H@%M}t@"%{%H@%M}t"')(make_event()) == '00\\x4000@"00@00"'
    assert compile_format("%{%%f}t %i")(make_event()) == "%f 0f3a-7"


def test_literal_text_stays_itself(make_event: MakeEvent) -> None:
    line = compile_format("100%% %i \\d {0} %i")(make_event())
    assert line == "100% 0f3a-7 \\\\d {0} 0f3a-7"
    assert split_line(line) == ["100% 0f3a-7 \\d {0} 0f3a-7"]
    assert compile_format("only text")(make_event()) == "only text"
    assert compile_format("")(make_event()) == ""


@given(st.data())
@UNDER_LOAD
def test_what_stands_in_the_literal_text_hides_nothing_in_a_value(data: st.DataObject) -> None:
    literals = st.text('ab@\\" \t', max_size=4)
    begin, between, end = (data.draw(literals) for _ in range(3))
    values = [data.draw(st.text('ab@\\" \t', max_size=4)) for _ in range(2)]
    event = LogEvent("delivery", 0.0, message_id=values[0], route=values[1])
    try:
        line = compile_format(f"{begin}%i{between}%b{end}")
    except FormatError:
        return
    quoted = begin.count('"') % 2 == 1, (begin + between).count('"') % 2 == 1
    written = [escape(value, quoted=inside) for value, inside in zip(values, quoted, strict=True)]
    literal = [text.replace("\\", "\\\\") for text in (begin, between, end)]
    assert line(event) == f"{literal[0]}{written[0]}{literal[1]}{written[1]}{literal[2]}"


def test_numbers_are_whole(make_event: MakeEvent) -> None:
    event: Any = make_event(message_bytes=7, status=255)
    assert compile_format("%B@%S@%t")(event) == "7@255@1767225600"
    assert compile_format("%B@%S@%t@%vctx_mess{x}")(event) == "7@255@1767225600@"


def test_a_bad_format_says_where() -> None:
    with pytest.raises(FormatError) as caught:
        compile_format("%t@%q")
    assert caught.value.position == 3


@pytest.mark.parametrize(
    "line", ['a@"b', "\\", "\\x4", "\\xZZ", "\\u{}", "\\u{110000}", "\\u{1234567}", "\\q"]
)
def test_what_is_no_line_of_ours(line: str) -> None:
    with pytest.raises(ValueError):
        split_line(line)


def test_empty_fields_are_fields() -> None:
    assert split_line("") == [""]
    assert split_line('@""@') == ["", "", ""]


@pytest.mark.parametrize(
    "value", [f"bounce+{'ab' * 32}@v.example", "ab" * 32 + "@v.example", "u-" + "AB" * 32]
)
def test_a_token_within_another_field_is_hidden_from_both_kinds_of_lines(value: str) -> None:
    token = "ab" * 32
    event = LogEvent(
        "permfail",
        1.0,
        source_address=value,
        destination_address=value,
        domain="push.example",
        device_token=token,
        error=f"no: {value}",
        user=value,
        topic=value,
        context={"x": value},
    )
    for text in ("%sa@%da@%d", "%e@%da@%vctx_mess{x}", '"%sa"@%S'):
        assert token not in compile_format(text)(event).lower()
    assert token not in json_line(event).decode().lower()
    assert token in compile_format("%dt@%sa")(event)


SENT = {
    "origin": "app@b.example",
    "peer": "192.0.2.7",
    "sent_bytes": 402,
    "source_address": "bounce@b.example",
}


def test_what_momentums_macros_mean_where_ours_mean_something_else(make_event: MakeEvent) -> None:
    event = make_event(**SENT)
    assert compile_format("%sa %B %H")(event) == "bounce\\x40b.example 731 10.0.0.3"
    assert compile_format("%sa %B %H", "Momentum")(event) == "app@b.example 402 192.0.2.7"
    for compatibility in ("Tubepost", "Momentum"):
        both = compile_format('"%rp" %mb %ob %ca %pa', compatibility)
        assert both(event) == '"bounce@b.example" 731 402 10.0.0.3 192.0.2.7'


def test_momentums_own_default_lines(make_event: MakeEvent) -> None:
    event = make_event(**SENT, status=8, error="BadDeviceToken")
    assert compile_format(LoggerFormats().delivery, "Momentum")(event) == (
        '1767225600@D@0f3a-7@"app@b.example"@"user"@apn_example.com@alerts@production@192.0.2.7@402'
        "@123e4567-e89b-12d3-a456-426614174000"
    )
    assert compile_format(LoggerFormats().permfail, "Momentum")(event) == (
        "1767225600@P@0f3a-7@app@b.example@user@apn_example.com@alerts@production@192.0.2.7@8@BadDeviceToken"
    )


@UNDER_LOAD
@given(any_text, st.booleans())
def test_a_value_for_old_parsers_breaks_no_line_and_no_quotation(value: str, quoted: bool) -> None:
    written = legacy_escape(value, quoted=quoted)
    assert written.isprintable()
    assert len(written) == len(value)
    assert not (quoted and '"' in written)
    written.encode()  # no lone surrogate is left


def test_old_parsers_get_a_backslash_as_it_is(make_event: MakeEvent) -> None:
    event = make_event(error="a\\b\n@c", domain="d")
    assert compile_format("%d\\%e", "Momentum")(event) == "d\\a\\b @c"
    assert compile_format('%d "%e"', "Momentum")(event) == 'd "a\\b @c"'
    assert TOKEN not in compile_format("%sa", "Momentum")(make_event(device_token=TOKEN, origin=f"{TOKEN}@b"))


def test_ours_are_variables_too_and_no_sender_forges_them(make_event: MakeEvent) -> None:
    forged = {"DLV_Remote_IP_Address": "6.6.6.6", "DLV_Transaction_ID": "x", "DLV_Response_Status": "0"}
    event = make_event("permfail", context=forged, status=8, error="Unregistered", **SENT)
    line = compile_format(
        "%vctx_mess{DLV_Transaction_ID} %vctx_mess{DLV_Response_Status} %vctx_mess{DLV_Response_Status_Detail}"
        " %vctx_mess{DLV_Msg_Length} %vctx_mess{DLV_Remote_IP_Address}"
    )
    assert line(event) == "123e4567-e89b-12d3-a456-426614174000 8 Unregistered 402 192.0.2.7"
    assert line(make_event(context=forged)) == "123e4567-e89b-12d3-a456-426614174000    "
    assert b"6.6.6.6" not in json_line(event)
