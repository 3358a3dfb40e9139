"""HPACK's Huffman code, decoded a byte at a time (RFC 7541, section 5.2 and appendix B)."""

from __future__ import annotations

from typing import Final

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

_EOS: Final = 256
_DEAD: Final = -1


def _grow() -> tuple[list[list[int]], frozenset[int]]:
    """Return the prefix tree and the nodes where a string may end.

    A node is its two children; a child is another node's index, or `-2 - symbol` for a leaf. A string may
    end at the root or after up to seven one-bits, which is how padding looks.
    """
    tree: list[list[int]] = [[_DEAD, _DEAD]]
    for symbol, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if tree[node][bit] == _DEAD:
                tree[node][bit] = len(tree)
                tree.append([_DEAD, _DEAD])
            node = tree[node][bit]
        tree[node][code & 1] = -2 - symbol
    ends = [0]
    for _ in range(7):
        ends.append(tree[ends[-1]][1])
    return tree, frozenset(ends)


_TREE, _ENDS = _grow()
# (node << 8 | byte) -> (decoded bytes, next node); filled as bytes are met, at most 256 nodes x 256 bytes.
_STEPS: dict[int, tuple[bytes, int]] = {}


def _step(node: int, byte: int) -> tuple[bytes, int]:
    key = node << 8 | byte
    decoded = bytearray()
    for shift in range(7, -1, -1):
        node = _TREE[node][byte >> shift & 1]
        if node < _DEAD:
            symbol = -2 - node
            if symbol == _EOS:
                node = _DEAD
                break
            decoded.append(symbol)
            node = 0
    step = (bytes(decoded), node)
    _STEPS[key] = step
    return step


def huffman_decode(coded: bytes) -> bytes | None:
    """Decode a Huffman-coded string; None where it holds EOS or ends in what is no padding."""
    node = 0
    parts = []
    known = _STEPS.get
    for byte in coded:
        part, node = known(node << 8 | byte) or _step(node, byte)
        if node < 0:
            return None
        parts.append(part)
    return b"".join(parts) if node in _ENDS else None
