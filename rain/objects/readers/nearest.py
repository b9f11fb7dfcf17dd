"""Where an object is read: the reader of its nearest copy, and the loop over its replicas."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from rain.common.errors import RainException
from rain.common.location import Inline, file_on
from rain.common.states import DataType
from rain.objects.readers.blobs import BytesReader, FileReader
from rain.objects.readers.directories import TarReader, TreeReader

if TYPE_CHECKING:
    from rain.common.location import LocalFile, Replica, Stored
    from rain.common.protocol.messages import ObjectData
    from rain.objects.readers.reader import ObjectReader

T = TypeVar("T")


def reader_of(
    stored: Stored,
    is_dir: bool,
    size: int | None = None,
    relocate: Callable[[], ObjectReader] | None = None,
    moved: Callable[[], LocalFile | None] | None = None,
) -> ObjectReader:
    """The reader of an object that is on this host.

    Parameters
    ----------
    stored : Inline or LocalFile
        Of a directory its tar archive (in memory or as a file), or itself.
    is_dir : bool
    size : int or None
        Of a directory the sum of its files' sizes in bytes, where known.
    relocate, moved : callable, optional
        As of `FileReader`.
    """
    if isinstance(stored, Inline):
        return TarReader(stored.data, size) if is_dir else BytesReader(stored.data)
    if not is_dir:
        return FileReader(stored, relocate, moved)
    if os.path.isfile(stored.path):
        return TarReader(FileReader(stored, relocate), size)
    return TreeReader(stored, relocate)


def open_nearest(
    data: ObjectData,
    host_id: str,
    remote: Callable[[], ObjectReader],
    moved: Callable[[], LocalFile | None] | None = None,
) -> ObjectReader:
    """The nearest reader of a finished object.

    Parameters
    ----------
    data : ObjectData
    host_id : str
        `rain.host.machine.host_id()` of this process: files of replicas on the same host are used as they are.
    remote : callable
        ``remote() -> ObjectReader`` for an object that is not on this host, or no longer where `data` says.
    moved : callable, optional
        As of `FileReader`.
    """
    is_dir = data.spec.data_type == DataType.DIRECTORY.value
    if isinstance(data.location, Inline):
        return reader_of(data.location, is_dir, data.info.size)
    file = file_on(host_id, data.location)
    return remote() if file is None else reader_of(file, is_dir, data.info.size, remote, moved)


class NoReplica(RainException):
    """None of an object's replicas could be used.

    Attributes
    ----------
    reasons : dict of str to str
        By address.
    """

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__("; ".join(f"{address}: {text}" for address, text in reasons.items()) or "there is none")
        self.reasons = reasons


async def try_replicas(
    replicas: Iterable[Replica],
    there: Callable[[str], Awaitable[T]],
    *,
    here: Callable[[LocalFile], Awaitable[T]] | None = None,
    host_id: str = "",
    final: tuple[type[BaseException], ...] = (),
) -> T:
    """What the first replica gives that can be used: those on this host first, then each at its address.

    Parameters
    ----------
    replicas : iterable of Replica
    there : callable
        ``await there(address)``.
    here : callable, optional
        ``await here(file)`` for replicas of the host `host_id` that are files.
    host_id : str
    final : tuple of exception types
        What ends the search, since it would be the same at every replica. Any other `RainException` or `OSError` is
        the reason why that replica is not used.

    Raises
    ------
    NoReplica
        If none can be used.
    """
    replicas = list(replicas)
    reasons: dict[str, str] = {}
    if here is not None:
        for replica in replicas:
            if replica.file is not None and replica.host_id == host_id:
                try:
                    return await here(replica.file)
                except final:
                    raise
                except (RainException, OSError) as error:
                    reasons[f"{replica.address} on this host"] = str(error)
    for replica in replicas:
        try:
            return await there(replica.address)
        except final:
            raise
        except (RainException, OSError) as error:
            reasons[replica.address] = str(error)
    raise NoReplica(reasons)
