"""A store is taken over from a governor that was killed: what is as it was, by one heir, of the same cluster."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import MIB
from rain.common.location import LocalFile, Replicas
from rain.common.protocol.messages import ObjectData
from rain.governor.core.effects import Known
from rain.governor.fetch import fetch
from rain.governor.inheritance import taking
from rain.governor.inheritance.index_file import INDEX
from rain.governor.inheritance.index_format import About
from rain.governor.inheritance.taking import Inheritance, cluster_of, take_over
from rain.governor.store import Store
from rain.processes import scratch
from rain.processes.scratch import MARK
from tests.support.waiting import GUARD_S

DYING = """
import os, sys, time
from rain.common.ids import ID
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.core.effects import Known
from rain.governor.inheritance.index_format import About
from rain.governor.store import Store
from rain.objects.files import local_file

memory, disk, in_memory, awaited, lives = sys.argv[1:]
store = Store(disk, memory_files=memory, memory_bytes_max=int(in_memory))
store.keep_notes(About("cluster", "host", awaited == "True", "first", ["zeroth"]), 60.0)
def note(number, is_dir=False):
    store.note(Known(ObjectSpec(ID(1, number), data_type="dir" if is_dir else "blob"), ObjectInfo(size=1 << 20)))
for number in range(3):
    taken = store.intake().put(bytes([number]) * (1 << 20))
    store.take(ID(1, number), taken)
    note(number)
store.alias(ID(2, 7), ID(1, 2))
store.note(Known(ObjectSpec(ID(2, 7)), ObjectInfo(size=1 << 20)))
path = store.intake().new_path()
os.mkdir(path)
open(path + "/inside", "w").write("text")
store.take(ID(1, 9), local_file(path, 4))
note(9, True)
store.take(ID(1, 10), store.intake().put(b"of nobody" * 100000))
store.wait_spilled()
store.flush_notes()
open(store.incoming + "/being-written", "w").write("half")
print(*[scratch.path for scratch in (store._fast_scratch, store._disk_scratch) if scratch], flush=True)
if lives == "True":
    sys.stdin.read()
