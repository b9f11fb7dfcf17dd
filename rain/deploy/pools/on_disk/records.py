"""What a pool leaves on disk about itself: for `rain pool list`, for bounds that hold over restarts, for orphans.

One file a pool, in a folder of the user's state that only the user may read. Its pool replaces it whenever it changes;
no other process writes it while the pool's process lives. Secrets are not in it. It stays when the pool has ended, with
the core-hours that were used; places are left out then.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import NamedTuple

import msgspec

from rain.common.errors import RainException
from rain.common.limits import POOL_RECORD_BYTES_MAX
from rain.deploy.pools.folder import pools_folder
from rain.host.process_table import is_alive, start_time
from rain.processes.private_folders import check_private, made_dir

VERSION = 1


class PlaceRecord(msgspec.Struct, kw_only=True):
    """One place.

    Attributes
    ----------
    number : int
    job : str
        Its id at the engine.
    state : str
        As `rain.deploy.pools.places.PlaceState` names it.
    told : str
        Why it waits or how it ended, in the engine's words.
    governor : str
        ``host:port``, or empty.
    """

    number: int
    job: str
    state: str
    told: str = ""
    governor: str = ""


class PoolRecord(msgspec.Struct, kw_only=True):
    """One pool.

    Attributes
    ----------
    version : int
        Of this format.
    id : str
    name : str
        Bounds of core-hours are of all pools of a name.
    engine : str
    server : str
        ``host:port``.
    host : str
        Where the process is that holds the pool.
    pid : int
    started : str
        When that process started, as the kernel counts; its number alone may be another's by now.
    wanted : int
        Number of places.
    places : list of PlaceRecord
    used_core_s : float
        Seconds times cpus of all places that were up.
    closed : bool
        Whether it has given up all places.
    ended : bool
        Whether it is closed, and all its jobs have ended.
    """

    id: str
    name: str
    engine: str
    server: str
    host: str
    pid: int
    started: str
    version: int = VERSION
    wanted: int = 0
    places: list[PlaceRecord] = []
    used_core_s: float = 0.0
    closed: bool = False
    ended: bool = False

    @property
    def path(self) -> Path:
        return _folder() / f"{self.id}.json"

    @property
    def requests(self) -> Path:
        """The folder in which other processes leave what they ask of the pool."""
        return _folder() / f"{self.id}.requests"


def new_record(name: str, engine: str, server: str) -> PoolRecord:
    """The record of a new pool of this process; not yet on disk."""
    word = "".join(char if char.isalnum() else "-" for char in name)[:40]
    return PoolRecord(
        id=f"{word}-{os.urandom(3).hex()}",
        name=name,
        engine=engine,
        server=server,
        host=socket.gethostname(),
        pid=os.getpid(),
        started=start_time(os.getpid()),
    )


def write(record: PoolRecord) -> None:
    """Put it on disk in one step.

    Raises
    ------
    RainException
        If it cannot be written, or another user may read the folder.
    """
    path = record.path
    made_dir(pools_folder())  # apart: what is made on the way to a folder is not for the user alone
    made_dir(path.parent)
    check_private(str(path.parent), "folder of pools", 0o700)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.encode(record))
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise RainException(f"the record of pool {record.id} cannot be written at {path}: {error.strerror}") from None


class Known(NamedTuple):
    """All records of a user.

    Attributes
    ----------
    records : list of PoolRecord
        The youngest last.
    unread : list of str
        Of those that cannot be read: which, and why.
    """

    records: list[PoolRecord]
    unread: list[str]


def known() -> Known:
    """All records of this user."""
    found: list[tuple[float, PoolRecord]] = []
    unread: list[str] = []
    for path in sorted(_folder().glob("*.json")):
        try:
            record = _read(path)
            found.append((path.stat().st_mtime, record))
        except FileNotFoundError:
            continue  # it was removed just now
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            unread.append(f"the record of a pool at {path} cannot be read: {why}")
    return Known([record for _, record in sorted(found, key=lambda pair: pair[0])], unread)


def records() -> list[PoolRecord]:
    """All records of this user that can be read, the youngest last."""
    return known().records


def again(record: PoolRecord) -> PoolRecord:
    """The record as it is on disk now; as it was if it cannot be read."""
    try:
        return _read(record.path)
    except (OSError, ValueError):
        return record


def _read(path: Path) -> PoolRecord:
    with open(path, "rb") as file:
        record = msgspec.json.decode(file.read(POOL_RECORD_BYTES_MAX), type=PoolRecord)
    if record.version != VERSION:
        raise ValueError(f"it has format {record.version}, this Rain reads {VERSION}")
    if record.id != path.stem:
        raise ValueError(f"it is that of pool {record.id}")
    return record


def record_called(name: str) -> PoolRecord:
    """The record with that id, or of the only pool of that name that has not ended.

    Raises
    ------
    RainException
        If there is none, or several have the name.
    """
    every = records()
    found = [record for record in every if record.id == name] or [
        record for record in every if record.name == name and not record.ended
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise RainException(f"several pools are called {name}: {', '.join(record.id for record in found)}")
    known = ", ".join(record.id for record in every if not record.ended) or "none"
    raise RainException(f"there is no pool {name}; those that are open: {known}")


def used_core_s(name: str) -> float:
    """Core-seconds that all pools of that name have used up to now."""
    return sum(record.used_core_s for record in records() if record.name == name)


def is_held(record: PoolRecord) -> bool | None:
    """Whether the process that holds the pool lives; None if that is on another host, where it cannot be seen."""
    if record.host != socket.gethostname():
        return None
    return is_alive(record.pid) and start_time(record.pid) == record.started


def _folder() -> Path:
    return pools_folder() / "records"
