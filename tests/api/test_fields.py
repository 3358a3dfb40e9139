from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tubepost_api.apnlogger import Format, Mode, Path
from tubepost_api.apnroute import Ciphers, ProxyUrl
from tubepost_api.fields import PROBLEM_TYPE, Duration, Host, Name, Network, SecretKey, SecretName, Size


def faults(kind: Any, value: object) -> list[dict[str, Any]]:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return [dict(details) for details in error.errors()]
    return []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Name, "a"),
        (Name, "a-1"),
        (SecretName, "a.b-c"),
        (SecretKey, "tls.crt"),
        (Host, "a_b.example."),
        (Host, "::1"),
        (Host, "192.0.2.1"),
        (Network, "::/0"),
        (Duration, "1ns"),
        (Size, 0),
        (Size, "1Gi"),
        (Path, "/a/b..c"),
        (Mode, "640"),
        (Format, "%%"),
        (Ciphers, "ECDHE+AESGCM:!aNULL"),
        (ProxyUrl, "http://[::1]:1"),
    ],
)
def test_what_is_taken(kind: Any, value: object) -> None:
    assert faults(kind, value) == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Name, ""),
        (Name, "a\n"),
        (Name, "a."),
        (Name, "a" * 64),
        (Name, None),
        (SecretName, "-a"),
        (SecretKey, "a/b"),
        (Host, "[::1]"),
        (Host, "a..b"),
        (Network, "10.0.0.0/33"),
        (Network, "10.0.0.1/8"),
        (Network, "::ffff:10.0.0.0/104"),
        (Network, "::ffff:10.0.0.7"),
        (Duration, "0ns"),
        (Duration, 5),
        (Size, True),
        (Size, 1.5),
        (Path, "a"),
        (Path, "/a/../b"),
        (Path, "/a/"),
        (Mode, "888"),
        (Format, "a\nb"),
        (Format, "%x"),
        (Ciphers, "NOSUCHCIPHER"),
        (ProxyUrl, "https://p:1"),
    ],
)
def test_what_is_refused_has_a_remedy(kind: Any, value: object) -> None:
    (fault,) = faults(kind, value)
    assert fault["type"] == PROBLEM_TYPE
    assert fault["ctx"]["message"]
    assert fault["ctx"]["remedy"]


def test_the_position_in_a_format_counts_from_1() -> None:
    (fault,) = faults(Format, "%t@%x")
    assert "(at character 4)" in fault["ctx"]["message"]


def test_braces_in_a_value_are_no_template() -> None:
    (fault,) = faults(Name, "{remedy}")
    assert "'{remedy}'" in fault["ctx"]["message"]


def test_what_may_hold_a_password_is_not_repeated() -> None:
    (fault,) = faults(ProxyUrl, "http://user:hush-hush@proxy:1")
    assert "hush-hush" not in fault["msg"] + str(fault["ctx"])
