from __future__ import annotations

import pytest

from tubepost_importer import known
from tubepost_importer.delivery import OPTIONS
from tubepost_importer.known import AUTHENTICATION, SCOPES, SCRIPTS, no_counterpart
from tubepost_importer.routes import TLS_OPTIONS


@pytest.mark.parametrize(
    "option",
    [
        "adaptive_enabled",
        "spoolbase",
        "hostname",
        "bind_address",
        "dns_expire_interval",
        "pidfile",
        "max_message_sized",
    ],
)
def test_known_options(option: str) -> None:
    assert (no_counterpart(option) is None) == (option == "max_message_sized")


def test_what_is_converted_has_a_counterpart() -> None:
    assert [
        option for option in (*OPTIONS, *TLS_OPTIONS, "routes", "mcmt_reception") if no_counterpart(option)
    ] == []


def test_a_name_has_one_reason() -> None:
    words = [word for names, _ in known._REASONS for word in names.split()]
    assert len(words) == len(set(words))
    beginnings = [word[:-1] for word in words if word.endswith("*")]
    doubled = [w for w in words for b in beginnings if w.rstrip("*").startswith(b) and w.rstrip("*") != b]
    assert doubled == []
    scopes = [word for names, _ in known._SCOPES for word in names.split()]
    assert len(scopes) == len(set(scopes))
    assert not SCOPES.keys() & (SCRIPTS | AUTHENTICATION)
