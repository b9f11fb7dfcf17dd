"""`RemoteReader`: an object at a governor or server elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rain.objects.readers.entries import NotInside, size_of
from rain.objects.readers.reader import ObjectReader

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from rain.common.protocol.messages import Listing


class RemoteBytes(Protocol):
    """Asks the holders of one object. All methods block."""

    def read(self, offset: int, length: int | None, path: str | None = None) -> Buffer:
        """Bytes from `offset` on (`length` None: to the end): of the object, or of the file `path` inside it."""

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        """As `ObjectReader.look`."""

    def save(self, path: str) -> None:
        """Stream the object into the new file or directory `path`."""


class RemoteReader(ObjectReader):
    """An object at a governor or server elsewhere, or a file inside it.

    Parameters
    ----------
    remote : RemoteBytes
    size : int
    is_dir : bool
    path : str or None
        Of the file inside the object; None for the object itself.
    """

    __slots__ = ("_path", "_remote", "is_dir", "size")

    def __init__(self, remote: RemoteBytes, size: int, is_dir: bool, path: str | None = None) -> None:
        self._remote = remote
        self._path = path
        self.size = size
        self.is_dir = is_dir

    def _read(self, offset: int, length: int | None) -> Buffer:
        if self._path is None:
            return self._remote.read(offset, length)
        return self._remote.read(offset, length, self._path)

    def save(self, path: str) -> None:
        if self._path is None:
            self._remote.save(path)
        else:
            super().save(path)

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        if not self.is_dir:
            raise NotInside("this is a blob, not a directory: there is nothing inside")
        return self._remote.look(path, offset, count)

    def file(self, path: str) -> ObjectReader:
        return RemoteReader(self._remote, size_of(self.look(path, 0, 0), path), False, path)
