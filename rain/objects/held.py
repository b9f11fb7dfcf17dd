"""`Held`: an object as a store holds it."""

from __future__ import annotations

import msgspec

from rain.common.location import LocalFile


class Held(msgspec.Struct, gc=False):
    """An object that this process can give to others; either `data` or `file` is set.

    Attributes
    ----------
    size : int
        Bytes; of a directory the sum of its files.
    data : bytes or None
    file : LocalFile or None
        A read-only file. Of a directory object a directory, or a file that is its tar archive (large constants at the
        server).
    checksum : int or None
        xxh3-64 of a blob's bytes.
    is_dir : bool
    """

    size: int
    data: bytes | None = None
    file: LocalFile | None = None
    checksum: int | None = None
    is_dir: bool = False
