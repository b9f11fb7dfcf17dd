"""What other processes of the user ask of a pool: files in a folder beside the pool's record.

A request is one file, complete when it gets its name; the pool answers with another and removes the request. Where a
home folder is shared, so is the folder, whatever host the processes are on.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from rain.common.errors import RainException
from rain.common.limits import POOL_RECORD_BYTES_MAX, POOL_REQUEST_S
from rain.deploy.pools.on_disk.records import PoolRecord, again, is_held
from rain.processes.private_folders import check_private, made_dir

_REQUEST = ".request"
_ANSWER = ".answer"
_T = TypeVar("_T")


class Request(msgspec.Struct, kw_only=True):
    """What is asked.

    Attributes
    ----------
    action : str
        ``scale`` to `count` places; ``drain``: give up `places`, or all; ``remove``: drain all, and close the pool.
    count : int
    places : list of int
        By number.
    """

    action: Literal["scale", "drain", "remove"]
    count: int = 0
    places: list[int] = []


class Answer(msgspec.Struct, kw_only=True):
    """What the pool says: `error` is empty if it was done."""

    error: str = ""


def ask(record: PoolRecord, request: Request, timeout: float = POOL_REQUEST_S) -> None:
    """Ask something of a pool; returns when it is done.

    Raises
    ------
    RainException
        If the pool refuses, its process has ended, or it does not answer within `timeout` seconds.
    """
    folder = record.requests
    name = os.urandom(8).hex()
    answer = folder / f"{name}{_ANSWER}"
    try:
        _write(folder / f"{name}{_REQUEST}", request)
    except OSError as error:
        why = "it has ended" if again(record).ended else f"{folder}: {error.strerror}"
        raise RainException(f"pool {record.id} takes no requests: {why}") from None
    deadline = time.monotonic() + timeout
    try:
        while not answer.exists():
            now = again(record)
            if now.closed and request.action == "remove":
                return  # its process may have been quicker to end than to answer
            if now.ended:
                raise RainException(f"pool {record.id} has ended")
            if is_held(record) is False:
                raise RainException(
                    f"the process that held pool {record.id} has ended; `rain pool remove {record.id}` ends its jobs"
                )
            if time.monotonic() > deadline:
                raise RainException(
                    f"pool {record.id} on {record.host} has not answered within {timeout:g} s; if its process has "
                    f"ended there, `rain pool remove --ended {record.id}` ends its jobs from here"
                )
            time.sleep(0.1)
        try:
            found = _read(answer, Answer)
        except FileNotFoundError:  # the pool has ended since, and its folder with it
            found = Answer()
    finally:
        for left in (folder / f"{name}{_REQUEST}", answer):
            left.unlink(missing_ok=True)
    if found.error:
        raise RainException(found.error)


def opened(record: PoolRecord) -> Path:
    """The folder for requests to a pool, made if it is not there.

    Raises
    ------
    RainException
        If another user may read it.
    """
    folder = made_dir(record.requests)
    check_private(str(folder), "folder of a pool's requests", 0o700)
    return folder


def serve(record: PoolRecord, do: Callable[[Request], None]) -> None:
    """Answer all requests that are there; an error of `do` is the answer."""
    try:
        names = sorted(os.listdir(record.requests))
    except OSError:
        return
    for name in names:
        if not name.endswith(_REQUEST):
            continue
        path = record.requests / name
        try:
            request = _read(path, Request)
        except (OSError, msgspec.MsgspecError) as error:
            answer = Answer(error=f"the request cannot be read: {error}")
        else:
            try:
                do(request)
                answer = Answer()
            except Exception as error:  # whatever an engine or a server said: the asking command is told
                answer = Answer(error=str(error) or type(error).__name__)
        with contextlib.suppress(OSError):  # the asking command gave up, and took the folder with it
            _write(path.with_name(name.removesuffix(_REQUEST) + _ANSWER), answer)
            path.unlink(missing_ok=True)


def _write(path: Path, value: msgspec.Struct) -> None:
    partial = path.with_name(f".{path.name}")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(value))
    os.replace(partial, path)


def _read(path: Path, kind: type[_T]) -> _T:
    with open(path, "rb") as file:
        return msgspec.json.decode(file.read(POOL_RECORD_BYTES_MAX), type=kind)
