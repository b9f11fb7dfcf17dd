"""Where the bytes of an object are: `Location`, one union for every message and record.

It is here and not in `rain.objects` because the messages and the pure cores of server and governor are made of it;
`rain.objects.files` compares a `LocalFile` with the file system, `rain.objects.intake` makes new ones.
"""

from __future__ import annotations

import msgspec


class LocalFile(msgspec.Struct, array_like=True, gc=False):
    """A read-only file or directory on this host, and what its readers compare before they map it: its identity.

    Attributes
    ----------
    path : str
    inode : int
    size : int
        Bytes; of a directory the sum of its files.
    mtime_ns : int
    checksum : int or None
        xxh3-64 of a file's bytes, where known.
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
        `rain.host.process.host_id()` of that machine.
    file : LocalFile or None
    """

    address: str
    host_id: str
    file: LocalFile | None = None
