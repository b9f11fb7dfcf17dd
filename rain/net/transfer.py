"""Large objects over data connections: whole or in ranges, directories as tar streams, with bounded memory.

Theory of operation
-------------------
One request at a time. To `DataGet` or `DataList` the holder answers with `DataHeader`, the bytes as raw payloads of at
most `CHUNK_BYTES`, and `DataEnd` with the checksum of what it sent; or with `DataError`, also in the middle. A receiver
computes the checksum of what it got, so that nothing damaged on the way is taken. A holder that finds, at the end of a
whole object, that it sent something else than what was once stored, says so instead of `DataEnd`.

Every piece is read, hashed and written in a thread, into buffers that are used again; the loop only moves sockets. A
peer that moves nothing for `TRANSFER_STALL_S` is given up.
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import xxhash

from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.ids import ID
from rain.common.limits import CHUNK_BYTES, TRANSFER_STALL_S
from rain.common.location import LocalFile
from rain.common.protocol.encoding import encode
from rain.common.protocol.messages import DataEnd, DataError, DataGet, DataHeader, DataList, DataPut, Listing
from rain.objects import archive, inside
from rain.objects.files import NEVER_INLINE, Sink, StaleFile, open_checked, same_directory
from rain.objects.held import Held
from rain.objects.inside import NotInside, Tree

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from rain.net.connection import DataConnection

T = TypeVar("T")
_decode_listing = msgspec.msgpack.Decoder(Listing).decode

__all__ = [
    "Held",
    "TransferError",
    "get_buffer",
    "get_directory",
    "get_listing",
    "get_to_file",
    "put_file",
    "put_pieces",
    "relay",
    "serve_get",
    "serve_put",
]


class TransferError(RainException):
    """A peer could not give or take an object.

    Attributes
    ----------
    missing : bool
        Whether it just does not have it.
    """

    def __init__(self, message: str, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Run something that blocks; when cancelled, wait for it all the same, as it may use descriptors of the caller."""
    future = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


async def _timely(connection: DataConnection, action: Any) -> Any:
    try:
        async with asyncio.timeout(TRANSFER_STALL_S):
            return await action
    except TimeoutError:
        connection.close()
        raise ConnectionError(
            f"{connection.address} moved nothing for TRANSFER_STALL_S ({TRANSFER_STALL_S:g} s)"
        ) from None


# -- giving ------------------------------------------------------------------------------------------


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
            reader = await _reader(held, request)
        except StaleFile as error:
            newer = on_lost(str(error)) if on_lost is not None else None
            if newer is None:
                raise TransferError(str(error), missing=True) from None
            reader = await _reader(newer, request)
    except NotInside as error:
        await _say(connection, DataError(f"object {request.id}: {error}", not_inside=True))
        return
    except (RainException, OSError) as error:
        missing = isinstance(error, TransferError) and error.missing
        await _say(connection, DataError(f"object {request.id} cannot be read: {error}", missing))
        return
    try:
        problem = await _send(connection, reader, held)
    except ConnectionError:
        raise
    except (RainException, OSError) as error:
        await _say(connection, DataError(f"object {request.id} cannot be read: {error}"))
        return
    finally:
        reader.close()
    if problem:
        if on_lost is not None:
            on_lost(problem)
        await _say(connection, DataError(f"object {request.id} is lost here: {problem}", missing=True))


async def _say(connection: DataConnection, message: Any) -> None:
    await _timely(connection, connection.send(message))


async def _reader(held: Held, request: DataGet | DataList) -> _Reader:
    """For the bytes that were asked for."""
    if isinstance(request, DataList):
        return _BytesReader(await in_thread(_listing, held, request), DataGet(request.id))
    if request.path is not None:
        return await in_thread(_reader_inside, held, request, os.fsdecode(request.path))
    return _reader_of_all(held, request)


def _reader_of_all(held: Held, request: DataGet) -> _Reader:
    if held.data is not None:
        return _BytesReader(held.data, request)
    assert held.file is not None
    if held.is_dir and os.path.isdir(held.file.path):
        if request.offset or request.length is not None:
            raise RainException("a directory is given as a whole only")
        if not same_directory(held.file):
            raise StaleFile(f"{held.file.path} is not the directory that was stored as this object")
        return _TreeReader(held.file.path)
    return _FileReader(open_checked(held.file), held.file.size, request)


def _listing(held: Held, request: DataList) -> bytes:
    with inside.of(held) as found:
        return encode(found.look(os.fsdecode(request.path), request.offset, request.count))


def _reader_inside(held: Held, request: DataGet, path: str) -> _Reader:
    with inside.of(held) as found:
        if isinstance(found, Tree):
            fd, file = found.open(path)
            return _FileReader(fd, file.size, request)
        start, size = found.place(path)
    if held.data is not None:
        return _BytesReader(memoryview(held.data)[start : start + size], request)
    assert held.file is not None
    return _FileReader(open_checked(held.file), size, request, start)


