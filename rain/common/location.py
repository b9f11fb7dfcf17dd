"""Where the bytes of an object are: one union for every message and record (`Stored`, `Location`).

It is here and not in `rain.objects` because the messages and the pure cores of server and governor are made of it;
`rain.objects.files` compares a `LocalFile` with the file system, `rain.objects.intake` makes new ones.

Each alternative is tagged by a small integer and carries the checksum, xxh3-64 of a blob's bytes where it is known;
directories have none, as their transfers carry their own. In a message the bytes of a directory are its tar archive.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rain.common.ids import ID


class Inline(msgspec.Struct, array_like=True, gc=False, tag=0):
    """Few bytes, held in memory (up to `INLINE_BYTES_MAX`)."""

    data: bytes
    checksum: int | None = None

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)


class LocalFile(msgspec.Struct, array_like=True, gc=False, tag=1):
    """A read-only file or directory on this host, and what its readers compare before they map it: its identity.

    Attributes
    ----------
    path : str
    inode : int
    size : int
        Bytes; of a directory the sum of its files.
    mtime_ns : int
    checksum : int or None
    """

    path: str
    inode: int
    size: int
    mtime_ns: int
    checksum: int | None = None


class Replica(msgspec.Struct, array_like=True, gc=False):
    """Where an object can be had: a data listener, and a file for readers on the same host.

    Attributes
    ----------
    address : str
        ``host:port``, of a governor equal to its id.
    host_id : str
        `rain.host.machine.host_id()` of that machine.
    file : LocalFile or None
    """

    address: str
    host_id: str
    file: LocalFile | None = None


class Replicas(msgspec.Struct, array_like=True, gc=False, tag=2):
    """Large data, as other processes are told of them: which governors (or the server) hold them."""

    replicas: list[Replica]
    checksum: int | None = None


class Upload(msgspec.Struct, array_like=True, gc=False, tag=4):
    """A large constant on its way: brought by `DataPut`, or left by a client on this host, in the server's incoming
    folder.

    Attributes
    ----------
    name : str
        Of the file there.
    size : int
    checksum : int or None
    file : LocalFile or None
        Set by the server's shell when it took the file over; what a client says there is ignored.
    """

    name: str
    size: int
    checksum: int | None = None
    file: LocalFile | None = None


class SameAs(msgspec.Struct, array_like=True, gc=False, tag=3):
    """In a result: the data of an input that was passed through."""

    id: ID


def replicas_of(location: Location) -> list[Replica]:
    """Where the object can be had; empty where its bytes came along."""
    return location.replicas if isinstance(location, Replicas) else []


def file_on(host_id: str, location: Location) -> LocalFile | None:
    """The object's file on a host, if there is one."""
    found = (one.file for one in replicas_of(location) if one.file is not None and one.host_id == host_id)
    return next(found, None)


Stored: TypeAlias = Inline | LocalFile
"""Where a process has an object itself."""
Location: TypeAlias = Inline | Replicas
"""Where other processes are told that an object is."""
