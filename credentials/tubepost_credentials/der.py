"""As much of DER (X.690) as Apple's topic extension needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

_UTF8_STRING = 0x0C
_SEQUENCE = 0x30
_LONG_FORM = 0x80
_MAX_LENGTH_BYTES = 4


def read_topics(value: bytes) -> list[str]:
    """Return the topics of extension 1.2.840.113635.100.6.3.6.

    The value is a SEQUENCE in which a UTF8String (the topic) and a SEQUENCE of UTF8String (the kinds, such
    as `app`, `voip`, `complication`) alternate. Elements of other types are passed over.

    Raises:
        ValueError: not DER, or not a SEQUENCE.
    """
    outer = list(_elements(value))
    if len(outer) != 1 or outer[0][0] != _SEQUENCE:
        raise ValueError("not one SEQUENCE")
    return [content.decode() for tag, content in _elements(outer[0][1]) if tag == _UTF8_STRING]


def write_topics(topics: Mapping[str, Sequence[str]]) -> bytes:
    """The reverse of `read_topics`: the extension's value for topics and their kinds."""
    parts = []
    for topic, kinds in topics.items():
        parts.append(_element(_UTF8_STRING, topic.encode()))
        parts.append(
            _element(_SEQUENCE, b"".join(_element(_UTF8_STRING, kind.encode()) for kind in kinds)),
        )
    return _element(_SEQUENCE, b"".join(parts))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if position + 2 > len(data):
            raise ValueError("truncated element")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & _LONG_FORM:
            count = length & ~_LONG_FORM
            if not 0 < count <= _MAX_LENGTH_BYTES or position + count > len(data):
                raise ValueError("bad length")
            length = int.from_bytes(data[position : position + count], "big")
            position += count
        if position + length > len(data):
            raise ValueError("truncated element")
        yield tag, data[position : position + length]
        position += length


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _LONG_FORM:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, _LONG_FORM | size)) + length.to_bytes(size, "big") + content
