"""`Held`: an object as a store holds it."""

from __future__ import annotations

import msgspec

from rain.common.location import Stored


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
