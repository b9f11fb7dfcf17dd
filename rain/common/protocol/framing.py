"""Frames: bytes to headers and payloads, without IO.

Theory of operation
-------------------
A frame is two little-endian ``u32`` lengths, then a header (a msgpack item) and a raw payload (may be empty)::

    | header bytes : u32 | payload bytes : u32 | header | payload |

`encode_prefix` gives the prefix and header as one bytes object, the payload stays the caller's buffer: nothing is
joined. `FrameDecoder` takes whatever a socket gave and yields whole frames; it checks both lengths against a maximum
before anything is allocated for them.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

from rain.common.errors import ProtocolError
from rain.common.limits import FRAME_BYTES_MAX

PREFIX = struct.Struct("<II")


def encode_prefix(header: bytes, payload_bytes: int = 0) -> bytes:
    """Prefix and header of a frame whose payload of `payload_bytes` bytes the caller sends right behind.

    Raises
    ------
    ProtocolError
        If the frame would be larger than `FRAME_BYTES_MAX`.
    """
    if len(header) + payload_bytes > FRAME_BYTES_MAX:
        raise ProtocolError(
            f"a message of {len(header) + payload_bytes} bytes is over the limit FRAME_BYTES_MAX "
            f"({FRAME_BYTES_MAX} bytes)"
        )
    return PREFIX.pack(len(header), payload_bytes) + header


class FrameDecoder:
    """Cuts a stream of bytes into frames.

    Parameters
    ----------
    bytes_max : int
        Largest frame accepted.

    Examples
    --------
    >>> decoder = FrameDecoder()
    >>> data = encode_prefix(b"head", 4) + b"body"
    >>> list(decoder.feed(data[:7])), list(decoder.feed(data[7:]))
    ([], [(b'head', b'body')])
    """

    __slots__ = ("_buffer", "_bytes_max")

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[tuple[bytes, bytes]]:
        """Take bytes, yield the frames that are now whole, as (header, payload).

        Raises
        ------
        ProtocolError
            If a length prefix is over the maximum; the stream is unusable afterwards.
        """
        buffer = self._buffer
        if not buffer and isinstance(data, bytes):
            # The common case, whole frames in one read, copies each frame once.
            end = yield from self._cut(data)
            if end < len(data):
                buffer += memoryview(data)[end:]
            return
        buffer += data
        end = yield from self._cut(buffer)
        if end:
            del buffer[:end]

    def _cut(self, data: bytes | bytearray) -> Generator[tuple[bytes, bytes], None, int]:
        """Yield the whole frames of `data`, return where the last one ends."""
        start, size = 0, len(data)
        while size - start >= PREFIX.size:
            header_bytes, payload_bytes = PREFIX.unpack_from(data, start)
            if header_bytes + payload_bytes > self._bytes_max:
                raise ProtocolError(
                    f"a peer announced a frame of {header_bytes + payload_bytes} bytes; "
                    f"FRAME_BYTES_MAX is {self._bytes_max} bytes"
                )
            body = start + PREFIX.size
            end = body + header_bytes + payload_bytes
            if end > size:
                break
            yield bytes(data[body : body + header_bytes]), bytes(data[body + header_bytes : end])
            start = end
        return start

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)
