"""What both sides of a transfer share: its error, work in threads, a limit of idle time, receiving."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import xxhash

from rain.common.errors import ProtocolError, RainException
from rain.common.limits import TRANSFER_STALL_S
from rain.common.protocol.messages import DataEnd, DataError, DataMessage

if TYPE_CHECKING:
    from rain.net.data_connection import DataConnection

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class TransferError(RainException):
    """A peer could not give or take an object.

    Attributes
    ----------
    missing : bool
        Whether it just does not have it.
    answered : bool
        Whether the peer said so itself, so that it is there.
    """

    def __init__(self, message: str, missing: bool = False, answered: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        self.answered = answered


async def in_thread(function: Callable[[*Arguments], T], *args: *Arguments) -> T:
    """Run something that blocks; when cancelled, wait for it all the same, as it may use descriptors of the caller."""
    future = asyncio.get_running_loop().run_in_executor(None, function, *args)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise


async def timely(connection: DataConnection, action: Awaitable[T]) -> T:
    """What `action` gives, which moves something on `connection`.

    Raises
    ------
    ConnectionError
        If nothing moves for `TRANSFER_STALL_S`; the connection is closed then.
    """
    try:
        async with asyncio.timeout(TRANSFER_STALL_S):
            return await action
    except TimeoutError:
        connection.close()
        raise ConnectionError(
            f"{connection.address} moved nothing for TRANSFER_STALL_S ({TRANSFER_STALL_S:g} s)"
        ) from None


async def send(connection: DataConnection, message: DataMessage) -> None:
    """Send a message.

    Raises
    ------
    ConnectionError
        If the peer is gone or takes nothing.
    """
    await timely(connection, connection.send(message))


async def receive_all(
    connection: DataConnection, size: int | None, take: Callable[[memoryview], object]
) -> tuple[int, int]:
    """Give each piece that comes to `take`, in a thread; gives size in bytes and checksum of what came.

    Raises
    ------
    TransferError
        If the sender says that it cannot go on, or something damaged came.
    ProtocolError
        If it sends something else.
    ConnectionError
        If it is gone or sends nothing.
    """
    digest = xxhash.xxh3_64()
    total = 0

    def taken(piece: memoryview) -> None:
        digest.update(piece)
        take(piece)

    while True:
        answer = await timely(connection, connection.receive())
        if isinstance(answer, DataEnd):
            break
        if isinstance(answer, DataError):
            raise TransferError(answer.message, answer.missing, answered=True)
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
