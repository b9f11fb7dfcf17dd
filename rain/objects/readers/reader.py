"""`ObjectReader`: what every reader can do, with defaults made of one method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.limits import CHUNK_BYTES
from rain.host.descriptors import opened
from rain.objects import archive, dirtree
from rain.objects.files import no_room
from rain.objects.readers.entries import Entry, NotInside, all_entries

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from typing_extensions import Buffer

    from rain.common.protocol.messages import Listing

PIECE_BYTES = 8 * CHUNK_BYTES
"""How much is read at once of what is not in memory."""


class ObjectReader:
    """The bytes of a finished object. All methods may block.

    A class of readers gives `size` and `_read`.

    Attributes
    ----------
    size : int
        Bytes; of a directory the sum of its files.
    is_dir : bool
        Whether it is a directory. Its bytes are those of a tar archive.
    in_memory : bool
        Whether `pieces` never blocks.

    Examples
    --------
    >>> class Zeros(ObjectReader):
    ...     size = 4
    ...
    ...     def _read(self, offset, length):
    ...         return bytes(self.size)[offset : None if length is None else offset + length]
    >>> Zeros().read(1, 2), Zeros().buffer().nbytes
    (b'\\x00\\x00', 4)
    """

    __slots__ = ()

    size: int
    is_dir = False
    in_memory = False

    def _read(self, offset: int, length: int | None) -> Buffer:
        """Bytes from `offset` on, at most `length` of them (None: to the end)."""
        raise NotImplementedError

    @property
    def stream_size(self) -> int | None:
        """How many bytes `read` gives; None where that is known only afterwards (a directory)."""
        return None if self.is_dir else self.size

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes from `offset` on; of a directory those of its tar archive.

        Parameters
        ----------
        offset : int
        length : int or None
            At most so many bytes; None: to the end.

        Raises
        ------
        RainException
            If the data cannot be had any more.
        """
        return bytes(self._read(offset, length))

    def pieces(self, offset: int = 0, length: int | None = None) -> Generator[Buffer, None, None]:
        """As `read`, in pieces, of which each is valid until the next."""
        end = self.stream_size
        if end is None:
            yield self._read(offset, length)
            return
        end = end if length is None else min(offset + length, end)
        while offset < end:
            piece = memoryview(self._read(offset, min(PIECE_BYTES, end - offset)))
            if not piece:
                return
            yield piece
            offset += len(piece)

    def buffer(self, writable: bool = False) -> memoryview:
        """All bytes, mapped where they can be.

        Parameters
        ----------
        writable : bool
            Whether the memory is the caller's own (copy-on-write), else it is read-only. Where such memory cannot be
            had without a copy it is read-only all the same, and a `RainWarning` says why.

        Raises
        ------
        RainException
            If the data cannot be had any more.
        """
        data = memoryview(self._read(0, None))
        if not writable:
            return data.toreadonly()
        return memoryview(bytearray(data)) if data.readonly else data

    def path(self) -> str | None:
        """The read-only file or directory on this host, None where there is none."""
        return None

    def save(self, path: str) -> None:
        """Make a writable copy at the new path `path`.

        Raises
        ------
        RainException
            If the data cannot be had any more, or the disk is full; nothing is left at `path` then.
        """
        if self.is_dir:
            archive.unpack(self.pieces(), path)
        else:
            write_new(path, self.pieces())

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        """What `path` is inside a directory, and of a folder some of its entries: one answer of a holder.

        Parameters
        ----------
        path : str
            As of `entries`.
        offset : int
            The first entry to be given.
        count : int or None
            At most so many, and at most `LISTING_ENTRIES_MAX`.

        Raises
        ------
        NotInside
            If there is nothing of that name inside.
        """
        raise NotInside("this is a blob, not a directory: there is nothing inside")

    def entries(self, path: str = "", offset: int = 0, count: int | None = None) -> tuple[list[Entry], int]:
        """What is in a folder of a directory, in the order of names; and how many entries the folder has.

        Parameters
        ----------
        path : str
            With slashes; ``""`` is the top. Links are followed where they stay inside.
        offset : int
            The first entry to be given.
        count : int or None
            At most so many.

        Raises
        ------
        NotInside
            If it is a blob, or there is no such folder inside.
        RainException
            If the data cannot be had any more.
        """
        return all_entries(self.look, path, offset, count)

    def file(self, path: str) -> ObjectReader:
        """One file inside a directory; `path` as of `entries`.

        Raises
        ------
        NotInside
            If it is a blob, or there is no such file inside.
        RainException
            If the data cannot be had any more.
        """
        raise NotInside("this is a blob, not a directory: there is nothing inside")


def write_new(path: str, pieces: Iterable[Buffer]) -> None:
    """Write a new file, or leave none.

    Raises
    ------
    FileExistsError
        If there is a file.
    ResourceError
        If the disk is full.
    """
    try:
        with opened(open, path, "xb", buffering=0) as target:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[target.write(view) :]
    except FileExistsError:
        raise
    except OSError as error:
        dirtree.remove_file(path)
        raise (no_room(error, path) or error) from None
    except BaseException:
        dirtree.remove_file(path)
        raise