class _Reader:
    """Pieces of an object one after the other, each valid until the next.

    Attributes
    ----------
    size : int or None
        Bytes to come, where known.
    whole : bool
        Whether it is the whole object.
    digest
        Of all pieces so far.
    """

    blocks = True
    whole = True

    def __init__(self, size: int | None) -> None:
        self.size = size
        self.digest = xxhash.xxh3_64()

    def read(self) -> memoryview | None:
        """The next piece, None at the end."""
        piece = self._next()
        if piece is not None:
            self.digest.update(piece)
        return piece

    def _next(self) -> memoryview | None:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def _range(self, total: int, request: DataGet) -> None:
        self._at = min(max(request.offset, 0), total)
        self._end = total if request.length is None else min(self._at + max(request.length, 0), total)
        self.size = self._end - self._at
        self.whole = self.size == total


class _BytesReader(_Reader):
    blocks = False

    def __init__(self, data: Buffer, request: DataGet) -> None:
        super().__init__(0)
        self._data = memoryview(data)
        self._range(len(self._data), request)

    def _next(self) -> memoryview | None:
        if self._at == self._end:
            return None
        piece = self._data[self._at : min(self._at + CHUNK_BYTES, self._end)]
        self._at += len(piece)
        return piece


class _FileReader(_Reader):
    """Of the `total` bytes of a file from `start` on."""

    def __init__(self, fd: int, total: int, request: DataGet, start: int = 0) -> None:
        super().__init__(0)
        self._fd = fd
        self._start = start
        self._range(total, request)
        self._buffer = memoryview(bytearray(min(self.size or 0, CHUNK_BYTES)))

    def _next(self) -> memoryview | None:
        if self._at == self._end:
            return None
        count = os.preadv(self._fd, [self._buffer[: self._end - self._at]], self._start + self._at)
        self._at += count
        return self._buffer[:count] if count else None

    def close(self) -> None:
        os.close(self._fd)


class _TreeReader(_Reader):
    def __init__(self, path: str) -> None:
        super().__init__(None)
        self._pieces = archive.pack(path)

    def _next(self) -> memoryview | None:
        return next(self._pieces, None)

    def close(self) -> None:
        self._pieces.close()


async def _send(connection: DataConnection, reader: _Reader, held: Held) -> str:
    """Send the object; gives what is wrong with it, empty for nothing."""
    await _say(connection, DataHeader(reader.size, "dir" if held.is_dir else "blob"))
    sent = 0
    while (piece := await in_thread(reader.read) if reader.blocks else reader.read()) is not None:
        await _timely(connection, connection.send_payload(piece))
        sent += len(piece)
    if reader.size is not None and sent != reader.size:
        return "its file became shorter"
    checksum = reader.digest.intdigest()
    if reader.whole and not held.is_dir and held.checksum is not None and held.checksum != checksum:
        return "its bytes were damaged (the checksum differs)"
    await _say(connection, DataEnd(checksum))
    return ""


