"""The data of finished objects: from updates, from files of this host, from governors, from the server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.core.operations import locating, reading
from rain.client.core.records import ObjectRecord
from rain.client.data import info_of, spec_of, value_of
from rain.client.handles import inside, record_of, session_of
from rain.client.operations.operation import Operation, block
from rain.client.operations.views import asker
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import MIB
from rain.common.location import Inline, LocalFile, Replica, Replicas, file_on
from rain.common.protocol.messages import Listing, ObjectData
from rain.common.spec import ObjectInfo
from rain.net.transfer import get_buffer, get_directory, get_listing, get_to_file
from rain.net.transport import open_data
from rain.objects.data_instance import DataInstance
from rain.objects.readers import (
    BytesReader,
    NoReplica,
    NotInside,
    ObjectReader,
    ReceivedReader,
    RemoteReader,
    TarReader,
    open_nearest,
    reader_of,
    try_replicas,
)

if TYPE_CHECKING:
    from rain.client.data import DataObject
    from rain.client.operations.constant_values import Value
    from rain.client.session import Session

EAGER_BYTES_MAX = 16 * MIB
"""Blobs on other hosts up to this size are fetched at once; of larger ones only the bytes that are read."""


def value_here(obj: DataObject) -> Value | None:
    """The value of a small constant that was made here."""
    value = value_of(obj)
    return value if value is not None and value.stays else None


def instance(session: Session, obj: DataObject, lazy: bool = False) -> DataInstance:
    """The value of a finished object whose data or places are known.

    While there are data elsewhere that may still be read, it holds `obj`, so that they are not released.

    Parameters
    ----------
    lazy : bool
        Whether of a blob on another host only the bytes that are read are fetched, however small the blob is.

    Raises
    ------
    RainException
        If the data cannot be had.
    """
    record = record_of(obj)
    info = record.info if record.info is not None else ObjectInfo()
    data = ObjectData(record.spec, info, record.location or Replicas([]))
    elsewhere = RemoteObject(data, obj, lazy)
    reader = open_nearest(data, host_of(session), elsewhere.reader, elsewhere.moved)
    found = DataInstance(reader, spec_of(record), info_of(record))
    found._ask = asker(session, record.spec.id)
    return found


def refused_instance(session: Session, obj: DataObject, data: ObjectData) -> DataInstance:
    """The value that the task of `obj` returned for it and that was refused."""
    spec = msgspec.structs.replace(data.spec, data_type="blob", content_type=None)
    info = msgspec.structs.replace(data.info, error=None)
    found = ObjectData(spec, info, data.location)
    there = RemoteObject(found, obj, refused=True)
    refused = DataInstance(open_nearest(found, host_of(session), there.reader, there.moved), spec, info)
    refused._ask = asker(session, spec.id)
    return refused


def host_of(session: Session) -> str:
    """The id of the host that this client is on, as its server sees it."""
    return inside(session).connection.link.welcome.host_id


def constant_instance(record: ObjectRecord, value: Any) -> DataInstance:
    """The value of a constant whose bytes this process has, in memory or in a file that the server has not taken
    over."""
    reader = value.reader()
    if record.spec.data_type == "dir":
        size = record.info.size if record.info is not None else None
        return DataInstance(TarReader(reader, size), spec_of(record), info_of(record))
    return DataInstance(reader, spec_of(record), info_of(record))


class RemoteObject:
    """An object on another host, or one that is no longer where the server said."""

    def __init__(self, data: ObjectData, handle: DataObject, lazy: bool = False, refused: bool = False) -> None:
        self._session = session_of(handle)
        self._connection = inside(self._session).connection
        self._refused = refused
        self._data = data
        self._handle = handle
        self._lazy = lazy

    def reader(self) -> ObjectReader:
        """A reader that asks for the bytes over the network; small blobs come at once.

        Where a file of this host turned out not to be the object, its governor has moved it, or it was damaged and the
        object is made again: then the new file is used.
        """
        here = host_of(self._session)
        is_dir = self._data.spec.data_type == "dir"
        if file_on(here, self._data.location) is not None:
            before = self._data.location
            self._data = self._find_again()
            if self._data.location == before:
                # The governor may not know of the damage: a small request makes it look.
                self.look("", 0, 1) if is_dir else self.read(0, 1)
            if self._data.location != before:
                other = RemoteObject(self._data, self._handle, self._lazy, self._refused)
                return open_nearest(self._data, here, other.reader, other.moved)
        size = self._data.info.size or 0
        remote = RemoteReader(self, size, is_dir)
        if is_dir or self._lazy or size > EAGER_BYTES_MAX:
            return remote
        data = self.read(0, None)
        return BytesReader(data) if isinstance(data, bytes) else ReceivedReader(data, remote)

    def moved(self) -> LocalFile | None:
        """The object's file on this host, where its governor has it now; None if there is none."""
        try:
            return file_on(host_of(self._session), self._find_again().location)
        except RainException:  # the session or the connection is gone
            return None

    def read(self, offset: int, length: int | None, path: str | None = None) -> Any:
        """Bytes from `offset` on: of the object, or of the file `path` inside it."""
        whole = offset == 0 and length is None and path is None

        async def get(connection: Any, id: ID) -> Any:
            data, checksum = await get_buffer(connection, id, offset, length, path=path)
            if whole and self._data.location.checksum not in (None, checksum):
                raise RainException("what came is not what was stored (checksums differ)")
            return data

        found = self._from_somewhere(get)
        if not isinstance(found, bytes):
            return found
        reader = self._inline(found)
        return (reader if path is None else reader.file(path)).read(offset, length)

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        """What lies at `path` inside the directory: of a folder its entries from `offset` on."""
        found = self._from_somewhere(lambda connection, id: get_listing(connection, id, path, offset, count))
        if isinstance(found, bytes):
            return self._inline(found).look(path, offset, count)
        listing: Listing = found
        return listing

    def save(self, path: str) -> None:
        """Stream the whole object into the new file or directory `path`."""
        get: Any = get_directory if self._data.spec.data_type == "dir" else get_to_file
        found = self._from_somewhere(lambda connection, id: get(connection, id, path))
        if isinstance(found, bytes):
            self._inline(found).save(path)

    def _inline(self, data: bytes) -> ObjectReader:
        """A reader of bytes that came from the server."""
        return reader_of(Inline(data), self._data.spec.data_type == "dir", self._data.info.size)

    def _from_somewhere(self, get: Callable[[Any, ID], Any]) -> Any:
        """What `get` gives at the first replica that has the object, or the object's bytes if the server sent them."""
        connection, mirror = self._connection, inside(self._session).mirror
        link = connection.link
        server = Replica(link.address, "")
        operation = reading.read(connection.core, mirror, record_of(self._handle), self._data, server, self._refused)
        return block(connection.drive(operation, mirror, read=partial(self._try, get)))

    def _try(self, get: Callable[[Any, ID], Any], wanted: reading.TryReplicas) -> Operation[Any]:
        self._data = wanted.data
        try:
            return (yield self._connection.link.call(self._get(get, wanted.replicas)))
        except NoReplica as error:
            raise reading.Unreadable(error.reasons) from None

    async def _get(self, get: Callable[[Any, ID], Any], replicas: list[Replica]) -> Any:
        return await try_replicas(replicas, partial(self._ask, get), final=(NotInside,))

    def _find_again(self) -> ObjectData:
        """Where it is now; waits while it is made again.

        Raises
        ------
        RainException
            If it is gone.
        TaskException
            If it cannot be made again.
        """
        connection, mirror = self._connection, inside(self._session).mirror
        operation = locating.find_again(connection.core, mirror, record_of(self._handle), self._refused)
        return block(connection.drive(operation, mirror))

    async def _ask(self, get: Callable[[Any, ID], Any], address: str) -> Any:
        link = self._connection.link
        # What the server holds is had by the way by which it is reached, whatever it listens at.
        own = address in (link.address, link.welcome.data)
        there = link.address if own else address

        async def ask() -> Any:
            with closing(await open_data(there, link.credentials, pinned=own)) as connection:
                return await get(connection, self._data.spec.id)

        return await (link.through_outages(ask) if own else ask())
