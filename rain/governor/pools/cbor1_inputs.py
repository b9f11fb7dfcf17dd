"""What foreign executors are given, and whether it is still what it was when they have ended."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import CBOR_MEMORY_BYTES_MAX
from rain.common.location import Inline
from rain.common.protocol.messages import ExecutorInput
from rain.governor.pools.cbor1.locations import Location, Memory, Path


class Watched(NamedTuple):
    """An input that was lent as a file, as it was then."""

    id: ID
    path: str
    size: int
    mtime_ns: int


class InputsChanged(RainException):
    """Inputs are not what they were when they were lent.

    Attributes
    ----------
    objects : list of ID
    """

    def __init__(self, objects: Iterable[ID]) -> None:
        self.objects = list(objects)
        super().__init__(
            f"changed one of its inputs ({', '.join(map(str, self.objects))}), which is read by others too"
        )


def lend(value: ExecutorInput, memory_left: int) -> tuple[Location, Watched | None]:
    """How an input is given: its bytes if they are few, and no more than `memory_left` if they lie in a file, else its
    path, to be watched if it is a file's.
    """
    if isinstance(value.location, Inline):
        return Memory(value.location.data), None
    assert value.path is not None
    path = os.path.realpath(value.path)
    if value.spec.data_type != "blob":
        return Path(path), None
    seen = os.stat(path)
    if seen.st_size <= min(CBOR_MEMORY_BYTES_MAX, memory_left):
        with open(path, "rb") as file:
            return Memory(file.read()), None
    return Path(path), Watched(value.spec.id, path, seen.st_size, seen.st_mtime_ns)


def check_inputs(watched: Sequence[Watched]) -> None:
    """See that files which were lent are as they were.

    Raises
    ------
    InputsChanged
    """
    changed = dict.fromkeys(one.id for one in watched if _is_changed(one))
    if changed:
        raise InputsChanged(changed)


def _is_changed(one: Watched) -> bool:
    try:
        seen = os.lstat(one.path)
    except OSError:
        return True
    # A link: the store moved it to disk meanwhile, and checked its bytes.
    return not stat.S_ISLNK(seen.st_mode) and (seen.st_size, seen.st_mtime_ns) != (one.size, one.mtime_ns)
