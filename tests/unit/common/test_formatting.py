"""Texts that several parts of Rain write in the same way."""

from __future__ import annotations

import pytest

from rain.common.formatting import size_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (10 << 30, "10.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    """The browser writes the same: frontend/src/format.test.ts has the same values."""
    assert size_text(size) == text