async def relay(source: DataConnection, connection: DataConnection, request: DataGet | DataList) -> bool:
    """Pass a request on to `source` and its answer to `connection`.

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
        await _timely(source, source.send(request))
        answer = await _timely(source, source.receive())
        if isinstance(answer, DataError) and not answer.not_inside:
            return False
        while True:
            begun = True
            if isinstance(answer, memoryview):
                await _timely(connection, connection.send_payload(answer))
            else:
                await _timely(connection, connection.send(answer))
                if isinstance(answer, DataEnd | DataError):
                    return True
            answer = await _timely(source, source.receive())
    except (ConnectionError, ProtocolError) as error:
        if connection.closed:
            raise
        if not begun:
            return False
        await _timely(connection, connection.send(DataError(f"the object's holder was lost on the way: {error}")))
        return True


# -- getting -----------------------------------------------------------------------------------------


async def _get(
    connection: DataConnection,
    request: DataGet | DataList,
    begin: Callable[[DataHeader], Any],
    take: Callable[[memoryview], Any],
) -> tuple[int, int]:
    """Ask, and give each piece to `take` in a thread; gives size and checksum of what came."""
    try:
        await _timely(connection, connection.send(request))
        header = await _timely(connection, connection.receive())
        if isinstance(header, DataError):
            raise NotInside(header.message) if header.not_inside else TransferError(header.message, header.missing)
        if not isinstance(header, DataHeader):
            raise ProtocolError(f"{connection.address} answered a request for data with something else")
        await in_thread(begin, header)
        return await _receive(connection, header.size, take)
    except ConnectionError as error:
        raise TransferError(str(error)) from None
    except BaseException as error:
        if not isinstance(error, TransferError | NotInside):
            connection.close()  # the rest of the answer is still on its way
        raise


async def _receive(connection: DataConnection, size: int | None, take: Callable[[memoryview], Any]) -> tuple[int, int]:
    digest = xxhash.xxh3_64()
    total = 0

    def taken(piece: memoryview) -> None:
        digest.update(piece)
        take(piece)

    while True:
        answer = await _timely(connection, connection.receive())
        if isinstance(answer, DataEnd):
            break
        if isinstance(answer, DataError):
            raise TransferError(answer.message, answer.missing)
        if not isinstance(answer, memoryview):
            raise ProtocolError(f"{connection.address} sent something else in the middle of an object")
        total += len(answer)
        if size is not None and total > size:
            raise ProtocolError(f"{connection.address} sent more than the {size} bytes that it had announced")
        await in_thread(taken, answer)
    if size is not None and total != size:
        raise TransferError(f"{connection.address} sent {total} of {size} bytes")
    if digest.intdigest() != answer.checksum:
        raise TransferError(f"what {connection.address} sent was damaged on the way (the checksum differs)")
    return total, answer.checksum


async def get_to_file(connection: DataConnection, id: ID, path: str, *, spill_path: str | None = None) -> LocalFile:
    """Bring a blob into the new file `path`, or `spill_path` if `path` is on a full file system.

    Raises
    ------
    TransferError
        If the peer does not have it, is gone, or sent something damaged; no file is left then.
    ResourceError
        If the disk is full.
    """
    sink = Sink(path, NEVER_INLINE, spill_path=spill_path)
    try:
        await _get(connection, DataGet(id), lambda header: None, sink.write)
        written = await in_thread(sink.finish)
    except BaseException:
        sink.discard()
        raise
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
        await _get(connection, DataGet(id), lambda header: None, unpacker.feed)
        return await in_thread(unpacker.close)
    except BaseException:
        unpacker.discard()
        raise


async def get_buffer(
    connection: DataConnection, id: ID, offset: int = 0, length: int | None = None, *, path: str | None = None
) -> tuple[memoryview, int]:
    """Bytes of an object (of a directory: of its tar archive, or of the file `path` in it) in fresh writable memory,
    and their checksum.

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


async def _into_memory(connection: DataConnection, request: DataGet | DataList, what: str) -> tuple[memoryview, int]:
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

    _, checksum = await _get(connection, request, begin, take)
    return (memory[0] if memory else memoryview(bytearray().join(pieces))), checksum


# -- putting -----------------------------------------------------------------------------------------


async def put_pieces(
    connection: DataConnection, name: str, size: int, pieces: Iterable[Buffer], conversation: str = ""
) -> int:
    """Send `size` bytes to the server, to be known as `name` until a submit in `conversation` names it; gives their
    checksum.

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
        await _timely(connection, connection.send(DataPut(name, size, conversation)))
        while (view := await in_thread(following)) is not None:
            for start in range(0, len(view), CHUNK_BYTES):
                await _timely(connection, connection.send_payload(view[start : start + CHUNK_BYTES]))
        await _timely(connection, connection.send(DataEnd(digest.intdigest())))
    except ConnectionError as error:
        raise TransferError(await _refusal(connection) or str(error)) from None
    try:
        answer = await _timely(connection, connection.receive())
    except ConnectionError as error:
        raise TransferError(str(error)) from None
    if isinstance(answer, DataError):
        raise TransferError(answer.message)
    if not isinstance(answer, DataEnd) or answer.checksum != digest.intdigest():
        raise TransferError("the server received something else than what was sent")
    return answer.checksum


async def _refusal(connection: DataConnection) -> str:
    """What the server said before it closed the connection."""
    try:
        answer = await _timely(connection, connection.receive())
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


def _pieces(path: str) -> tuple[int, Iterator[memoryview]]:
    if os.path.isdir(path):
        return archive.packed_size(path), archive.pack(path)
    return os.stat(path).st_size, _file_pieces(path)


def _file_pieces(path: str) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with open(path, "rb", buffering=0) as source:
        while count := source.readinto(buffer):
            yield buffer[:count]


async def serve_put(
    connection: DataConnection, request: DataPut, path: str, spill_path: str | None = None, bytes_max: int | None = None
) -> int:
    """Receive what `DataPut` announced into the new file `path`; gives its checksum. The caller answers.

    `spill_path` and `bytes_max` are as of `Sink`.

    Raises
    ------
    RainException
        If less, more or something damaged came, or the disk is full; no file is left then.
    ConnectionError
        If the peer is gone.
    """
    if request.size < 0:
        raise ProtocolError("a client announced a negative number of bytes")
    sink = Sink(path, NEVER_INLINE, spill_path=spill_path, bytes_max=bytes_max)
    try:
        _, checksum = await _receive(connection, request.size, sink.write)
        await in_thread(sink.finish)
    except BaseException:
        sink.discard()
        raise
    return checksum
