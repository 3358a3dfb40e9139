from __future__ import annotations

import pytest

from tests.importer.samples import imported
from tubepost_importer.parser import Parser
from tubepost_importer.secrecy import concealed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('uri = "ldap://me:hunter2@host/x"', 'uri = "ldap://me:***@host/x"'),
        ('uri = "db:host=a;password=hunter2;x=1"', 'uri = "db:host=a;password=***;x=1"'),
        ('a = [ password = "hunter2" ]', 'a = [ password = "***" ]'),
        ('routes = "apn://gateway.push.apple.com:2195"', 'routes = "apn://gateway.push.apple.com:2195"'),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    (statement,) = Parser("e", "x = 1").statements
    assert concealed(text, statement) == shown


@pytest.mark.parametrize(
    "text",
    [
        'http_basic_auth = "admin:hunter2"',
        'x { db_password = "hunter2" }',
        'datasource "x" { uri = ( "mysql:user=a;password=hunter2" ) }',
        'y = "ldap://me:hunter2@h/"',
    ],
)
def test_no_password_is_in_a_report(text: str) -> None:
    assert "hunter2" not in str(imported(text).report)
