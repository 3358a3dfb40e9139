from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_dispatcher.feeds.webhook.signature import HEADER, signature


def test_the_header_names_time_and_version() -> None:
    assert HEADER == "Tubepost-Signature"
    assert signature(b"k" * 32, 1767225600, b"[]").startswith("t=1767225600,v1=")
    assert len(signature(b"k" * 32, 1767225600, b"[]")) == len("t=1767225600,v1=") + 64


def test_openssl_computes_the_same() -> None:
    openssl = shutil.which("openssl")
    assert openssl is not None, "install openssl: it is the other side of this test"

    @settings(max_examples=10, deadline=None)
    @given(st.from_regex(r"[0-9a-f]{32,64}", fullmatch=True), st.integers(0, 2**33), st.binary(max_size=200))
    def agree(key: str, timestamp: int, body: bytes) -> None:
        command = [openssl, "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"key:{key}", "-r"]
        told = subprocess.run(
            command, input=b"%d." % timestamp + body, capture_output=True, check=True
        ).stdout
        assert signature(key.encode(), timestamp, body) == f"t={timestamp},v1={told.split()[0].decode()}"

    agree()


@pytest.mark.parametrize(("key", "timestamp", "body"), [(b"K", 1, b"a"), (b"k", 2, b"a"), (b"k", 1, b"b")])
def test_another_key_time_or_body_makes_another(key: bytes, timestamp: int, body: bytes) -> None:
    assert signature(key, timestamp, body) != signature(b"k", 1, b"a")
