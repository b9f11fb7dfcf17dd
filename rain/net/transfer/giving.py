"""Giving objects: answering requests for what this process holds, and passing on those for what another one does."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import TYPE_CHECKING, Any

import xxhash

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import CHUNK_BYTES, VIEW_SIGN_S
from rain.common.location import Inline
from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import DataEnd, DataError, DataGet, DataHeader, DataList, DataView
from rain.net.data_connection import DataConnection, open_data
from rain.net.transfer.exchange import TransferError, in_thread, send, timely
from rain.objects.files import StaleFile
from rain.objects.held import Held
from rain.objects.readers import BytesReader, NoReplica, NotInside, ObjectReader, reader_of, try_replicas

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from rain.common.location import Replica
    from rain.net.auth import Credentials


async def serve_get(
    connection: DataConnection,
    request: DataGet | DataList,
    held: Held,
    on_lost: Callable[[str], Held | None] | None = None,
) -> None:
    """Answer a `DataGet` or `DataList`.

    Parameters
    ----------
    held : Held
        The object.
    on_lost : callable, optional
        ``on_lost(reason)`` when the file turns out to be damaged or gone. What it returns, if anything, is the object
        as it is now; it is sent if nothing was sent yet.

    Raises
    ------
    ConnectionError
        If the peer is gone; close the connection then.
    """
    try:
        try:
            answer = await _answer(held, request)
        except StaleFile as error:
            newer = on_lost(str(error)) if on_lost is not None else None
            if newer is None:
                raise TransferError(str(error), missing=True) from None
            answer = await _answer(newer, request)
    except NotInside as error:
        await send(connection, DataError(f"object {request.id}: {error}", not_inside=True))
        return
    except (RainException, OSError) as error:
        missing = isinstance(error, TransferError) and error.missing
        await send(connection, DataError(f"object {request.id} cannot be read: {error}", missing))
        return
    try:
        problem = await _send(connection, answer, held)
    except ConnectionError:
        raise
    except (RainException, OSError) as error:
        await send(connection, DataError(f"object {request.id} cannot be read: {error}"))
        return
    finally:
        answer.close()
    if problem:
        if on_lost is not None:
            on_lost(problem)
        await send(connection, DataError(f"object {request.id} is lost here: {problem}", missing=True))


async def _answer(held: Held, request: DataGet | DataList) -> _Answer:
    if isinstance(request, DataGet) and request.path is None and isinstance(held.location, Inline):
        return _Answer(reader_of(held.location, held.is_dir), request.offset, request.length)
    return await in_thread(_read_for, held, request)


def _read_for(held: Held, request: DataGet | DataList) -> _Answer:
    reader = reader_of(held.location, held.is_dir)
    if isinstance(request, DataList):
        listing = reader.look(os.fsdecode(request.path), request.offset, request.count)
        return _Answer(BytesReader(encode(listing)), 0, None)
    if request.path is not None:
        reader = reader.file(os.fsdecode(request.path))
    return _Answer(reader, request.offset, request.length)


class _Answer:
    """The bytes that were asked for, piece by piece; the first was read, so that the file is known to be there.

    Attributes
    ----------
    size : int or None
        Bytes to come, where known.
    whole : bool
        Whether it is all that the reader reads.
    blocks : bool
        Whether `read` may block.
    digest
        Of all pieces so far.
    """

    def __init__(self, reader: ObjectReader, offset: int, length: int | None) -> None:
        total = reader.stream_size
        self.size = total
        if total is None:
            if offset or length is not None:
                raise RainException("a directory is given as a whole only")
            self._pieces = reader.pieces()
        else:
            start = min(max(offset, 0), total)
            self.size = total - start if length is None else min(max(length, 0), total - start)
            self._pieces = reader.pieces(start, self.size)
        self.whole = self.size == total
        self.blocks = not reader.in_memory
        self.digest = xxhash.xxh3_64()
        self._first = next(self._pieces, None)

    def read(self) -> Buffer | None:
        """The next piece, valid until the one after; None at the end."""
        piece, self._first = self._first, None
        if piece is None:
            piece = next(self._pieces, None)
        if piece is not None:
            self.digest.update(piece)
        return piece

    def close(self) -> None:
        """Close what is open; idempotent."""
        self._pieces.close()


async def _send(connection: DataConnection, answer: _Answer, held: Held) -> str:
    """Send the answer; gives what is wrong with the object, empty for nothing."""
    await send(connection, DataHeader(answer.size, "dir" if held.is_dir else "blob"))
    sent = 0
    while (piece := await in_thread(answer.read) if answer.blocks else answer.read()) is not None:
        view = memoryview(piece)
        for start in range(0, len(view), CHUNK_BYTES):
            await timely(connection, connection.send_payload(view[start : start + CHUNK_BYTES]))
        sent += len(view)
    if answer.size is not None and sent != answer.size:
        return "its file became shorter"
    checksum = answer.digest.intdigest()
    if answer.whole and not held.is_dir and held.location.checksum not in (None, checksum):
        return "its bytes were damaged (the checksum differs)"
    await send(connection, DataEnd(checksum))
    return ""


async def serve_view(connection: DataConnection, request: DataView, view: Coroutine[Any, Any, bytes]) -> None:
    """Answer a `DataView` with what `view` gives; it is cancelled when the peer is gone.

    Raises
    ------
    ConnectionError
        If the peer is gone; close the connection then.
    """
    making = asyncio.ensure_future(view)
    try:
        await send(connection, DataHeader(None))
        while not (await asyncio.wait({making}, timeout=VIEW_SIGN_S))[0]:
            await timely(connection, connection.send_payload(b""))
        try:
            data = making.result()
        except (RainException, OSError) as error:
            await send(connection, DataError(str(error), final=True))
            return
        for start in range(0, len(data), CHUNK_BYTES):
            await timely(connection, connection.send_payload(data[start : start + CHUNK_BYTES]))
        await send(connection, DataEnd(xxhash.xxh3_64_intdigest(data)))
    finally:
        if not making.done():
            making.cancel()
            await asyncio.wait({making})


async def relay(source: DataConnection, connection: DataConnection, request: DataGet | DataList | DataView) -> bool:
    """Pass a request on to another holder, and its answer back.

    Parameters
    ----------
    source : DataConnection
        To the other holder.
    connection : DataConnection
        From which the request came.
    request : DataGet, DataList or DataView

    Returns
    -------
    bool
        False if `source` does not have the object and nothing was sent, so that another may be asked.

    Raises
    ------
    ConnectionError
        If `connection` is gone.
    """
    begun = False
    try:
        await send(source, request)
        answer = await timely(source, source.receive())
        if isinstance(answer, DataError) and not (answer.not_inside or answer.final):
            return False
        while True:
            begun = True
            if isinstance(answer, memoryview):
                await timely(connection, connection.send_payload(answer))
            else:
                await send(connection, answer)
                if isinstance(answer, DataEnd | DataError):
                    return True
            answer = await timely(source, source.receive())
    except (ConnectionError, ProtocolError) as error:
        if connection.closed:
            raise
        if not begun:
            return False
        await send(connection, DataError(f"the object's holder was lost on the way: {error}"))
        return True


async def pass_on(
    connection: DataConnection,
    request: DataGet | DataList | DataView,
    replicas: list[Replica],
    credentials: Credentials,
) -> None:
    """Let the first of these answer that can.

    Raises
    ------
    ConnectionError
        If `connection` is gone.
    """

    async def ask(address: str) -> None:
        with closing(await open_data(address, credentials)) as source:
            if not await relay(source, connection, request):
                raise TransferError("it is not there")

    try:
        await try_replicas(replicas, ask, final=(ConnectionError,))
    except NoReplica as error:
        await connection.send(DataError(f"object {request.id} cannot be had: {error}", missing=True))
