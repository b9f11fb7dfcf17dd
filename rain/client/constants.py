"""Values of constant objects, from where they are made to where they are sent.

Small values stay in memory and travel inside the submit. A large one is a file in the server's incoming folder where
the server is on this host: encoded straight into it, once; the server takes the file over. For servers elsewhere it is
sent over a data connection when the object is submitted.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rain.common.limits import INLINE_BYTES_MAX

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.data import DataObject
    from rain.io.scratch import Scratch


class Value:
    """The bytes of a constant.

    Attributes
    ----------
    size : int
        Bytes that travel.
    content_size : int
        Bytes of the object; of a directory the sum of its files, without what the archive adds.
    data : bytes or None
        The bytes, where they are in memory.
    name : str
        Of the file, below the server's incoming folder; empty while there is none.
    path : str
        That file as this process wrote it; empty if there is none or the server has taken it over.
    checksum : int or None
        xxh3-64 of a file's bytes.
    inside : tuple of DataObject
        Objects that the value refers to, if it is an argument.
    """

    __slots__ = ("_map", "checksum", "content_size", "data", "inside", "name", "path", "size")

    def __init__(self, data: bytes | None, size: int) -> None:
        self.data = data
        self.size = self.content_size = size
        self.name = ""
        self.path = ""
        self.checksum: int | None = None
        self.inside: tuple[DataObject, ...] = ()
        self._map: memoryview | None = None

    def __del__(self) -> None:
        if self.path:
            _unlink(self.path)

    def get_bytes(self) -> bytes:
        """The bytes, wherever they are."""
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

    def put_down(self, folder: str) -> None:
        """Write bytes that are in memory as a file into the incoming folder.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        from rain.io.files import Written, write_file

        name = new_name()
        path = os.path.join(folder, name)
        written = write_file([self.view()], path)
        assert isinstance(written, Written)
        self.name, self.path, self.checksum = _upload_name(folder, name), path, written.checksum

    def hand_over(self) -> None:
        """The file belongs to the server now."""
        self.path = ""

    @classmethod
    def from_file(cls, folder: str, name: str, size: int, checksum: int) -> Value:
        """The value that was written as `name` into the incoming folder."""
        from rain.io.descriptors import opened
        from rain.io.memory import map_fd

        value = cls(None, size)
        value.name, value.path, value.checksum = _upload_name(folder, name), os.path.join(folder, name), checksum
        fd = opened(os.open, value.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            value._map = map_fd(fd, size)
        finally:
            os.close(fd)
        return value


class Uploads:
    """This client's own folder in the server's incoming folder, made when it is first needed.

    It is locked as long as this process lives, so that the server sees at once when nobody will submit what is in it.

    Parameters
    ----------
    incoming : str
        The server's folder; empty if it is on another host.
    """

    def __init__(self, incoming: str) -> None:
        self._incoming = incoming
        self._lock = threading.Lock()
        self._scratch: Scratch | None = None

    def folder(self) -> str:
        """Where constants may be written; empty if they are to be sent instead."""
        if not self._incoming:
            return ""
        with self._lock:
            if self._scratch is None:
                from rain.io.scratch import UPLOADS, Scratch

                try:
                    self._scratch = Scratch(self._incoming, UPLOADS)
                except OSError:  # another user's server, or memory is full
                    self._incoming = ""
                    return ""
            return self._scratch.path

    def close(self) -> None:
        """Remove what was not submitted."""
        with self._lock:
            self._incoming = ""
            if self._scratch is not None:
                self._scratch.close()
                self._scratch = None


def _upload_name(folder: str, name: str) -> str:
    """What the server is told about the file `name` in our folder."""
    return f"{os.path.basename(folder)}/{name}"


def new_name() -> str:
    """A name for a constant's file."""
    return secrets.token_hex(16)


def encoded(obj: Any, content_type: str, client: Client | None) -> Value:
    """`obj` encoded as `content_type`; as it is now, whatever becomes of it later.

    Raises
    ------
    RainException
        If it cannot be encoded so.
    ValueError
        If there is no such content type.
    """
    from rain.io.codecs import encode_to_file, encode_value

    folder = client._incoming if client is not None else ""
    if not folder:
        data = encode_value(obj, content_type)
        return Value(data, len(data))
    name = new_name()
    written = encode_to_file(obj, content_type, os.path.join(folder, name), INLINE_BYTES_MAX)
    if isinstance(written, bytes):
        return Value(written, len(written))
    return Value.from_file(folder, name, written.file.size, written.checksum)


def gathered(pieces: Iterable[Any], client: Client | None) -> Value:
    """What `pieces` (buffers) are together."""
    from rain.io.files import write_file

    folder = client._incoming if client is not None else ""
    if not folder:
        data = b"".join(pieces)
        return Value(data, len(data))
    name = new_name()
    written = write_file(pieces, os.path.join(folder, name), INLINE_BYTES_MAX)
    if isinstance(written, bytes):
        return Value(written, len(written))
    return Value.from_file(folder, name, written.file.size, written.checksum)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the server took it over or has ended
