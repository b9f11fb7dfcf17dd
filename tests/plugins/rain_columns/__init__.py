"""A content type from outside the package: ``plugin/columns``, named columns of floats.

The bytes are a line of JSON with the names and the number of rows, and then the columns as little-endian doubles, so
that they could be mapped. `tests/plugins/conftest.py` says how it is installed.
"""

from __future__ import annotations

import array
import json
import sys
from typing import Any

from rain.objects.content_types import ContentType


class Columns(ContentType):
    """Dicts of lists of floats, all of one length."""

    extensions = ("columns",)
    mime_types = ("application/x-columns",)
    advice = "give a dict of lists of floats"

    def encode(self, value: Any, name: str) -> list[bytes]:
        rows = {len(column) for column in value.values()}
        if len(rows) > 1:
            raise ValueError(f"the columns have different lengths: {sorted(rows)}")
        pieces = [json.dumps({"names": list(value), "rows": rows.pop() if rows else 0}).encode() + b"\n"]
        for column in value.values():
            numbers = array.array("d", column)
            if sys.byteorder == "big":
                numbers.byteswap()
            pieces.append(numbers.tobytes())
        return pieces

    def decode(self, data: Any, name: str) -> dict[str, list[float]]:
        head, _, body = bytes(data).partition(b"\n")
        described = json.loads(head)
        if len(body) != 8 * described["rows"] * len(described["names"]):
            raise ValueError("the data are cut off")
        numbers = array.array("d", body)
        if sys.byteorder == "big":
            numbers.byteswap()
        rows = described["rows"]
        return {name: numbers[i * rows : (i + 1) * rows].tolist() for i, name in enumerate(described["names"])}
