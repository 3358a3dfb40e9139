from __future__ import annotations

from tubepost_runtime.json_line import encode


def test_disguises_are_escaped() -> None:
    assert (
        encode({"a": "\x7f\x9b\u2028\u202e\u2066é"}) == b'{"a":"\\u007f\\u009b\\u2028\\u202e\\u2066\\u00e9"}'
    )
    assert encode({"a": "Zoë"}) == '{"a":"Zoë"}'.encode()
    assert encode({"a": "\udc80\x7f"}) == b'{"a":"\\udc80\\u007f"}'
