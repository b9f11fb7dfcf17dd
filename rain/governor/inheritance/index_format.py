"""The format of a store's index: which file is which object, for a governor that takes the store over.

    file     magic "RainStor" | format : u32 | record | record | …
    record   payload bytes : u32 | payload | checksum : u64        little-endian

The payload is msgpack; the checksum is xxh3-64 over what stands before it, seeded with the record's offset. The first
record is `About`. Reading ends at the first record that is not whole: the process died while it wrote, or the file is
damaged.
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
    """About a store: of which cluster and host it is, and who may take it over.

    Attributes
    ----------
    cluster : str
        A secret that only governors of one server know.
    host : str
        `rain.host.machine.host_id`, which changes when the machine is booted.
    awaited : bool
        Whether a guardian hands the store to the next governor, so that no other one may take it.
    store : str
        Name of the store, which its governor told the server.
    before : list of str
        Names of the stores that were taken over into it.
    disk : str
        The store's folder on disk.
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
        Whether its file is in the folder on disk, else in that in memory.
    name : str
        Name of its file in the folder for objects there.
    inode, size, mtime_ns, checksum
        As in `rain.common.location.LocalFile`.
    is_dir : bool
    spec, info
        Its spec and info, for readers.
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
    """Objects that are no longer in the store."""

    ids: list[ID]


Entry: TypeAlias = About | Noted | Gone
_decode = msgspec.msgpack.Decoder(Entry).decode


def record(entry: Entry, offset: int) -> bytes:
    """The bytes of an entry that is written at `offset` of a file."""
    payload = encode(entry)
    data = _LENGTH.pack(len(payload)) + payload
    return data + _CHECKSUM.pack(xxhash.xxh3_64_intdigest(data, seed=offset))


class Index(NamedTuple):
    """The content of an index.

    Attributes
    ----------
    about : About
    objects : dict of ID to Noted
    problem : str
        Why the end of the file was not read; empty if all was.
    """

    about: About
    objects: dict[ID, Noted]
    problem: str


def read(data: bytes) -> Index | None:
    """The index in a file's bytes; None if they are no index, or one of another format."""
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
