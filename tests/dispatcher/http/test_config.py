from __future__ import annotations

import pytest

from tests.dispatcher.http.support import BEARER, Acceptor, effective


async def test_bearer_tokens() -> None:
    config = effective(Acceptor(), tokens={"app": BEARER, "other": "another-token-there-is"})
    name, digest = config.client(f"Bearer {BEARER}".encode())
    assert name == "app"
    assert config.client(f"bearer  {BEARER} ".encode()) == ("app", digest)
    assert config.client(b"Bearer another-token-there-is")[0] == "other"
    for wrong in (b"", b"Bearer", b"Bearer ", f"Basic {BEARER}".encode(), BEARER.encode(), b"Bearer x"):
        assert config.client(wrong)[0] is None
    assert BEARER.encode() not in repr(config._clients).encode()


async def test_networks() -> None:
    config = effective(Acceptor(), networks=("10.0.0.0/8", "fd00::/8"))
    assert config.allows("10.1.2.3")
    assert config.allows("fd00::1")
    assert not config.allows("192.0.2.1")
    assert not config.allows("")
    assert effective(Acceptor()).allows("192.0.2.1")
    with pytest.raises(ValueError, match=r"10\.0\.0"):
        effective(Acceptor(), networks=("10.0.0",))
