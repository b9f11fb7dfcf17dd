"""The floors under W5: what writing, mapping and reading so many bytes in memory files costs, and nothing else.

`scatter`: one write of an array into a file in /dev/shm, with its xxh3. `consume`: a process that has just begun maps
the file and touches each page, `cold` the first time and `warm` the second, by a mapping of its own each time. `pipe`:
making the array and scatter in one process, then consume, cold, in another.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import bodies
import numpy as np
import xxhash


def written(array: Any, path: str) -> int:
    """Write it; returns its checksum."""
    data = memoryview(array).cast("B")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        done = 0
        while done < len(data):
            done += os.write(fd, data[done : done + (1 << 30)])
    finally:
        os.close(fd)
    return xxhash.xxh3_64_intdigest(data)


def touched(path: str) -> int:
    """Map it as `load()` does, copy on write, and touch each page."""
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    array = np.frombuffer(mapped, np.uint8)
    total = bodies.consume(array)[0]
    del array
    mapped.close()
    return total


def spent() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(begin: tuple[float, float]) -> dict[str, float]:
    wall, cpu = spent()
    return {"wall": wall - begin[0], "cpu": cpu - begin[1]}


def consumer(end: Connection) -> None:
    """A process that touches what it is told, and answers what that took."""
    bodies.consume(b"x" * 8192)  # its libraries are here
    end.send({})
    while path := end.recv():
        begin = spent()
        touched(path)
        end.send(since(begin))


def floors(mib: int) -> dict[str, dict[str, float]]:
    """Wall and processor time of each, in one run."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=consumer, args=(there,), daemon=True)
    process.start()
    here.recv()
    begin = spent()
    array = bodies.make_array(mib)
    found = {"make": since(begin)}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = f"{folder}/data"
        begin = spent()
        written(array, path)
        found["scatter"] = since(begin)
        for part in ("consume cold", "consume warm"):
            here.send(path)
            found[part] = here.recv()
    here.send("")
    process.join()
    made = found.pop("make")
    parts = (made, found["scatter"], found["consume cold"])
    found["pipe"] = {key: sum(part[key] for part in parts) for key in made}
    return found
