"""Any bytes, as they are."""

from __future__ import annotations

from rain.common.formatting import exact_size_text
from rain.notebook.inspectors.limits import HEX_PAGE_ROWS, HEX_ROW_BYTES
from rain.notebook.inspectors.subject import PageWithBuffers, Subject
from rain.notebook.protocol.data import HexPage, HexRow
from rain.notebook.protocol.requests import Inspect

_SHOWN = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))


def hex_rows(data: bytes, offset: int) -> list[HexRow]:
    """Rows of offset, bytes in hexadecimal, and what of them is ASCII.

    Examples
    --------
    >>> hex_rows(b"ab\\x00", 32)
    [HexRow(offset=32, hex='61 62 00', text='ab.')]
    """
    rows = []
    for start in range(0, len(data), HEX_ROW_BYTES):
        row = data[start : start + HEX_ROW_BYTES]
        rows.append(HexRow(offset + start, row.hex(" "), row.translate(_SHOWN).decode("ascii")))
    return rows


class HexViewer:
    """Pages of `HEX_PAGE_ROWS` rows, which begin at multiples of `HEX_ROW_BYTES`."""

    def __init__(self, subject: Subject) -> None:
        self._ranges = subject.ranges

    def page(self, asked: Inspect) -> PageWithBuffers:
        size = self._ranges.size
        offset = min(asked.offset, size)
        offset -= offset % HEX_ROW_BYTES
        data = self._ranges.read(offset, HEX_PAGE_ROWS * HEX_ROW_BYTES)
        end, rows = offset + len(data), hex_rows(data, offset)
        return HexPage(offset=offset, end=end, size=size, size_text=exact_size_text(size), rows=rows), []
