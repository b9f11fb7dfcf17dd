"""Texts that several parts of Rain write in the same way."""

from __future__ import annotations

import pytest

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes, size_text
from rain.common.protocol.address import parse_address


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        ((1 << 40) - 1, "1.0 TiB"),
        (10 << 30, "10.0 GiB"),
        (3 << 40, "3.0 TiB"),
        (5000 << 40, "5000.0 TiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize("text", ["", "x", "-1", "9" * 400, "1 X"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(RainException, match="is not a size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    "text", ["host:", "host:70000", "host:²", ":" + "9" * 5000, "a b", "[::1", "\ud800", "x" * 64, "a..b"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(RainException, match="is not an address"):
        parse_address(text)


def test_what_only_looks_like_a_port_is_a_host() -> None:
    assert parse_address("²") == ("²", 7210)
