"""Large constants on their way to the server: sent by a client, received into a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import xxhash

from rain.common.errors import ProtocolError
from rain.common.limits import CHUNK_BYTES
from rain.common.protocol.messages import DataEnd, DataError, DataPut
from rain.net.transfer.exchange import TransferError, in_thread, receive_all, send, timely
from rain.objects import archive
from rain.objects.readers import FileReader
from rain.objects.sink import Sink

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from rain.net.data_connection import DataConnection


async def put_pieces(
    connection: DataConnection, name: str, size: int, pieces: Iterable[Buffer], conversation: str = ""
) -> int:
    """Send bytes to the server, for a constant that is submitted later; gives their checksum (xxh3-64).

    Parameters
    ----------
    connection : DataConnection
    name : str
        By which a submit names them.
    size : int
        How many bytes `pieces` have in all.
    pieces : iterable of bytes-like
        Each is valid until the next.
    conversation : str
        The submitting client's; when that is gone the server forgets them.

    Raises
    ------
    TransferError
        If the server refused it or is gone.
    """
    digest = xxhash.xxh3_64()
    iterator: Iterator[Buffer] = iter(pieces)

    def following() -> memoryview | None:
        piece = next(iterator, None)
        if piece is None:
            return None
        view = memoryview(piece).cast("B")
        digest.update(view)
        return view

    try:
        await send(connection, DataPut(name, size, conversation))
        while (view := await in_thread(following)) is not None:
            for start in range(0, len(view), CHUNK_BYTES):
                await timely(connection, connection.send_payload(view[start : start + CHUNK_BYTES]))
        await send(connection, DataEnd(digest.intdigest()))
    except ConnectionError as error:
        refusal = await _refusal(connection)
        raise TransferError(refusal or str(error), answered=bool(refusal)) from None
    try:
        answer = await timely(connection, connection.receive())
    except ConnectionError as error:
        raise TransferError(str(error)) from None
    if isinstance(answer, DataError):
        raise TransferError(answer.message, answered=True)
    if not isinstance(answer, DataEnd) or answer.checksum != digest.intdigest():
        raise TransferError("the server received something else than what was sent")
    return answer.checksum


async def _refusal(connection: DataConnection) -> str:
    """What the server said before it closed the connection."""
    try:
        answer = await timely(connection, connection.receive())
    except (ConnectionError, ProtocolError):
        return ""
    return answer.message if isinstance(answer, DataError) else ""


async def put_file(connection: DataConnection, name: str, path: str) -> tuple[int, int]:
    """Send a file, or a directory as a tar archive; gives size and checksum of what was sent.

    Raises
    ------
    TransferError
        If the server refused it or is gone.
    RainException
        If the directory cannot be packed.
    """
    size, pieces = await in_thread(_pieces, path)
    return size, await put_pieces(connection, name, size, pieces)


def _pieces(path: str) -> tuple[int, Iterator[Buffer]]:
    if os.path.isdir(path):
        return archive.packed_size(path), archive.pack(path)
    reader = FileReader(path)
    return reader.size, reader.pieces()


async def serve_put(connection: DataConnection, request: DataPut, sink: Sink) -> int:
    """Receive what `DataPut` announced into `sink`; gives its checksum. The caller answers.

    Raises
    ------
    RainException
        If less, more or something damaged came, or the disk is full; no file is left then.
    ConnectionError
        If the peer is gone.
    """
    if request.size < 0:
        raise ProtocolError("a client announced a negative number of bytes")
    with sink:
        _, checksum = await receive_all(connection, request.size, sink.write)
        await in_thread(sink.finish)
    return checksum
