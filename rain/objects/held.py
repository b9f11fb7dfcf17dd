"""`Held`: an object as a store holds it."""

from __future__ import annotations

import msgspec

from rain.common.location import Inline, LocalFile, Stored


class Held(msgspec.Struct, gc=False):
    """An object that this process can give to others.

    Attributes
    ----------
    location : Inline or LocalFile
        Of a directory object a directory, or its tar archive (as messages and large constants have it).
    is_dir : bool
    """

    location: Stored
    is_dir: bool = False

    @property
    def size(self) -> int:
        """Bytes; of a directory the sum of its files."""
        return self.location.size

    @property
    def data(self) -> bytes | None:
        """Its bytes; None if they are in a file."""
        return self.location.data if isinstance(self.location, Inline) else None

    @property
    def file(self) -> LocalFile | None:
        """Its file or directory; None if it is in memory."""
        return self.location if isinstance(self.location, LocalFile) else None

    @property
    def checksum(self) -> int | None:
        """xxh3-64 of a blob's bytes, where known."""
        return self.location.checksum
