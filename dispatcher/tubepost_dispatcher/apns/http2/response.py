"""Reading response header blocks: the fields that the engine needs, with HPACK's state kept correct.

The engine announces SETTINGS_HEADER_TABLE_SIZE = 0, so that sooner or later every block stands alone. Until
then a server may fill a table of 4,096 bytes (RFC 9113, section 6.5.2), so `BlockReader` keeps a real decoder
and gives it every block that could touch the table. A block that cannot is scanned without one: most
answers are a status and an id.

A server that acknowledged the size of 0 should start its next block with a table size update (RFC 9113,
section 4.3.1). One that does not is read with the old size, instead of being disconnected: both sides still
agree on the table, and a server whose encoder never had a table has nothing to update.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hpack import Decoder, HPACKError, OversizedHeaderListError

from tubepost_dispatcher.apns.http2.huffman import huffman_decode


class Head(NamedTuple):
    """The header fields of a response that matter here.

    `status` is 0 where there is no `:status`, as in trailers. `huffman`: `apns_id` is still Huffman-coded.
    `malformed` names the fault where RFC 9113, section 8.1.1 calls the block malformed, else it is empty.
    `unique_id`: `apns-unique-id`, of the development environment.
    """

    status: int
    apns_id: bytes
    huffman: bool
    retry_after: bytes
    malformed: str
    unique_id: bytes = b""


class CompressionError(Exception):
    """A block that HPACK cannot read: the connection cannot go on. `oversized`: it was readable, but huge."""

    def __init__(self, text: str, *, oversized: bool = False) -> None:
        super().__init__(text)
        self.oversized = oversized


_STATUS_BY_INDEX: Final = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
_STATUS_INDEX: Final = range(8, 15)
_RETRY_AFTER_INDEX: Final = 53
_LAST_STATIC: Final = 61
_APNS_ID: Final = b"apns-id"
_UNIQUE_ID: Final = b"apns-unique-id"
_RETRY_AFTER: Final = b"retry-after"

# First byte of a literal -> bits of its name index, and whether it adds to the table.
_INCREMENTAL: Final = 0x40
_SIZE_UPDATE: Final = 0x20
_NO_STATUS: Final = "no :status"


def _status(value: bytes) -> int:
    """Read `:status`; 0 for what is no three-digit number."""
    return int(value) if len(value) == 3 and value.isdigit() and value[0] != 0x30 else 0


class BlockReader:
    """Reads the header blocks of one connection, in the order in which they arrive."""

    __slots__ = ("_acknowledged", "_decoder", "form", "standalone")

    def __init__(self, max_list: int) -> None:
        self._decoder = Decoder(max_header_list_size=max_list)
        self._acknowledged = False
        self.standalone = False
        """No table on the server's side any more: a literal that would be added to it is a plain literal."""
        self.form = b"\x88\x00\x07apns-id"
        """How this server starts a 200 with an `apns-id`, up to the value's length: learned from blocks."""

    def acknowledged(self) -> None:
        """Note that the server has acknowledged our SETTINGS."""
        self._acknowledged = True
        self._settle()

    def _settle(self) -> None:
        if self._acknowledged and self._decoder.header_table_size == 0:
            self._decoder.max_allowed_table_size = 0
            self.standalone = True

    def read(self, block: bytes) -> Head:
        """Read one complete block; raises CompressionError."""
        return self._scan(block) or self._decode(block)

    def _scan(self, block: bytes) -> Head | None:
        """Walk a block that leaves the table alone; None where the decoder has to read it.

        None is also the answer to everything unusual, a fault included: the decoder says what it is.
        """
        status = 0
        apns_id = retry_after = unique_id = b""
        huffman = False
        pos = 0
        end = len(block)
        while pos < end:
            byte = block[pos]
            start = pos
            pos += 1
            if byte & 0x80:
                index = byte & 0x7F
                if index not in _STATUS_INDEX or start:
                    # Other static fields do not occur in answers, and a late or second :status is a fault.
                    return None
                status = _STATUS_BY_INDEX[index]
                continue
            if byte & _INCREMENTAL:
                if not self.standalone:
                    return None
                index = byte & 0x3F
                if index > _LAST_STATIC:
                    return None
            elif byte & _SIZE_UPDATE:
                return None
            else:
                index = byte & 0x0F
                if index == 0x0F:
                    if pos >= end or block[pos] > _LAST_STATIC - 0x0F:
                        return None
                    index += block[pos]
                    pos += 1
            name = b""
            if not index:
                coded = _string_at(block, pos, end)
                if coded is None:
                    return None
                name, pos = coded
                if name[:1] in {b":", b""} or name != name.lower():
                    return None
            if pos >= end:
                return None
            flagged = block[pos] & 0x80
            size = block[pos] & 0x7F
            pos += 1
            if size == 0x7F or pos + size > end:
                return None
            value = block[pos : pos + size]
            pos += size
            if index in _STATUS_INDEX or name == _RETRY_AFTER or index == _RETRY_AFTER_INDEX:
                plain = huffman_decode(value) if flagged else value
                if plain is None:
                    return None
                if index in _STATUS_INDEX:
                    status = 0 if start else _status(plain)
                    if not status:
                        return None
                elif not retry_after:
                    retry_after = plain
            elif index and index < 8:
                return None
            elif name == _APNS_ID and not apns_id:
                apns_id = value
                huffman = bool(flagged)
                if start == 1 and block[0] == 0x88:
                    self.form = block[: pos - size - 1]
            else:
                plain = huffman_decode(value) if flagged else value
                if plain is None:
                    return None
                if name == _UNIQUE_ID and not unique_id:
                    unique_id = plain
        if not status:
            return None
        return Head(status, apns_id, huffman, retry_after, "", unique_id)

    def _decode(self, block: bytes) -> Head:
        try:
            fields = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError as error:
            raise CompressionError(str(error), oversized=True) from error
        except HPACKError as error:
            raise CompressionError(str(error)) from error
        self._settle()
        status = 0
        seen_status = False
        seen_regular = False
        apns_id = retry_after = unique_id = b""
        malformed = ""
        for name, value in fields:
            # The library's types say str or bytes; raw=True gives bytes.
            assert isinstance(name, bytes)
            assert isinstance(value, bytes)
            if name == b":status":
                if seen_status or seen_regular:
                    malformed = "a second or late :status"
                seen_status = True
                status = _status(value)
                if not status:
                    malformed = "a :status that is no three-digit number"
                continue
            seen_regular = True
            if not name or name[:1] == b":" or name != name.lower():
                malformed = "a field name that no response may have"
            elif name == _APNS_ID and not apns_id:
                apns_id = value
            elif name == _RETRY_AFTER and not retry_after:
                retry_after = value
            elif name == _UNIQUE_ID and not unique_id:
                unique_id = value
        if not seen_status and not malformed:
            malformed = _NO_STATUS
        return Head(status, apns_id, False, retry_after, malformed, unique_id)


