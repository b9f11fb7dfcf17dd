"""Frames come out of a byte stream whole and in order, however the stream was cut; a bad one stops at its prefix."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain.common.errors import ProtocolError
from rain.common.limits import FRAME_BYTES_MAX
from rain.common.protocol.framing import PREFIX, FrameDecoder, encode_prefix

frames = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=8)


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(encode_prefix(header, len(payload)) + payload for header, payload in parts)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(frames, st.lists(st.integers(min_value=0, max_value=10_000), max_size=20), st.sampled_from([bytes, bytearray]))
def test_any_split_gives_the_same_frames(
    parts: list[tuple[bytes, bytes]], cuts: list[int], kind: type[bytes] | type[bytearray]
) -> None:
    decoder = FrameDecoder()
    out = [frame for piece in pieces(joined(parts), cuts) for frame in decoder.feed(kind(piece))]
    assert out == parts
    assert decoder.pending_bytes == 0


@given(frames)
def test_byte_by_byte(parts: list[tuple[bytes, bytes]]) -> None:
    decoder = FrameDecoder()
    out = [frame for byte in joined(parts) for frame in decoder.feed(memoryview(bytes([byte])))]
    assert out == parts


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error_or_an_unfinished_frame(data: bytes) -> None:
    decoder = FrameDecoder(bytes_max=64)
    try:
        out = list(decoder.feed(data))
    except ProtocolError:
        return
    assert sum(PREFIX.size + len(a) + len(b) for a, b in out) + decoder.pending_bytes == len(data)


@pytest.mark.parametrize(
    ("header_bytes", "payload_bytes"), [(FRAME_BYTES_MAX + 1, 0), (0, FRAME_BYTES_MAX + 1), (2**32 - 1, 2**32 - 1)]
)
def test_a_length_over_the_limit_is_refused_by_its_prefix_alone(header_bytes: int, payload_bytes: int) -> None:
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError, match="FRAME_BYTES_MAX"):
        list(decoder.feed(struct.pack("<II", header_bytes, payload_bytes)))
    assert decoder.pending_bytes <= PREFIX.size


def test_frames_before_a_bad_one_are_given() -> None:
    decoder = FrameDecoder(bytes_max=10)
    stream = decoder.feed(encode_prefix(b"good") + struct.pack("<II", 11, 0))
    assert next(stream) == (b"good", b"")
    with pytest.raises(ProtocolError):
        next(stream)


def test_too_large_to_send_names_the_limit() -> None:
    with pytest.raises(ProtocolError, match="FRAME_BYTES_MAX"):
        encode_prefix(b"", FRAME_BYTES_MAX + 1)
    assert encode_prefix(b"ab", 3) == b"\x02\0\0\0\x03\0\0\0ab"
