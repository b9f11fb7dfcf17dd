"""The format of a store's index: which file is which object, for a governor that takes the store over.

    file     magic "RainStor" | format : u32 | record | record | …
    record   payload bytes : u32 | payload | checksum : u64        little-endian

The payload is msgpack; the checksum is xxh3-64 over what stands before it, seeded with the record's offset. The first
record is `About`. What follows the first record that is not whole does not count: the process died while it wrote, or
the file is damaged.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

import msgspec
import xxhash

from rain.common.ids import ID
from rain.common.protocol.encoding import encode
from rain.common.spec import ObjectInfo, ObjectSpec

MAGIC = b"RainStor"
FORMAT = 1
HEAD = MAGIC + struct.pack("<I", FORMAT)
_LENGTH = struct.Struct("<I")
_CHECKSUM = struct.Struct("<Q")


class About(msgspec.Struct, tag=0, array_like=True):
    """Whose a store is.

    Attributes
    ----------
    cluster : str
        What only governors of one server can know.
    host : str
        `rain.host.machine.host_id`; another one after the machine was started again.
    awaited : bool
        Whether a guardian hands it to the next governor: no other one takes it.
    store : str
        Its name, which its governor told the server.
    before : list of str
        Names of the stores that it took over.
    disk : str
        Folder on disk.
    """

    cluster: str
    host: str
    awaited: bool
    store: str = ""
    before: list[str] = []
    disk: str = ""


class Noted(msgspec.Struct, tag=1, array_like=True):
    """An object, as it was when it was stored.

    Attributes
    ----------
    on_disk : bool
        In which of the two folders its file is.
    name : str
        Of the file there, among the objects.
    inode, size, mtime_ns, checksum
        As of `rain.common.location.LocalFile`.
    is_dir : bool
    spec, info
        What its readers are told.
    """

    id: ID
    on_disk: bool
    name: str
    inode: int
    size: int
    mtime_ns: int
    checksum: int | None
    is_dir: bool
    spec: ObjectSpec
    info: ObjectInfo


class Gone(msgspec.Struct, tag=2, array_like=True):
    """These are not here any more."""

    ids: list[ID]


Entry: TypeAlias = About | Noted | Gone
_decode = msgspec.msgpack.Decoder(Entry).decode


def record(entry: Entry, offset: int) -> bytes:
    """An entry as it stands at `offset` of a file."""
    payload = encode(entry)
    data = _LENGTH.pack(len(payload)) + payload
    return data + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(data, seed=offset))


class Index(NamedTuple):
    """What an index says.

    Attributes
    ----------
    about : About
    objects : dict of ID to Noted
    problem : str
        Why its end does not count; empty if all does.
    """

    about: About
    objects: dict[ID, Noted]
    problem: str


def read(data: bytes) -> Index | None:
    """The index in a file's bytes; None if it is none, or of another format."""
    if not data.startswith(HEAD):
        return None
    about: About | None = None
    objects: dict[ID, Noted] = {}
    offset, problem = len(HEAD), ""
    while offset < len(data):
        found = _entry_at(data, offset)
        if found is None:
            problem = f"what follows its byte {offset} is not whole"
            break
        entry, offset = found
        if about is None:
            if not isinstance(entry, About):
                return None
            about = entry
        elif isinstance(entry, Noted):
            objects[entry.id] = entry
        elif isinstance(entry, Gone):
            for id in entry.ids:
                objects.pop(id, None)
    return None if about is None else Index(about, objects, problem)


def _entry_at(data: bytes, offset: int) -> tuple[Entry, int] | None:
    begin = offset + _LENGTH.size
    if begin > len(data):
        return None
    end = begin + _LENGTH.unpack_from(data, offset)[0]
    if end + _CHECKSUM.size > len(data):
        return None
    if _CHECKSUM.unpack_from(data, end)[0] != xxhash.xxh3_64_intdigest(data[offset:end], seed=offset):
        return None
    try:
        return _decode(data[begin:end]), end + _CHECKSUM.size
    except msgspec.MsgspecError:  # whole, and of a later version
        return None
