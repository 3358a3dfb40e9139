from __future__ import annotations

from tubepost_runtime.proxy_variables import proxy_variables


def test_those_that_are_set_are_named() -> None:
    environment = {
        "HTTPS_PROXY": "http://user:secret@proxy.example:3128",
        "http_proxy": "http://proxy.example:3128",
        "ALL_PROXY": "",
        "NO_PROXY": "10.0.0.0/8",
        "PATH": "/bin",
    }
    assert proxy_variables(environment) == ("HTTPS_PROXY", "http_proxy")
    assert proxy_variables({}) == ()
