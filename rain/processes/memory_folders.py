"""Folders in memory for large objects and constants, and how many bytes may be in them before others go to disk."""

from __future__ import annotations

import logging
import os
import shutil

from rain.common.errors import RainException
from rain.common.formatting import parse_bytes
from rain.common.limits import CONSTANTS_MEMORY_SHARE, FAST_BYTES_MIN, STORE_MEMORY_SHARE
from rain.host.shares import memory_share
from rain.processes.scratch import Scratch

log = logging.getLogger("rain.processes")

STORE_MEMORY_VARIABLE = "RAIN_STORE_MEMORY"
_ROOM_SHARE = 0.8
"""The share of a memory file system's free space that may be used."""


def store_memory(root: str = "/") -> int:
    """Bytes of a governor's objects that may lie in memory, unless an option says otherwise."""
    return int(memory_share(root=root).amount * STORE_MEMORY_SHARE)


def constants_memory(root: str = "/") -> int:
    """Bytes of large constants that may lie in memory, unless an option of the server says otherwise."""
    return int(memory_share(root=root).amount * CONSTANTS_MEMORY_SHARE)


def chosen_memory(option: str) -> int | None:
    """Bytes that ``--store-memory`` or the environment variable asks for; None for neither.

    Raises
    ------
    RainException
        If it is no size.
    """
    for name, text in (("--store-memory", option), (STORE_MEMORY_VARIABLE, os.environ.get(STORE_MEMORY_VARIABLE, ""))):
        if text:
            try:
                return parse_bytes(text)
            except RainException as error:
                raise RainException(f"{name}: {error}") from None
    return None


def fast_folder(
    memory_files: str,
    prefix: str,
    bytes_max: int,
    *,
    taken: Scratch | None = None,
    needed_by: str = "",
    inherited: bool = True,
) -> tuple[Scratch | None, int]:
    """A private folder in the memory file system `memory_files`, and how many bytes may be in it; None if there is no
    room, or `bytes_max` is 0. `taken` is an existing folder, which is used in any case."""
    try:
        room = shutil.disk_usage(memory_files).free * _ROOM_SHARE
        if taken is not None:
            return taken, int(max(0, min(room, bytes_max)))
        if room < FAST_BYTES_MIN or bytes_max <= 0:
            return None, 0
        return Scratch(memory_files, prefix, needed_by=needed_by, inherited=inherited), int(min(room, bytes_max))
    except OSError as error:
        log.info("no memory files in %s: %s", memory_files, error)
        return None, 0
