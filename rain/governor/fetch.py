"""Bringing a copy of an object into the governor's store, from its nearest replica."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import closing

from rain.common.errors import RainException, ResourceError
from rain.common.location import Inline, LocalFile, Replicas
from rain.common.protocol.messages import ObjectData
from rain.governor.store import Store
from rain.net.data_connection import DataConnection
from rain.net.transfer import TransferError, get_blob, get_directory, in_thread
from rain.objects import archive
from rain.objects.dirtree import copy_tree
from rain.objects.files import copy_checked, local_file
from rain.objects.held import Held
from rain.objects.readers import FileReader, NoReplica, try_replicas
from rain.objects.sink import NEVER_INLINE

log = logging.getLogger("rain.governor.fetch")


async def fetch(
    data: ObjectData,
    store: Store,
    host_id: str,
    open_data: Callable[[str], Awaitable[DataConnection]],
) -> tuple[Held, str]:
    """Bring an object into `store`.

    What has no replicas the store has from a governor that died: it is read, and is there if it is as it was. Else a
    file on the same host is linked (copied, if it is on another file system), else the object is streamed from one
    replica after the other until one has it whole.

    Parameters
    ----------
    data : ObjectData
    host_id : str
        Of this host.
    open_data : callable
        ``await open_data(address) -> DataConnection``.

    Returns
    -------
    tuple of (Held, str)
        The copy, and the address that it came from; that is empty if the bytes came along.

    Raises
    ------
    RainException
        If none of the replicas can be used; the text says why of each. `ResourceError` if there is no space for it.
    """
    location, id = data.location, data.spec.id
    if isinstance(location, Replicas) and not location.replicas:
        # Another reader may have compared it meanwhile.
        held = store.get(id) if not store.is_unread(id) or await in_thread(store.check, id) else None
        if held is None:
            raise RainException(
                f"object {id} is not here: there is none elsewhere, and what a governor that died left of it here is "
                "damaged or gone"
            )
        return held, ""
    if isinstance(location, Inline):
        return await in_thread(lambda: store.put_bytes(data.spec.id, location, is_dir=_is_dir(data))), ""

    async def share(file: LocalFile) -> tuple[Held, str]:
        source = next(replica.address for replica in location.replicas if replica.file is file)
        return await in_thread(_share, store, data, file), source

    async def stream(address: str) -> tuple[Held, str]:
        with closing(await open_data(address)) as connection:
            try:
                return await _stream(store, data, connection), address
            except (RainException, OSError) as error:
                log.warning("object %s could not be fetched from %s: %s", data.spec.id, address, error)
                raise

    try:
        return await try_replicas(location.replicas, stream, here=share, host_id=host_id, final=(ResourceError,))
    except NoReplica as error:
        raise RainException(f"object {data.spec.id} could not be fetched from any of its replicas: {error}") from None


def _is_dir(data: ObjectData) -> bool:
    return data.spec.data_type == "dir"


def _share(store: Store, data: ObjectData, file: LocalFile) -> Held:
    """The object from a file or directory on this host."""
    id = data.spec.id
    packed = _is_dir(data) and os.path.isfile(file.path)
    if not packed:
        try:
            return store.link(id, file, is_dir=_is_dir(data))
        except OSError as error:
            log.debug("object %s cannot be linked, it is copied: %s", id, error)
    with store.intake() as intake:
        path = intake.new_path(file.size)
        if packed:
            return store.take(id, local_file(path, archive.unpack(FileReader(file).pieces(), path)))
        if _is_dir(data):
            return store.take(id, local_file(path, copy_tree(file.path, path)))
        found = copy_checked(file, path)
        if data.location.checksum not in (None, found):
            raise RainException(f"{file.path} was damaged (the checksum differs)")
        return store.take(id, local_file(path, checksum=found))


async def _stream(store: Store, data: ObjectData, connection: DataConnection) -> Held:
    id = data.spec.id
    size = data.info.size or 0
    with store.intake() as intake:
        if _is_dir(data):
            path = intake.new_path(size)
            size = await get_directory(connection, id, path)
            return await in_thread(store.take, id, local_file(path, size))
        file = await get_blob(connection, id, intake.sink(size, NEVER_INLINE))
        intake.took(file)
        if data.location.checksum not in (None, file.checksum):
            raise TransferError(f"{connection.address} holds something else than was stored (the checksum differs)")
        return await in_thread(store.take, id, file)
