"""Large objects take every way without passing through the memory of the server, a governor or the client."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rain import Client, InputDir, Output, Session, blob, remote, tasks
from tests.support.processes import Marked
from tests.support.waiting import GUARD_S

MIB = 1 << 20


@remote(outputs=Output("copy"))
def pass_on(ctx: Any, data: Any) -> Any:
    return data


@remote(outputs=Output("size", encode="json"))
def size_of(ctx: Any, data: Any) -> int:
    return int(data.size)


class ChangeFeed(threading.Thread):
    """Samples the memory that processes have for themselves (mapped files are not theirs)."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self._over = threading.Event()
        self._first = [self._own(pid) for pid in pids]
        self._most = list(self._first)

    @staticmethod
    def _own(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) << 10

    def run(self) -> None:
        while not self._over.wait(0.01):
            self._most = [max(most, self._own(pid)) for most, pid in zip(self._most, self._pids, strict=True)]

    def growth(self) -> int:
        """Bytes by which the one that grew most had grown at its peak."""
        self._over.set()
        self.join()
        return max(most - first for most, first in zip(self._most, self._first, strict=True))


@pytest.fixture
def cluster(marked: Marked) -> Iterator[Client]:
    with Client.local(cpus=2, governors=2) as client:
        yield client


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def every_way(session: Session, folder: Path, size: int) -> None:
    """Make an object of `size` bytes, move it through all that moves objects, and compare what comes out."""
    source = folder / "source"
    with open(source, "wb") as file:
        for block in range(size // MIB):
            file.write(block.to_bytes(8, "little") * (MIB // 8))
    expected = digest(source)
    loaded = tasks.Load(source)
    program = tasks.Execute(["cat", loaded], stdout="copy")
    joined = tasks.Concat([pass_on(program), blob("")])
    packed = tasks.MakeDirectory({"sub/data": joined})
    listed = tasks.Execute(["wc", "-c", "in/sub/data"], input_paths=[InputDir("in", dataobj=packed)], stdout="count")
    sliced = tasks.SliceDirectory(packed, "sub/data")
    stored = tasks.Store(sliced, folder / "stored")
    kept = [sliced.output, size_of(sliced).output, listed.output]
    for obj in kept:
        obj.keep()
    session.submit()
    stored.wait(timeout=300)
    assert digest(folder / "stored") == expected
    assert kept[1].fetch(timeout=GUARD_S).load() == size
    assert kept[2].fetch(timeout=GUARD_S).get_str().split()[0] == str(size)
    instance = kept[0].fetch(timeout=GUARD_S)
    assert instance.size == size
    instance.write(folder / "written")
    assert digest(folder / "written") == expected
    for path in (source, folder / "stored", folder / "written"):
        path.unlink()


def run(cluster: Client, marked: Marked, folder: Path, size: int) -> None:
    daemons = marked.named("rain-server") + marked.named("rain-governor")
    assert len(daemons) == 3
    watch = ChangeFeed([psutil.Process().pid, *(process.pid for process in daemons)])
    watch.start()
    with cluster.new_session("large") as session:
        every_way(session, folder, size)
    assert watch.growth() < 48 * MIB


def test_every_way(cluster: Client, marked: Marked, tmp_path: Path) -> None:
    run(cluster, marked, tmp_path, 192 * MIB)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_gigabytes(cluster: Client, marked: Marked, tmp_path: Path) -> None:
    run(cluster, marked, tmp_path, 2048 * MIB)


@remote()
def part(ctx: Any) -> bytes:
    return b"x" * 60_000


@remote(outputs=Output("size", encode="json"))
def merge(ctx: Any, *parts: Any) -> int:
    return sum(part.size for part in parts)


@pytest.mark.soak
@pytest.mark.parametrize("count", [1200, 6000])
def test_small_inputs_that_are_larger_than_a_frame_together(count: int) -> None:
    """More than FRAME_BYTES_MAX, and more than UNACKED_BYTES_MAX."""
    with Client.local(cpus=1) as client, client.new_session("many") as session:
        merged = merge(*[part() for _ in range(count)])
        merged.output.keep()
        session.submit()
        merged.wait(timeout=GUARD_S)
        assert merged.output.fetch().load() == count * 60_000
        after = part()
        session.submit()
        after.wait(timeout=GUARD_S)
