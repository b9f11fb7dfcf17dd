"""Getting objects from a holder: into a file, a directory or memory."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from rain.common.errors import ProtocolError, ResourceError
from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol.messages import DataError, DataGet, DataHeader, DataList, DataView, Listing
from rain.net.transfer.exchange import TransferError, in_thread, receive_all, send, timely
from rain.objects import archive
from rain.objects.readers import NotInside
from rain.objects.sink import NEVER_INLINE, Sink

if TYPE_CHECKING:
    from rain.net.data_connection import DataConnection

_decode_listing = msgspec.msgpack.Decoder(Listing).decode


async def get_pieces(
    connection: DataConnection,
    request: DataGet | DataList | DataView,
    begin: Callable[[DataHeader], object],
    take: Callable[[memoryview], object],
) -> tuple[int, int]:
    """Ask, and give the header to `begin` and each piece to `take`, in a thread; gives size in bytes and checksum of
    what came.

    Raises
    ------
    TransferError
        If the peer does not have it, is gone, or sent something damaged.
    NotInside
        If there is no such file in the directory.
    """
    try:
        await send(connection, request)
        header = await timely(connection, connection.receive())
        if isinstance(header, DataError):
            if header.not_inside:
                raise NotInside(header.message)
            raise TransferError(header.message, header.missing, answered=True)
        if not isinstance(header, DataHeader):
            raise ProtocolError(f"{connection.address} answered a request for data with something else")
        await in_thread(begin, header)
        return await receive_all(connection, header.size, take)
    except ConnectionError as error:
        raise TransferError(str(error)) from None
    except BaseException as error:
        if not isinstance(error, TransferError | NotInside):
            connection.close()  # the rest of the answer is still on its way
        raise


async def get_to_file(connection: DataConnection, id: ID, path: str) -> LocalFile:
    """Bring a blob into the new file `path`; see `get_blob`."""
    return await get_blob(connection, id, Sink(path, NEVER_INLINE))


async def get_blob(connection: DataConnection, id: ID, sink: Sink) -> LocalFile:
    """Bring a blob into a sink that makes a file.

    Raises
    ------
    TransferError
        If the peer does not have it, is gone, or sent something damaged; no file is left then.
    ResourceError
        If the disk is full.
    """
    with sink:
        await get_pieces(connection, DataGet(id), lambda header: None, sink.write)
        written = await in_thread(sink.finish)
    assert isinstance(written, LocalFile)
    return written


async def get_directory(connection: DataConnection, id: ID, path: str) -> int:
    """Bring a directory to the new path `path`; gives the sum of the files' sizes in bytes.

    Raises
    ------
    TransferError
        If the peer does not have it, is gone, or sent something damaged; nothing is left then.
    RainException
        If the archive is refused or the disk is full; nothing is left then.
    """
    unpacker = archive.Unpacker(path)
    try:
        await get_pieces(connection, DataGet(id), lambda header: None, unpacker.feed)
        return await in_thread(unpacker.close)
    except BaseException:
        unpacker.discard()
        raise


async def get_buffer(
    connection: DataConnection, id: ID, offset: int = 0, length: int | None = None, *, path: str | None = None
) -> tuple[memoryview, int]:
    """Bytes of an object in fresh writable memory, and their checksum.

    Parameters
    ----------
    connection : DataConnection
    id : ID
        Of a directory the bytes are those of its tar archive.
    offset : int
    length : int or None
        None: to the end.
    path : str or None
        Of a file inside a directory, whose bytes are meant then.

    Raises
    ------
    TransferError
        If the peer does not have it, is gone, or sent something damaged.
    NotInside
        If there is no such file in the directory.
    ResourceError
        If there is not so much memory.
    """
    return await _into_memory(
        connection, DataGet(id, offset, length, None if path is None else os.fsencode(path)), f"object {id}"
    )


async def get_listing(
    connection: DataConnection, id: ID, path: str, offset: int = 0, count: int | None = None
) -> Listing:
    """What `path` is inside a directory object, with its entries from `offset` on.

    Raises
    ------
    TransferError
        If the peer does not have it, is gone, or sent something damaged.
    NotInside
        If it is no directory, or there is nothing of that name in it.
    """
    data, _ = await _into_memory(
        connection, DataList(id, os.fsencode(path), offset, count), f"the list of entries of object {id}"
    )
    try:
        return _decode_listing(data)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"{connection.address} sent a list of entries that cannot be read: {error}") from None


async def get_view(connection: DataConnection, request: DataView) -> bytes:
    """What an executor says of an object.

    Raises
    ------
    TransferError
        If it cannot be made, with the reason.
    """
    data, _ = await _into_memory(connection, request, f"the view {request.what!r} of object {request.id}")
    return bytes(data)


async def _into_memory(
    connection: DataConnection, request: DataGet | DataList | DataView, what: str
) -> tuple[memoryview, int]:
    # Memory that is mapped but not touched costs nothing, so that an announced length is not believed blindly.
    memory: list[memoryview] = []
    filled = 0
    pieces: list[bytes] = []

    def begin(header: DataHeader) -> None:
        if not header.size:
            return
        try:
            memory.append(memoryview(mmap.mmap(-1, header.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)))
        except (OSError, OverflowError) as error:
            raise ResourceError(f"the {header.size} bytes of {what} do not fit into memory: {error}") from None

    def take(piece: memoryview) -> None:
        nonlocal filled
        if memory:
            memory[0][filled : filled + len(piece)] = piece
            filled += len(piece)
        else:
            pieces.append(bytes(piece))

    _, checksum = await get_pieces(connection, request, begin, take)
    return (memory[0] if memory else memoryview(bytearray().join(pieces))), checksum
