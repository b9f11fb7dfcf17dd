"""What the benchmarks' tasks do, importable by the processes that run them: the peers' best case."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

GUARD_S = 600.0


def noop(i: int) -> int:
    return i


def inc(x: int) -> int:
    return x + 1


def leaf(i: int) -> bytes:
    return b"x" * (i & 1)


def concat(a: bytes, b: bytes) -> bytes:
    return (a + b)[:1]


def program(i: int) -> None:
    subprocess.run(["/bin/true"], check=True)


def make_array(mib: int) -> Any:
    import numpy as np

    return np.full(mib << 20, 7, np.uint8)


def make_bytes(mib: int) -> bytes:
    return b"\7" * (mib << 20)


def consume(data: Any) -> tuple[int, int]:
    """Touch each page of `data`; the sum proves it, the process id tells where."""
    import numpy as np

    array = np.frombuffer(data, np.uint8) if isinstance(data, bytes | bytearray | memoryview) else data
    return int(array[::4096].sum(dtype="int64")), os.getpid()


def make_files(folder: str, count: int) -> None:
    """A folder of small files, a thousand in each of its folders."""
    for number in range(count):
        if not number % 1000:
            os.makedirs(f"{folder}/{number // 1000}")
        with open(f"{folder}/{number // 1000}/{number}", "w") as file:
            file.write(f"{number}\n" * 20)


def count_files(folder: str) -> int:
    """How many files a folder has in all."""
    return sum(len(files) for _, _, files in os.walk(folder))


def gate(path: str) -> int:
    """Hold back whoever depends on this task until `path` exists."""
    while not os.path.exists(path):
        time.sleep(0.02)
    return 0


def after(i: int, gate: int) -> int:
    return i


def chances(count: int, dice: random.Random) -> tuple[list[list[int]], list[int]]:
    """For each of many tasks which up to two of the 20 before it are its inputs; and what values it makes, if each adds
    to its square what its inputs are."""
    inputs: list[list[int]] = []
    values: list[int] = []
    for number in range(count):
        inputs.append(dice.sample(range(max(0, number - 20), number), min(number, dice.randrange(3))))
        values.append((number * number + sum(values[i] for i in inputs[-1])) % 1000003)
    return inputs, values


# -- how often tasks ran, and waiting for them ----------------------------------------------------


def executions(folder: str) -> Counter[str]:
    """How often each task ran that leaves a file for each time."""
    return Counter(name.split(".")[0] for name in os.listdir(folder) if "." in name)


def until(condition: Callable[[], object], what: str, guard_s: float = GUARD_S) -> None:
    """Wait for something."""
    deadline = time.monotonic() + guard_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {guard_s:g} s")
        time.sleep(0.005)