def _string_at(block: bytes, pos: int, end: int) -> tuple[bytes, int] | None:
    """Read a string of less than 127 coded bytes at `pos`; None if there is anything else."""
    if pos >= end:
        return None
    size = block[pos] & 0x7F
    start = pos + 1
    stop = start + size
    if size == 0x7F or stop > end:
        return None
    value = block[start:stop]
    if block[pos] & 0x80:
        decoded = huffman_decode(value)
        return None if decoded is None else (decoded, stop)
    return value, stop


def unique_id_in(fields: bytes) -> bytes:
    """`apns-unique-id` among the fields behind an answer's first ones, empty where there is none.

    For blocks that stand alone; what cannot be read here is not needed.
    """
    pos, end = 0, len(fields)
    while pos < end:
        byte = fields[pos]
        pos += 1
        if byte & 0x80:
            continue
        index = byte & (0x3F if byte & _INCREMENTAL else 0x0F)
        if not byte & _INCREMENTAL and byte & _SIZE_UPDATE:
            break
        if index == 0x0F and not byte & _INCREMENTAL:
            pos += 1  # the rest of a static index
        name = None if index else _string_at(fields, pos, end)
        value = _string_at(fields, pos if name is None else name[1], end)
        if value is None or not (index or name):
            break
        pos = value[1]
        if name is not None and name[0] == _UNIQUE_ID:
            return value[0]
    return b""


def is_trailer(head: Head) -> bool:
    """Whether a block can stand as trailers: no pseudo-header, nothing malformed (RFC 9113, section 8.1)."""
    return head.malformed == _NO_STATUS
