"""Getting at the data of finished objects: from news, from files of this host, from governors, from the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from rain.client.data import info_of, spec_of
from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import FETCH_ATTEMPTS_MAX, FETCH_DELAY_S, MIB
from rain.common.location import LocalFile, Replica
from rain.common.protocol.messages import Listing, ObjectData
from rain.common.spec import ObjectInfo

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.core.session_mirror import ObjectRecord
    from rain.client.data import DataObject
    from rain.objects.data_instance import DataInstance, Source

EAGER_BYTES_MAX = 16 * MIB
"""Objects elsewhere up to this size are fetched at once; of larger ones only what is read."""


def instance(client: Client, obj: DataObject, lazy: bool = False) -> DataInstance:
    """The value of a finished object whose data or places are known.

    While there are data elsewhere that may still be read, it holds `obj`, so that they are not released.

    Parameters
    ----------
    lazy : bool
        Whether of a blob elsewhere only what is read moves, however small it is.

    Raises
    ------
    RainException
        If the data cannot be had.
    """
    from rain.objects.data_instance import DataInstance, source_of

    record = obj._record
    info = record.info if record.info is not None else ObjectInfo()
    data = ObjectData(record.spec, info, record.data, record.places or [], record.checksum)
    elsewhere = RemoteObject(client, data, obj, lazy)
    source = source_of(data, client._link.welcome.host_id, elsewhere.source, elsewhere.moved)
    return DataInstance(source, spec_of(record), info_of(record))


def refused_instance(client: Client, obj: DataObject, data: ObjectData) -> DataInstance:
    """What the task of `obj`, which failed for it, returned in its place."""
    from rain.objects.data_instance import DataInstance, source_of

    spec = msgspec.structs.replace(data.spec, data_type="blob", content_type=None)
    info = msgspec.structs.replace(data.info, error=None)
    found = ObjectData(spec, info, data.data, data.places, data.checksum)
    there = RemoteObject(client, found, obj, refused=True)
    return DataInstance(source_of(found, client._link.welcome.host_id, there.source, there.moved), spec, info)


def constant_instance(record: ObjectRecord, value: Any) -> DataInstance:
    """The value of a constant whose bytes are this process's, in memory or in a file that it has not handed over."""
    from rain.objects.data_instance import BytesSource, DataInstance, FileSource, TarSource

    source = FileSource(value.path) if value.data is None else BytesSource(value.data)
    if record.spec.data_type == "dir":
        size = record.info.size if record.info is not None else None
        return DataInstance(TarSource(source, size), spec_of(record), info_of(record))
    return DataInstance(source, spec_of(record), info_of(record))


