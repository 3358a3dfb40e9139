from __future__ import annotations

from tubepost_dispatcher.policy.settings import command, environment


def test_no_secret_is_in_the_environment_and_none_is_taken_from_it() -> None:
    assert environment({"TZ": "UTC", "PASSWORD": "x", "PYTHONPATH": "/x"}) == {"LANG": "C.UTF-8", "TZ": "UTC"}
    assert "-I" in command(3, 4, 5)
