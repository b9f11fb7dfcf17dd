"""Values of constant objects, from where they are made to where they are sent.

Small values stay in memory and travel inside the submit. A large one is a file in the server's incoming folder where
the server is on this host: encoded straight into it, once; the server takes the file over. That folder is in memory;
values for which it has no room go to a folder on disk. For servers elsewhere a large value is sent over a data
connection when the object is submitted.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rain.client.core.errors import ValueGone
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline, LocalFile, Stored
from rain.host.descriptors import opened
from rain.objects.content_types.codecs import encode_to_file, encode_value
from rain.objects.intake import Folders, Intake
from rain.objects.memory import map_fd
from rain.objects.readers import BytesReader, FileReader, ObjectReader
from rain.objects.sink import NEVER_INLINE, FullMark, Sink
from rain.processes.scratch import UPLOADS, Scratch

if TYPE_CHECKING:
    from rain.client.data import DataObject


class Value:
    """The bytes of a constant.

    Attributes
    ----------
    size : int
        Bytes that are sent.
    content_size : int
        Bytes of the object; of a directory the sum of its files, without what the archive adds.
    data : bytes or None
        The bytes, where they are in memory.
    name : str
        The file's path below the server's incoming folder; empty while there is no file.
    path : str
        The path of that file for this process; empty if there is no file, or the server has taken it over.
    checksum : int or None
        xxh3-64 of a file's bytes.
    encoded : bool
        Whether it was made from a value here.
    inside : tuple of DataObject
        Objects that the value refers to, if it is an argument.
    """

    __slots__ = ("_in_memory", "_map", "checksum", "content_size", "data", "encoded", "inside", "name", "path", "size")

    def __init__(self, data: bytes | None, size: int) -> None:
        self.data = data
        self.size = self.content_size = size
        self.name = ""
        self.path = ""
        self.checksum: int | None = None
        self.encoded = False
        self.inside: tuple[DataObject, ...] = ()
        self._map: memoryview | None = None
        self._in_memory: Room | None = None  # the room in which its file is counted

    def __del__(self) -> None:
        if self._in_memory is not None:
            self._in_memory.used -= self.size
        if self.path:
            _unlink(self.path)

    @property
    def readable(self) -> str:
        """The path of a file with the bytes; empty if there is none, or none any more."""
        return self.path

    @property
    def stays(self) -> bool:
        """Whether the bytes are here until the value is gone, also once they were sent."""
        return self.data is not None

    def reader(self) -> ObjectReader:
        """Reads the bytes."""
        return FileReader(self.readable) if self.data is None else BytesReader(self.data)

    def get_bytes(self) -> bytes:
        """The bytes, from memory or from the file."""
        if self.data is not None:
            return self.data
        assert self._map is not None
        return bytes(self._map)

    def view(self) -> memoryview:
        """The bytes without a copy."""
        if self.data is not None:
            return memoryview(self.data)
        assert self._map is not None
        return self._map

    def put_down(self, room: Room) -> None:
        """Write bytes that are in memory as a file into the incoming folder.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        stored = room.sink(NEVER_INLINE).write_all([self.view()])
        assert isinstance(stored, LocalFile)
        self._lies_at(stored, room)

    def _lies_at(self, file: LocalFile, room: Room) -> None:
        self.name, self.path, self.checksum = _upload_name(file.path), file.path, file.checksum
        room.count(self)

    def hand_over(self) -> None:
        """The file belongs to the server now."""
        self.path = ""

    @classmethod
    def of(cls, stored: Stored, room: Room) -> Value:
        """The value that a sink of `room` took."""
        if isinstance(stored, Inline):
            return cls(stored.data, stored.size)
        value = cls(None, stored.size)
        value._lies_at(stored, room)
        fd = opened(os.open, value.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            value._map = map_fd(fd, value.size)
        finally:
            os.close(fd)
        return value


class FileValue(Value):
    """The bytes of a file of the user's, which stays where it is: they are mapped when they are asked for.

    Raises
    ------
    OSError
        If it cannot be read, or is no file.
    """

    __slots__ = ("_seen", "_source")

    def __init__(self, path: str) -> None:
        super().__init__(None, 0)
        self._source = os.path.abspath(path)
        fd = opened(os.open, self._source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._seen = _seen(fd)
        finally:
            os.close(fd)
        self.size = self.content_size = self._seen[0]

    @property
    def readable(self) -> str:
        return self.path or self._source

    def view(self) -> memoryview:
        try:
            fd = opened(os.open, self._source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ValueGone(f"{self._source} cannot be read any more: {error.strerror}") from None
        try:
            if _seen(fd) != self._seen:
                raise ValueGone(f"{self._source} was changed after it was given to files(): give it once more")
            return map_fd(fd, self.size) if self.size else memoryview(b"")
        finally:
            os.close(fd)

    def get_bytes(self) -> bytes:
        return bytes(self.view())


def _seen(fd: int) -> tuple[int, int]:
    """Size and time of the last change of a file.

    Raises
    ------
    OSError
        If it is no file.
    """
    found = os.fstat(fd)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "is no regular file")
    return found.st_size, found.st_mtime_ns


class Uploads:
    """This client's own folder in the server's folder for uploads, made when it is first needed.

    The client's folder is locked while this process lives: from a folder without a lock nothing will be submitted.

    Parameters
    ----------
    incoming : str
        The server's folder; empty if the server is on another host.
    """

    def __init__(self, incoming: str) -> None:
        self.incoming = incoming
        self._lock = threading.Lock()
        self._scratch: Scratch | None = None

    def folder(self) -> str:
        """The folder into which constants may be written; empty if they are to be sent instead."""
        if not self.incoming:
            return ""
        with self._lock:
            if self._scratch is None:
                try:
                    self._scratch = Scratch(self.incoming, UPLOADS)
                except OSError:  # another user's server, or its memory is full
                    self.incoming = ""
                    return ""
            return self._scratch.path

    def close(self) -> None:
        """Remove the files that were not submitted."""
        with self._lock:
            self.incoming = ""
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None


def _upload_name(path: str) -> str:
    """The name under which the server finds a file of this client's folder."""
    folder, name = os.path.split(path)
    return f"{os.path.basename(folder)}/{name}"


class Room:
    """The folders into which a client on the server's host writes large constants: one in memory while that has room,
    and one on disk.

    Parameters
    ----------
    incoming, incoming_disk : str
        The server's folders; both are empty if the server is on another host, `incoming_disk` also where there is one
        folder only.
    bytes_max : int
        How much the server allows in `incoming`.

    Attributes
    ----------
    used : int
        Bytes in `incoming` of the values that this client still knows.
    """

    def __init__(self, incoming: str, incoming_disk: str, bytes_max: int) -> None:
        self._memory = Uploads(incoming)
        self._disk = Uploads(incoming_disk)
        self._bytes_max = bytes_max
        self.used = 0

    def folder(self) -> str:
        """The folder in which files are begun; empty if constants are to be sent instead."""
        return self._memory.folder() or self._disk.folder()

    def sink(self, inline_max: int = INLINE_BYTES_MAX) -> Sink:
        """A sink for one value."""
        memory, disk = self._memory.folder(), self._disk.folder()
        full = FullMark.is_in(self._memory.incoming)
        left = 0 if full else max(0, self._bytes_max - self.used)
        return Intake(Folders(memory or disk, disk or memory, left), new_name()).sink(inline_max=inline_max)

    def count(self, value: Value) -> None:
        """Count a value whose file was written, if the file is in memory."""
        if os.path.dirname(value.path) == self._memory.folder() and value._in_memory is None:
            value._in_memory = self
            self.used += value.size

    def close(self) -> None:
        """Remove the files that were not submitted."""
        self._memory.close()
        self._disk.close()


def new_name() -> str:
    """A name for a constant's file."""
    return secrets.token_hex(16)


def encoded(obj: Any, content_type: str, room: Room | None) -> Value:
    """`obj`, as it is now, encoded as `content_type`; in a file of `room` if it is large.

    Raises
    ------
    RainException
        If `obj` cannot be encoded in that way.
    ValueError
        If there is no such content type.
    """
    if room is None or not room.folder():
        data = encode_value(obj, content_type)
        value = Value(data, len(data))
    else:
        value = Value.of(encode_to_file(obj, content_type, room.sink()), room)
    value.encoded = True
    return value


def gathered(pieces: Iterable[Any], room: Room | None) -> Value:
    """The buffers `pieces` joined to one value; in a file of `room` if it is large. Each may be overwritten when the
    next is asked for, as those of `pack` are."""
    if room is None or not room.folder():
        joined = io.BytesIO()
        for piece in pieces:
            joined.write(piece)
        data = joined.getvalue()
        return Value(data, len(data))
    return Value.of(room.sink().write_all(pieces), room)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the server took it over or has ended
