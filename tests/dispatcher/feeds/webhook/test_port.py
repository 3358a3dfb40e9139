from __future__ import annotations

import pytest

from tubepost_dispatcher.feeds.webhook.port import origin_of


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:secret@hooks.example/path/secret?key=secret", "https://hooks.example"),
        ("http://10.0.0.1:8080/x", "http://10.0.0.1:8080"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443"),
        ("https://x:99999999/", "an invalid URL"),
    ],
)
def test_no_secret_of_a_url_is_told(url: str, told: str) -> None:
    assert origin_of(url) == told
