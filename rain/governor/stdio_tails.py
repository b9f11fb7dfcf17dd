"""Reading the files that executors write their stdout and stderr into."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rain.common.limits import TASK_OUTPUT_BYTES_MAX
from rain.processes.logs import give_back


def read_new(file: int, begin: int, had: int) -> tuple[bytes, int]:
    """What follows the first `had` bytes after offset `begin` of a file, at most its last `TASK_OUTPUT_BYTES_MAX`.

    Returns
    -------
    data : bytes
    before : int
        Bytes between `begin` and `data`.
    """
    size = os.fstat(file).st_size - begin
    if size <= had:
        return b"", had
    start = max(had, size - TASK_OUTPUT_BYTES_MAX)
    return os.pread(file, size - start, begin + start), start


def trim(files: Sequence[int], bytes_max: int) -> None:
    """Give back what files take beyond twice `bytes_max`, but for so many bytes at their ends; positions stay."""
    for file in files:
        seen = os.fstat(file)
        if seen.st_blocks * 512 > 2 * bytes_max:
            give_back(file, 0, seen.st_size - bytes_max)


def read_tails(files: Sequence[int], marks: Sequence[int] = (0, 0)) -> tuple[bytes, bytes, tuple[int, int]]:
    """The tails of stdout and stderr after their marks, and how many bytes were written after them in all."""
    (stdout, out), (stderr, err) = [read_new(file, mark, 0) for file, mark in zip(files, marks, strict=True)]
    return stdout, stderr, (out + len(stdout), err + len(stderr))