os.kill(os.getpid(), 9)
"""


class Rig:
    """Folders of a host, in which governors die and others come."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.memory, self.disk = folder / "memory", folder / "disk"
        self.memory.mkdir()
        self.disk.mkdir()
        self.lost: list[tuple[ID, str]] = []
        self.moved: list[ID] = []
        self.stores: list[Store] = []
        self.processes: list[subprocess.Popen[str]] = []
        monkeypatch.setattr(taking, "MEMORY_FILES", str(self.memory))

    def dies(self, in_memory: int = 1 << 30, awaited: bool = False, lives: bool = False) -> list[Path]:
        """A governor's store was left here; its folders."""
        arguments = [str(self.memory), str(self.disk), str(in_memory), str(awaited), str(lives)]
        process = subprocess.Popen(
            [sys.executable, "-c", DYING, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        assert process.stdout is not None
        folders = [Path(word) for word in process.stdout.readline().split()]
        if not lives:
            assert process.wait(GUARD_S) == -signal.SIGKILL
        return folders

    def comes(self, awaited: bool = False, in_memory: int = 1 << 30, **about: Any) -> tuple[Store, Inheritance]:
        """Another governor is started."""
        store = Store(
            str(self.disk),
            memory_files=str(self.memory),
            memory_bytes_max=in_memory,
            on_lost=lambda id, reason: self.lost.append((id, reason)),
            on_moved=lambda id, file: self.moved.append(id),
        )
        self.stores.append(store)
        own = About(**({"cluster": "cluster", "host": "host", "awaited": awaited} | about))
        return store, take_over(store, str(self.disk), own, 60.0)

    def folders(self) -> set[Path]:
        return {*self.memory.iterdir(), *self.disk.iterdir()}


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    rig = Rig(tmp_path, monkeypatch)
    yield rig
    for store in rig.stores:
        store.close()
    for process in rig.processes:
        process.kill()
        process.communicate()


ALL = [ID(1, 0), ID(1, 1), ID(1, 2), ID(2, 7), ID(1, 9)]


@pytest.mark.parametrize("in_memory", [1 << 30, 2 * MIB, 0], ids=["memory", "partly spilled", "disk"])
def test_all_that_was_noted_is_there_and_nothing_else(rig: Rig, in_memory: int) -> None:
    left = rig.dies(in_memory)
    store, inheritance = rig.comes()
    assert [one.known.spec.id for one in inheritance.objects] == ALL
    assert inheritance.before == ["first", "zeroth"]
    assert len(store) == len(ALL)
    assert not any(path.exists() for path in left)
    for number in range(3):
        held = store.get(ID(1, number))
        assert held is not None
        assert Path(held.location.path).read_bytes() == bytes([number]) * MIB
        assert (held.size, inheritance.objects[number].checksum) == (MIB, held.location.checksum)
    directory = store.get(ID(1, 9))
    assert directory is not None
    assert directory.is_dir
    assert (Path(directory.location.path) / "inside").read_text() == "text"
    assert store.get(ID(2, 7)) is store.get(ID(1, 2))
    statistics = store.statistics()
    assert statistics["memory_bytes"] + statistics["disk_bytes"] == 3 * MIB + 4


def test_what_was_taken_over_can_be_taken_over_again(rig: Rig) -> None:
    """Its notes are in the new store, and say of which stores it is."""
    rig.dies()
    store, first = rig.comes()
    read = taking._index_in(store._fast)
    assert read is not None
    assert list(read.objects) == ALL
    assert (read.about.store, read.about.before) == (first.store, ["first", "zeroth"])


def test_bytes_are_compared_when_they_are_read(rig: Rig) -> None:
    rig.dies()
    store, _ = rig.comes()
    held = store.get(ID(1, 1))
    assert held is not None
    path = Path(held.location.path)
    seen = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"x")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert store.is_unread(ID(1, 0))
    assert store.check(ID(1, 0))
    assert not store.is_unread(ID(1, 0))
    assert rig.moved == [ID(1, 0)]
    assert not store.check(ID(1, 1))
    assert rig.lost == [(ID(1, 1), f"its file {path} was damaged (the checksum differs)")]
    assert store.check(ID(1, 9))
    assert store.check(ID(2, 7))
    assert not store.is_unread(ID(1, 2)), "they are the same bytes"


def fetched(store: Store, known: Known) -> str:
    """What a governor's core has read before a task gets it."""

    async def nowhere(address: str) -> Any:
        raise AssertionError(address)

    data = ObjectData(known.spec, known.info, Replicas([]))
    held, source = asyncio.run(fetch(data, store, "host", nowhere))
    assert isinstance(held.location, LocalFile)
    return source or held.location.path


def test_what_was_read_for_another_is_there_for_a_task(rig: Rig) -> None:
    rig.dies()
    store, inheritance = rig.comes()
    first, second, *_ = [one.known for one in inheritance.objects]
    assert store.check(first.spec.id)
    for known in (first, second):
        assert Path(fetched(store, known)).stat().st_size == MIB
        assert not store.is_unread(known.spec.id)
    store.drop([first.spec.id])
    with pytest.raises(RainException, match="is damaged or gone"):
        fetched(store, first)


def test_a_directory_that_lost_files_is_damaged(rig: Rig) -> None:
    rig.dies()
    store, _ = rig.comes()
    held = store.get(ID(1, 9))
    assert held is not None
    inside = Path(held.location.path) / "inside"
    seen = inside.parent.stat()
    inside.parent.chmod(0o755)
    inside.chmod(0o644)
    inside.write_text("changed")
    os.utime(inside.parent, ns=(seen.st_atime_ns, held.location.mtime_ns))
    assert not store.check(ID(1, 9))
    assert "were damaged" in rig.lost[0][1]


def test_what_is_not_as_it_was_is_not_taken(rig: Rig) -> None:
    fast, _ = rig.dies()
    files = [path for path in (fast / "objects").iterdir() if path.is_file() and path.stat().st_size == MIB]
    gone, changed, replaced = files
    gone.unlink()
    changed.chmod(0o644)
    changed.write_bytes(b"shorter")
    replaced.unlink()
    replaced.symlink_to("/etc/passwd")
    _, inheritance = rig.comes()
    assert [one.known.spec.id for one in inheritance.objects] == [ID(1, 9)]


def test_a_damaged_index_counts_as_far_as_it_is_whole(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    fast, _ = rig.dies()
    os.truncate(fast / INDEX, (fast / INDEX).stat().st_size - 5)
    _, inheritance = rig.comes()
    assert [one.known.spec.id for one in inheritance.objects] == ALL[:-1]
    assert "is not whole" in caplog.text


@pytest.mark.parametrize("about", [{"cluster": "another"}, {"host": "after a reboot"}])
def test_of_another_cluster_or_boot_nothing_is_taken(rig: Rig, about: dict[str, str]) -> None:
    left = rig.dies()
    _, inheritance = rig.comes(**about)
    assert inheritance[1:] == ([], [])
    assert left[0].exists(), "its own heir may still come"


def test_of_a_governor_that_lives_nothing_is_taken(rig: Rig) -> None:
    left = rig.dies(lives=True)
    _, inheritance = rig.comes()
    assert inheritance[1:] == ([], [])
    assert all(path.exists() for path in left)


def test_only_one_has_it(rig: Rig) -> None:
    rig.dies()
    first, second = rig.comes(), rig.comes()
    assert [len(inheritance.objects) for _, inheritance in (first, second)] == [len(ALL), 0]


def test_what_a_guardian_hands_on_is_not_anybodys(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    left = rig.dies(awaited=True)
    assert rig.comes()[1].objects == []
    assert rig.comes(awaited=True)[1].objects == [], "it is another one's"
    monkeypatch.setattr(scratch, "_left", [str(path) for path in left])
    assert len(rig.comes(awaited=True)[1].objects) == len(ALL)


def test_it_stays_for_its_heir_for_a_while(rig: Rig) -> None:
    left = rig.dies()
    scratch.clean(str(rig.memory), scratch.STORE)
    assert not scratch.remove_left(str(left[0]), heirs=True)
    assert scratch.is_awaited(str(left[0]))
    for path in left[0].iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    scratch.clean(str(rig.memory), scratch.STORE)
    assert not left[0].exists()
    assert scratch.remove_left(str(left[1]), heirs=True), "nothing was noted there"


def test_who_knows_that_no_heir_comes_removes_it(rig: Rig) -> None:
    left = rig.dies()
    assert scratch.remove_left(str(left[0]))


def test_of_a_mark_that_does_not_fit_nothing_is_taken(rig: Rig) -> None:
    fast, _ = rig.dies()
    mark = json.loads((fast / MARK).read_text())
    (fast / MARK).write_text(json.dumps(mark | {"uid": mark["uid"] + 1}))
    assert rig.comes()[1].objects == []


def test_two_that_died_have_one_heir(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """The second had begun to take over from the first."""
    rig.dies()
    rig.dies()
    caplog.set_level(logging.INFO)
    store, inheritance = rig.comes()
    assert len(store) == len(ALL)
    assert inheritance.before == ["first", "zeroth"] * 2
    assert "of 2 governors" in caplog.text


def test_a_cluster_is_known_by_its_key_and_does_not_tell_it() -> None:
    assert cluster_of(b"key") == cluster_of(b"key") != cluster_of(b"yek")
    assert b"key".hex() not in cluster_of(b"key")
