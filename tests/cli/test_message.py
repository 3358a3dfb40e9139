from __future__ import annotations

from email import message_from_bytes

from tubepost_cli.message import push_message


def build(payload: bytes = b'{"aps":{}}', **changes: object) -> bytes:
    values: dict[str, object] = {"sender": "a@b.example", "recipient": "x@push.example", "token": "ab" * 32}
    return push_message(payload, **{**values, **changes})  # type: ignore[arg-type]


def test_one_push_part_with_token_headers_and_payload() -> None:
    message = message_from_bytes(build(headers={"apns-topic": "com.example.app"}))
    assert message.get_content_type() == "multipart/vnd.msys.mcmt"
    assert (message["From"], message["To"]) == ("a@b.example", "x@push.example")
    inner = build(headers={"apns-topic": "com.example.app"}).split(b"\r\n\r\n")[2:]
    assert inner[0].split(b"\r\n") == [b"X-Device-Token: " + b"ab" * 32, b"apns-topic: com.example.app"]
    assert inner[1].startswith(b'{"aps":{}}\r\n--')


def test_the_token_can_be_left_out() -> None:
    assert b"X-Device-Token" not in build(token=None)


def test_a_payload_beyond_ascii_is_declared_8bit() -> None:
    assert b"Content-Transfer-Encoding: 7bit\r\n" in build()
    assert b"Content-Transfer-Encoding: 8bit\r\n" in build('{"aps":{"alert":"Zoë"}}'.encode())


def test_line_ends_are_crlf_whatever_the_payload_has() -> None:
    for payload in (b"{\n}", b"{\r\n}"):
        assert build(payload).replace(b"\r\n", b"").count(b"\n") == 0


def test_every_message_has_a_boundary_of_its_own() -> None:
    assert message_from_bytes(build()).get_boundary() != message_from_bytes(build()).get_boundary()
