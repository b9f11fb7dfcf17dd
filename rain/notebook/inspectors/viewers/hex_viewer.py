"""Any bytes, as they are."""

from __future__ import annotations

from rain.notebook.inspectors.limits import HEX_PAGE_ROWS, HEX_ROW_BYTES
from rain.notebook.inspectors.parameters import Parameters
from rain.notebook.inspectors.subject import Page, Subject

_SHOWN = bytes(byte if 0x20 <= byte < 0x7F else ord(".") for byte in range(256))


def hex_rows(data: bytes, offset: int) -> list[list[int | str]]:
    """Rows of offset, bytes in hexadecimal, and what of them is ASCII.

    Examples
    --------
    >>> hex_rows(b"ab\\x00", 32)
    [[32, '61 62 00', 'ab.']]
    """
    rows: list[list[int | str]] = []
    for start in range(0, len(data), HEX_ROW_BYTES):
        row = data[start : start + HEX_ROW_BYTES]
        rows.append([offset + start, row.hex(" "), row.translate(_SHOWN).decode("ascii")])
    return rows


class HexViewer:
    """Pages of `HEX_PAGE_ROWS` rows, which begin at multiples of `HEX_ROW_BYTES`."""

    def __init__(self, subject: Subject) -> None:
        self._ranges = subject.ranges

    def page(self, parameters: Parameters) -> Page:
        size = self._ranges.size
        offset = min(parameters.offset, size)
        offset -= offset % HEX_ROW_BYTES
        data = self._ranges.read(offset, HEX_PAGE_ROWS * HEX_ROW_BYTES)
        return {"offset": offset, "end": offset + len(data), "size": size, "rows": hex_rows(data, offset)}, []
