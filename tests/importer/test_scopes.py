"""The examples of the manual's section about scopes and fallback."""

from __future__ import annotations

import pytest

from tubepost_importer.domains import entries
from tubepost_importer.files import InMemory, read_configuration
from tubepost_importer.report import Account
from tubepost_importer.scopes import Resolution, descendants, is_regex, merged

FALLBACK = """
message_expiration = 86400
max_outbound_connections = 30
domain "example.com" { message_expiration = 120 max_outbound_connections = 20 }
domain "/(?:^|[.])example[.](?:com|co[.]uk)$/" { max_outbound_connections = 15 max_deliveries_per_connection = 5 }
domain "/uk$/" { max_deliveries_per_connection = 6 retry_interval = 7 }
"""


def value(text: str, domain: str, option: str) -> str | None:
    configuration = read_configuration("e", InMemory({"e": text.encode()}))
    resolution = Resolution(merged(configuration, Account()))
    stanzas = next((e.stanzas for e in entries(resolution, {}) if domain in {e.name, e.pattern}), ())
    found = resolution.of(stanzas, option)
    return getattr(found.option.value, "text", None) if found else None


@pytest.mark.parametrize(
    ("extra", "domain", "option", "expected"),
    [
        ("", "example.com", "max_outbound_connections", "20"),
        ("", "example.com", "max_deliveries_per_connection", "5"),
        ("", "example.com", "message_expiration", "120"),
        ("", "example.com", "retry_interval", None),
        ("", "nowhere.example", "message_expiration", "86400"),
        ('domain "example.co.uk" {}', "example.co.uk", "max_deliveries_per_connection", "5"),
        ('domain "example.co.uk" {}', "example.co.uk", "retry_interval", "7"),
        ('binding "default" { message_expiration = 3600 }', "example.com", "message_expiration", "3600"),
        (
            'binding "default" { message_expiration = 7200 domain example.com { message_expiration = 9 } }',
            "example.com",
            "message_expiration",
            "9",
        ),
        ('binding "example2" { message_expiration = 1 }', "example.com", "message_expiration", "120"),
        (
            'binding_group "default" { max_outbound_connections = 5 binding "default" { max_outbound_connections = 15 } }',
            "example.com",
            "max_outbound_connections",
            "15",
        ),
        ('binding_group "default" { message_expiration = 5 }', "example.com", "message_expiration", "5"),
        ('domain "EXAMPLE.com" { message_expiration = 8 }', "example.com", "message_expiration", "8"),
        ("message_expiration = 1", "nowhere.example", "message_expiration", "1"),
    ],
)
def test_the_most_specific_value_is_in_force(
    extra: str, domain: str, option: str, expected: str | None
) -> None:
    assert value(FALLBACK + extra, domain, option) == expected


def test_a_scope_may_be_declared_in_parts() -> None:
    text = 'binding_group "g" { a = 1 binding "x" {} }\nbinding_group "g" { binding "y" {} a = 2 }'
    account = Account()
    configuration = read_configuration("e", InMemory({"e": text.encode()}))
    root = merged(configuration, account)
    (group,) = root.of_kind("binding_group")
    assert [node.name for node in group.of_kind("binding")] == ["x", "y"]
    assert [node.title for node in descendants(root)] == ["binding_group 'g'", "binding 'x'", "binding 'y'"]
    (again,) = [one for one in account.lines(configuration) if "set again" in "".join(one.notes)]
    assert again.source == "a = 1"
    assert "e:2" in again.notes[0]


def test_names_of_bindings_are_case_sensitive_and_of_domains_not() -> None:
    text = 'binding "A" {} binding "a" {} domain "A" {} domain "a" {}'
    root = merged(read_configuration("e", InMemory({"e": text.encode()})), Account())
    assert (len(root.of_kind("binding")), len(root.of_kind("domain"))) == (2, 1)


def test_expressions_stand_between_slashes() -> None:
    assert [is_regex(name) for name in ("/a/", "/a/i", "/", "a/", "/a")] == [True, True, False, False, False]
