from __future__ import annotations

import itertools
import mmap
import re
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.smtp import outgoing
from tubepost_dispatcher.smtp.outgoing import LineEnds, clean_slices, stuffed_slices, unmap

_octets = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\0", b"a", b".", b"\r\n."])).map(b"".join)


def normalise(content: bytes, cuts: list[int]) -> bytes:
    ends = LineEnds()
    edges = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    pieces = [ends.feed(content[a:b]) for a, b in itertools.pairwise(edges)]
    return b"".join([*pieces, ends.finish()])


@given(_octets, st.lists(st.integers(0, 200)))
def test_normalising(content: bytes, cuts: list[int]) -> None:
    clean = normalise(content, cuts)
    assert clean == normalise(content, [])
    assert clean.endswith(b"\r\n")
    assert clean.count(b"\r") == clean.count(b"\n") == clean.count(b"\r\n")
    assert b"\0" not in clean
    assert normalise(clean, cuts) == clean
    assert re.sub(rb"[\r\n]", b"", clean) == re.sub(rb"[\r\n\0]", b"", content)


@given(_octets)
def test_slices_of_any_size_make_the_same_mail(content: bytes) -> None:
    clean = normalise(content, [])
    stuffed = (b"\r\n" + clean).replace(b"\r\n.", b"\r\n..")[2:]
    with pytest.MonkeyPatch.context() as patch:
        for size in (1, 2, 3, 1_000):
            patch.setattr(outgoing, "SLICE", size)
            assert b"".join(clean_slices(content)) == clean
            assert b"".join(clean_slices(memoryview(content))) == clean
            assert b"".join(stuffed_slices(content)) == stuffed


def test_a_mapped_file_is_read_in_slices_and_its_pages_given_back() -> None:
    content = b"x" * 3_000_000 + b"\n" * 100 + b"."
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        slices = list(clean_slices(memoryview(mapped)[10:]))
        unmap(mapped)
        assert mapped[:] == content
    assert max(len(piece) for piece in slices) <= 2 * outgoing.SLICE
    assert b"".join(slices) == content[10:].replace(b"\n", b"\r\n") + b"\r\n"
