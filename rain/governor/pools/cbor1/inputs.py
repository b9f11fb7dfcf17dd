"""What foreign executors are given, and whether it is still what it was when they have ended."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import CBOR_MEMORY_BYTES_MAX
from rain.common.protocol.messages import ExecutorInput
from rain.governor.pools.cbor1.locations import Location, Memory, Path
from rain.objects.lent_inputs import LentFile


class InputsChanged(RainException):
    """Inputs are not what they were when they were lent.

    Attributes
    ----------
    objects : list of ID
    """

    def __init__(self, objects: Iterable[ID]) -> None:
        self.objects = list(objects)
        super().__init__(f"changed one of its inputs ({', '.join(map(str, self.objects))}), which other tasks read too")


def lend(value: ExecutorInput, memory_left: int) -> tuple[Location, LentFile | None]:
    """How an input that lies in a file or directory is given: its bytes if they are few (at most `memory_left`), else
    its path, to be watched if it is a file's.
    """
    assert value.path is not None
    path = os.path.realpath(value.path)
    if value.spec.data_type != "blob":
        return Path(path), None
    seen = os.stat(path)
    if seen.st_size <= min(CBOR_MEMORY_BYTES_MAX, memory_left):
        with open(path, "rb") as file:
            return Memory(file.read()), None
    return Path(path), LentFile(value.spec.id, path, seen.st_size, seen.st_mtime_ns)


def check_inputs(watched: Sequence[LentFile]) -> None:
    """See that files which were lent are as they were.

    Raises
    ------
    InputsChanged
    """
    changed = dict.fromkeys(one.id for one in watched if one.problem())
    if changed:
        raise InputsChanged(changed)