class RemoteObject:
    """An object on another host, or one that is no longer where it was said to be."""

    def __init__(
        self, client: Client, data: ObjectData, handle: DataObject, lazy: bool = False, refused: bool = False
    ) -> None:
        self._client = client
        self._refused = refused
        self._data = data
        self._handle = handle
        self._lazy = lazy

    def source(self) -> Source:
        """A source that asks for the bytes over the network; small blobs come at once.

        Where a file of this host was not what it should be, the store has moved it, or it was damaged and is made
        again: the new one is used.
        """
        from rain.objects.data_instance import BytesSource, ReceivedSource, RemoteSource, source_of

        client, here = self._client, self._client._link.welcome.host_id
        is_dir = self._data.spec.data_type == "dir"
        if any(place.file is not None and place.host_id == here for place in self._data.places):
            before = self._data.places
            self._data = self._find_again()
            if self._data.places == before:
                # Its governor may not know: to ask for a little makes it look.
                self.look("", 0, 1) if is_dir else self.read(0, 1)
            if self._data.places != before:
                other = RemoteObject(client, self._data, self._handle, self._lazy, self._refused)
                return source_of(self._data, here, other.source, other.moved)
        size = self._data.info.size or 0
        remote = RemoteSource(size, is_dir, self.read, self.save, self)
        if is_dir or self._lazy or size > EAGER_BYTES_MAX:
            return remote
        data = self.read(0, None)
        return BytesSource(data) if isinstance(data, bytes) else ReceivedSource(data, remote)

    def moved(self) -> LocalFile | None:
        """The object's file on this host, wherever the store has put it by now."""
        here = self._client._link.welcome.host_id
        try:
            places = self._find_again().places
        except RainException:  # the session or the connection is gone
            return None
        return next((place.file for place in places if place.file is not None and place.host_id == here), None)

    def read(self, offset: int, length: int | None) -> Any:
        """Bytes from `offset` on."""
        from rain.net.transfer import get_buffer

        async def get(connection: Any, id: ID) -> Any:
            data, checksum = await get_buffer(connection, id, offset, length)
            expected = self._data.checksum
            if offset == 0 and length is None and expected is not None and checksum != expected:
                raise RainException("what came is not what was stored (checksums differ)")
            return data

        found = self._from_somewhere(get)
        if isinstance(found, bytes):
            return found[offset : None if length is None else offset + length]
        return found

    def look(self, path: str, offset: int = 0, count: int | None = None) -> Listing:
        """What `path` is inside the directory, with its entries from `offset` on."""
        from rain.net.transfer import get_listing
        from rain.objects.inside import Tar

        found = self._from_somewhere(lambda connection, id: get_listing(connection, id, path, offset, count))
        if isinstance(found, bytes):
            return Tar(_slicer(found)).look(path, offset, count)
        listing: Listing = found
        return listing

    def read_file(self, path: str, offset: int, length: int) -> Any:
        """Bytes of a file inside the directory."""
        from rain.net.transfer import get_buffer
        from rain.objects.inside import Tar

        found = self._from_somewhere(lambda connection, id: get_buffer(connection, id, offset, length, path=path))
        if isinstance(found, bytes):
            start, size = Tar(_slicer(found)).place(path)
            return found[start + offset : start + min(offset + length, size)]
        return found[0]

    def save(self, path: str) -> None:
        """Stream all of it into the new file or directory `path`."""
        from rain.net.transfer import get_directory, get_to_file

        is_dir = self._data.spec.data_type == "dir"
        get: Any = get_directory if is_dir else get_to_file
        found = self._from_somewhere(lambda connection, id: get(connection, id, path))
        if isinstance(found, bytes):
            from rain.objects.data_instance import BytesSource, TarSource

            (TarSource(found) if is_dir else BytesSource(found)).save(path)

    def _from_somewhere(self, get: Callable[[Any, ID], Any]) -> Any:
        """Try the places that are known, then ask where it is now, then have the server pass it on.

        What turned out to be lost is waited for, if it is made again; a loss may take a moment to become known.

        Gives what `get` gives, or the bytes themselves if the server told them.
        """
        from rain.objects.inside import NotInside

        client = self._client
        trouble: dict[str, str] = {}
        tried: list[Replica] = []
        for attempt in range(FETCH_ATTEMPTS_MAX):
            if attempt:
                if attempt > 1:
                    time.sleep(FETCH_DELAY_S * 2 ** (attempt - 2))
                    tried.clear()
                self._data = self._find_again()
                if self._data.data is not None:
                    return self._data.data
            addresses = [place.address for place in self._data.places if place not in tried]
            tried += self._data.places
            if attempt:
                addresses.append("")
            for address in addresses:
                try:
                    return self._get(address or client._link.welcome.data or client.address, get)
                except NotInside:
                    raise
                except (RainException, OSError) as error:
                    trouble[address or "the server"] = str(error)
        told = "; ".join(f"{address}: {text}" for address, text in trouble.items())
        raise RainException(f"the data of {self._name} cannot be had ({told})")

    def _get(self, address: str, get: Callable[[Any, ID], Any]) -> Any:
        return self._client._link.call(self._ask(address, get)).result()

    def _find_again(self) -> ObjectData:
        """Where it is now; waits while it is made again.

        Raises
        ------
        RainException
            If it is gone.
        TaskException
            If it cannot be made again.
        """
        from rain.client.operations.operation import block
        from rain.client.operations.session_operations import find_again

        return block(find_again(self._handle._session, self._handle, self._refused))

    @property
    def _name(self) -> str:
        label = f" {self._data.spec.label!r}" if self._data.spec.label else ""
        return f"object {self._data.spec.id}{label}"

    async def _ask(self, address: str, get: Callable[[Any, ID], Any]) -> Any:
        from rain.net.transport import open_data

        connection = await open_data(address, self._client._link.credentials)  # type: ignore[attr-defined]
        try:
            return await get(connection, self._data.spec.id)
        finally:
            connection.close()


def _slicer(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]
