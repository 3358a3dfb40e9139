from __future__ import annotations

from tests.dispatcher.apns.support import certificate_credential, route, token_credential
from tubepost_api.config import RouteTls
from tubepost_dispatcher.apns.pool_key import pool_key


def test_the_key_of_a_pool_changes_with_what_a_pool_depends_on() -> None:
    base = pool_key(route(1), token_credential(), None, None)
    assert base == pool_key(route(1, name="other", topic="x"), token_credential(), None, None)
    others = [
        pool_key(route(2), token_credential(), None, None),
        pool_key(route(1, host="other"), token_credential(), None, None),
        pool_key(route(1), certificate_credential(), None, None),
        pool_key(route(1), None, None, None),
        pool_key(route(1), token_credential(), b"ca", None),
        pool_key(route(1), token_credential(), None, "u:p"),
        pool_key(route(1, proxy="http://p:1"), token_credential(), None, None),
        pool_key(route(1, tls=RouteTls(verify=False)), token_credential(), None, None),
    ]
    assert len({base, *others}) == len(others) + 1
