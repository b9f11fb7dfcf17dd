"""Frames of cbor-1: a little-endian ``u32`` length and one CBOR item ``[message, data]``. Nothing here does IO."""

from __future__ import annotations

import reprlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import cbor2

from rain.common.errors import RainException
from rain.common.limits import CBOR_FRAME_BYTES_MAX
from rain.common.protocol.encoding import safe
from rain.objects.content_types import cbor_values

_LENGTH = struct.Struct("<I")
_SHOWN_CHARS = 80


class Cbor1Error(RainException):
    """An executor sent what cbor-1 does not allow. The text continues a sentence that begins with the executor."""


def encode_frame(message: str, data: Mapping[str, Any]) -> bytes:
    """One frame.

    Raises
    ------
    Cbor1Error
        If `data` holds something that has no CBOR form, or is too long.
    """
    try:
        try:
            item = cbor_values.dumps([message, data])
        except UnicodeEncodeError:
            item = cbor_values.dumps(safe([message, data]))
    except (cbor2.CBOREncodeError, ValueError, TypeError, RecursionError) as error:
        raise Cbor1Error(f"cannot be sent the {message}: {error}") from None
    if len(item) > CBOR_FRAME_BYTES_MAX:
        raise Cbor1Error(
            f"cannot be sent a {message} of {len(item)} bytes; CBOR_FRAME_BYTES_MAX is {CBOR_FRAME_BYTES_MAX}"
        )
    return _LENGTH.pack(len(item)) + item


class FrameReader:
    """Cuts what a socket gives into messages.

    Examples
    --------
    >>> reader = FrameReader()
    >>> frame = encode_frame("drop_cached", {"objects": []})
    >>> list(reader.feed(frame[:9])), list(reader.feed(frame[9:]))
    ([], [('drop_cached', {'objects': []})])
    """

    def __init__(self, bytes_max: int = CBOR_FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max

    def feed(self, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """Take bytes, yield the messages that are now whole.

        Raises
        ------
        Cbor1Error
            If a frame is too long, or is not a message.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(buffer, start)
                if length > self._bytes_max:
                    raise Cbor1Error(
                        f"announced a frame of {length} bytes; CBOR_FRAME_BYTES_MAX is {self._bytes_max} bytes"
                    )
                end = start + _LENGTH.size + length
                if len(buffer) < end:
                    return
                item = bytes(memoryview(buffer)[start + _LENGTH.size : end])
                start = end
                yield decode_item(item)
        finally:
            del buffer[:start]


def decode_item(item: bytes) -> tuple[str, dict[str, Any]]:
    """The message in a frame.

    Raises
    ------
    Cbor1Error
        If it is not CBOR, or not of the form ``[message, data]``.
    """
    try:
        value = cbor_values.loads(item)
    except Exception as error:  # beside its own errors the library lets those of the values' constructors through
        raise Cbor1Error(f"sent a frame of {len(item)} bytes that is not CBOR: {error}") from None
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)):
        raise Cbor1Error(f"sent {shown(value)} instead of [message, data]")
    return value[0], value[1]


class _Short(reprlib.Repr):
    """`repr` whose cost does not grow with the value."""

    def repr_bytes(self, value: bytes, _level: int) -> str:
        return f"{len(value)} bytes"


_short = _Short()


def shown(value: Any) -> str:
    """A value from outside, short enough for an error's text."""
    try:
        text = _short.repr(value)
    except Exception:  # as of an integer with too many digits
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
