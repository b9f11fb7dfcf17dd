import asyncio
import errno
import os
import stat
import subprocess
import threading

import pytest
import xxhash

from rain.common.errors import RainException, ResourceError
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX, MIB
from rain.common.location import Inline, LocalFile
from rain.common.protocol.messages import ExecutorInput
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.store import Store
from rain.objects import archive, spiller
from rain.objects.files import StaleFile, inline, local_file
from rain.objects.lent_inputs import damaged
from rain.objects.readers import FileReader
from rain.objects.sink import FullMark, Sink
from tests.support.waiting import GUARD_S


class Rig:
    """A store over two ordinary folders, of which one plays memory."""

    def __init__(self, tmp_path, name="store", **options):
        self.memory, self.disk = tmp_path / f"{name}-memory", tmp_path / f"{name}-disk"
        self.memory.mkdir(exist_ok=True)
        self.disk.mkdir(exist_ok=True)
        self.moved, self.lost = [], []
        self.count = 0
        self.store = Store(
            str(self.disk),
            on_moved=lambda id, file: self.moved.append((id, file)),
            on_lost=lambda id, reason: self.lost.append((id, reason)),
            memory_files=str(self.memory),
            **options,
        )

    def file(self, data):
        """As an executor writes one."""
        self.count += 1
        written = Sink(f"{self.store.incoming}/task-{self.count}").write_all([data])
        assert isinstance(written, LocalFile)
        return written

    def add(self, number, data):
        return self.store.take(ID(1, number), self.file(data)).location

    def files(self):
        return sorted(path for root in (self.memory, self.disk) for path in root.glob("*/*/**/*") if not path.is_dir())


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path, memory_bytes_max=4 * MIB)
    yield rig
    rig.store.close()


@pytest.fixture
def store(rig):
    return rig.store


def read(held):
    return held.location.data if isinstance(held.location, Inline) else bytes(FileReader(held.location).buffer())


# -- taking ---------------------------------------------------------------------------------------


def test_small_bytes_stay_in_memory(rig, store):
    held = store.put_bytes(ID(1, 1), inline(b"abc"))
    assert (held.location.data, held.size, held.is_dir) == (b"abc", 3, False)
    assert store.get(ID(1, 1)) == held
    assert ID(1, 1) in store
    assert rig.files() == []
    assert store.statistics()["inline_bytes"] == 3
    assert store.statistics()["memory_max_bytes"] > 0
    assert store.statistics()["disk_max_bytes"] > 0


def test_larger_bytes_become_a_file(rig, store):
    data = os.urandom(INLINE_BYTES_MAX + 1)
    held = store.put_bytes(ID(1, 1), Inline(data))
    assert isinstance(held.location, LocalFile)
    assert read(held) == data
    assert held.location.checksum == xxhash.xxh3_64_intdigest(data)
    assert held.location.path.startswith(str(rig.memory))


def test_damaged_bytes_are_refused(store):
    with pytest.raises(RainException, match="object 1/1 arrived damaged"):
        store.put_bytes(ID(1, 1), Inline(b"abc", 5))
    assert store.get(ID(1, 1)) is None


def test_a_small_directory_is_unpacked(store, tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "f").write_text("abc")
    data = b"".join(bytes(piece) for piece in archive.pack(str(tmp_path / "d")))
    held = store.put_bytes(ID(1, 1), Inline(data), is_dir=True)
    assert (held.is_dir, held.size, held.location.checksum) == (True, 3, None)
    assert sorted(os.listdir(held.location.path)) == ["e", "f"]
    assert stat.S_IMODE(os.stat(held.location.path + "/f").st_mode) == 0o444


def test_adopting_a_file(rig, store):
    written = rig.file(b"x" * 100_000)
    file = store.take(ID(1, 1), written).location
    assert file == local_file(file.path, checksum=file.checksum)
    assert os.path.dirname(file.path) in store.objects_folders
    assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o444
    assert stat.S_IMODE(os.stat(os.path.dirname(file.path)).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(os.path.dirname(os.path.dirname(file.path))).st_mode) == 0o700
    assert not os.path.exists(written.path)
    assert os.stat(file.path).st_ino == written.inode
    assert store.check(ID(1, 1))


def test_adopting_a_directory(store, tmp_path):
    inner = store.take(ID(1, 1), Sink(store.intake().new_path(), -1).write_all([b"abc"])).location
    made = tmp_path / "made"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "own").write_text("own")
    (made / "sub" / "own").chmod(0o700)
    (made / "lent").symlink_to(inner.path)
    (made / "inside").symlink_to("sub/own")
    file = store.take(ID(1, 2), local_file(str(made), 3)).location
    held = store.get(ID(1, 2))
    assert (held.is_dir, held.size, held.location) == (True, 6, file)
    assert not os.path.islink(file.path + "/lent")
    assert os.stat(file.path + "/sub/own").st_mode & 0o777 == 0o555
    store.drop([ID(1, 1)])
    with open(file.path + "/lent") as lent:
        assert lent.read() == "abc"
    assert not made.exists()


def test_adopting_a_link_to_an_object(store, tmp_path):
    first = store.take(ID(1, 1), Sink(store.intake().new_path(), -1).write_all([b"abc"])).location
    (tmp_path / "link").symlink_to(first.path)
    second = store.take(ID(1, 2), local_file(str(tmp_path / "link"), checksum=77)).location
    assert second.inode == first.inode
    store.drop([ID(1, 1)])
    assert read(store.get(ID(1, 2))) == b"abc"
    assert store.get(ID(1, 2)).location.checksum == 77
    (tmp_path / "out").symlink_to("/etc/passwd")
    with pytest.raises(RainException, match="not an object of this governor"):
        store.take(ID(1, 3), local_file(str(tmp_path / "out")))


def test_what_is_not_adopted(rig, store, tmp_path):
    written = rig.file(b"abc" * 1000)
    os.unlink(written.path)
    with pytest.raises(RainException, match="cannot be stored as object 1/1: No such file"):
        store.take(ID(1, 1), written)
    other = rig.file(b"abc" * 1000)
    other.size += 1
    with pytest.raises(StaleFile):
        store.take(ID(1, 1), other)
    assert os.listdir(store.incoming) == []
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RainException, match="neither a file nor a directory"):
        store.take(ID(1, 1), local_file(str(tmp_path / "pipe")))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "l").symlink_to("/etc")
    with pytest.raises(RainException, match="leads outside"):
        store.take(ID(1, 1), local_file(str(tmp_path / "d"), 0))
    assert ID(1, 1) not in store


def test_sharing_with_another_store(rig, store, tmp_path):
    other = Rig(tmp_path, "other", memory_bytes_max=MIB)
    try:
        data = os.urandom(100_000)
        file = rig.add(1, data)
        held = other.store.link(ID(1, 1), file)
        assert (held.location.inode, held.location.checksum) == (file.inode, file.checksum)
        assert held.location.path != file.path
        store.drop([ID(1, 1)])
        assert read(held) == data
        with pytest.raises(StaleFile):
            other.store.link(ID(1, 2), file)

        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "f").write_text("abc")
        folder = store.take(ID(1, 3), local_file(str(tmp_path / "d"), 3)).location
        held = other.store.link(ID(1, 3), folder, is_dir=True)
        assert (held.is_dir, held.size) == (True, 3)
        assert os.stat(held.location.path + "/f").st_ino == os.stat(folder.path + "/f").st_ino
        with pytest.raises(StaleFile):
            other.store.link(ID(1, 4), local_file("/", 0), is_dir=False)
        folder.mtime_ns += 1
        with pytest.raises(StaleFile):
            other.store.link(ID(1, 4), folder, is_dir=True)
        assert other.store.get(ID(1, 4)) is None
        assert os.listdir(other.store.incoming) == []
    finally:
        other.store.close()


def test_two_names_for_one_object(rig, store):
    rig.add(1, b"x" * 100_000)
    held = store.alias(ID(2, 5), ID(1, 1))
    assert store.alias(ID(2, 5), ID(1, 1)) is held is store.get(ID(2, 5))
    store.drop_session(1)
    assert store.get(ID(1, 1)) is None
    assert read(store.get(ID(2, 5))) == b"x" * 100_000
    store.drop([ID(2, 5), ID(2, 5), ID(9, 9)])
    assert rig.files() == []
    assert store.statistics()["memory_bytes"] == 0
    with pytest.raises(RainException, match="1/1 is not in the store"):
        store.alias(ID(1, 2), ID(1, 1))


def test_the_same_id_again_replaces(rig, store):
    rig.add(1, b"x" * 100_000)
    rig.add(1, b"y" * 100_000)
    assert read(store.get(ID(1, 1)))[:1] == b"y"
    assert len(rig.files()) == 1
    assert store.statistics()["memory_bytes"] == 100_000


def test_dropping_a_session(rig, store):
    for number in range(1, 6):
        rig.add(number, b"x" * 70_000)
    store.put_bytes(ID(2, 1), Inline(b"other"))
    store.drop_session(1)
    store.drop_session(77)
    assert len(store) == 1
    assert rig.files() == []


# -- spilling -------------------------------------------------------------------------------------


def test_the_longest_unused_are_spilled(rig, store):
    data = {number: bytes([number]) * (MIB + MIB // 2) for number in range(1, 4)}
    before = {number: rig.add(number, data[number]) for number in (1, 2)}
    assert store.get(ID(1, 1))  # used last
    rig.add(3, data[3])
    store.wait_spilled()
    assert [id for id, _ in rig.moved] == [ID(1, 2)]
    held = store.get(ID(1, 2))
    assert held.location == rig.moved[0][1] == local_file(held.location.path, checksum=held.location.checksum)
    assert held.location.path.startswith(str(rig.disk))
    assert stat.S_IMODE(os.stat(held.location.path).st_mode) == 0o444
    assert store.check(ID(1, 2))
    for number, content in data.items():
        assert read(store.get(ID(1, number))) == content
    # Who was told the old path still finds it; who compares the inode learns that it moved.
    with open(before[2].path, "rb") as file:
        assert file.read() == data[2]
    with pytest.raises(RainException):
        FileReader(before[2]).read()
    assert store.statistics()["memory_bytes"] == 3 * MIB
    assert store.statistics()["disk_bytes"] == store.statistics()["spilled_bytes"] == MIB + MIB // 2
    store.drop_session(1)
    assert rig.files() == []


def test_while_memory_is_over_its_limit_writers_go_to_disk(rig, store, monkeypatch):
    copying, go_on = threading.Event(), threading.Event()
    real = spiller.copy_checked

    def slow(*args):
        copying.set()
        assert go_on.wait(GUARD_S)
        return real(*args)

    def write():
        path = f"{store.incoming}/task-{len(os.listdir(store.incoming))}"
        return Sink(path, spill_path=path.replace(store.incoming, store.incoming_disk)).write_all([bytes(100_000)]).path

    monkeypatch.setattr(spiller, "copy_checked", slow)
    rig.add(1, bytes(3 * MIB))
    assert write().startswith(store.incoming)
    rig.add(2, bytes(3 * MIB))
    assert copying.wait(GUARD_S)
    assert write().startswith(store.incoming_disk)
    go_on.set()
    store.wait_spilled()
    assert write().startswith(store.incoming)


def test_one_object_larger_than_memory(rig, store):
    path = store.intake().new_path(5 * MIB)
    assert path.startswith(str(rig.disk))
    written = Sink(os.path.join(store.incoming, "big")).write_all([bytes(5 * MIB)])
    store.take(ID(1, 1), written)
    store.wait_spilled()
    assert store.get(ID(1, 1)).location.path.startswith(str(rig.disk))


def test_directories_are_spilled_too(rig, store):
    inside = os.path.join(store.incoming, "dir")
    os.mkdir(inside)
    with open(inside + "/g", "wb") as file:
        file.write(bytes(3 * MIB))
    old = store.take(ID(1, 2), local_file(inside, 3 * MIB)).location
    assert old.path.startswith(str(rig.memory))
    rig.add(3, bytes(2 * MIB))
    store.wait_spilled()
    assert [id for id, _ in rig.moved] == [ID(1, 2)]
    assert os.listdir(old.path) == ["g"]
    held = store.get(ID(1, 2))
    assert held.is_dir
    assert os.listdir(held.location.path) == ["g"]
    store.drop_session(1)
    assert rig.files() == []


def given(file, data_type="blob"):
    """An input as an executor was given it when it was `file`."""
    return ExecutorInput(ObjectSpec(ID(1, 1), None, None, data_type), ObjectInfo(), None, file)


def test_executors_know_what_was_spilled_from_what_was_damaged(rig, store):
    made = os.path.join(store.incoming, "dir")
    os.mkdir(made)
    with open(made + "/g", "wb") as file:
        file.write(bytes(3 * MIB))
    tree = given(store.take(ID(1, 1), local_file(made, 3 * MIB)).location, "dir")
    blob = given(rig.add(2, bytes(3 * MIB)))
    rig.add(3, bytes(3 * MIB))
    store.wait_spilled()
    assert os.path.islink(tree.path)
    assert os.path.islink(blob.path)
    assert damaged([tree, blob]) == {}
    assert [store.damage_of(ID(1, number)) for number in (1, 2, 3)] == ["", "", ""]
    for path in (tree.path, blob.path):
        os.utime(path)
    assert "was changed" in damaged([tree])[ID(1, 1)]
    assert "was changed" in damaged([blob])[ID(1, 1)]
    os.unlink(store.get(ID(1, 2)).location.path)
    assert "cannot be read" in damaged([blob])[ID(1, 1)]
    assert all(store.damage_of(ID(1, number)) for number in (1, 2))
    assert store.damage_of(ID(1, 4))


def test_dropped_while_it_is_spilled(rig, store, monkeypatch):
    copying, go_on = threading.Event(), threading.Event()
    real = spiller.copy_checked

    def slow(*args):
        copying.set()
        assert go_on.wait(GUARD_S)
        return real(*args)

    monkeypatch.setattr(spiller, "copy_checked", slow)
    rig.add(1, bytes(3 * MIB))
    rig.add(2, bytes(3 * MIB))
    assert copying.wait(GUARD_S)
    store.drop([ID(1, 1)])
    go_on.set()
    store.wait_spilled()
    assert rig.moved == []
    assert len(rig.files()) == 1
    assert store.statistics()["memory_bytes"] == 3 * MIB
    assert store.statistics()["disk_bytes"] == 0


def test_a_full_disk_does_not_lose_objects(rig, store, monkeypatch):
    def full(*args):
        raise ResourceError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("rain.objects.spiller.copy_checked", full)
        rig.add(1, bytes(3 * MIB))
        rig.add(2, bytes(3 * MIB))
        store.wait_spilled()
        assert rig.moved == rig.lost == []
        assert len(read(store.get(ID(1, 1)))) == 3 * MIB
    rig.add(3, b"x" * 70_000)  # there is space again
    store.wait_spilled()
    assert [id for id, _ in rig.moved] == [ID(1, 2)]  # 1/1 was used since


def test_a_spill_whose_link_cannot_be_made_leaves_nothing_on_disk(rig, store, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", full)
        rig.add(1, bytes(3 * MIB))
        rig.add(2, bytes(3 * MIB))
        store.wait_spilled()
        assert rig.moved == rig.lost == []
        assert len(read(store.get(ID(1, 1)))) == 3 * MIB
        assert os.listdir(store._objects_disk) == []
    rig.add(3, b"x" * 70_000)
    store.wait_spilled()
    assert [id for id, _ in rig.moved] == [ID(1, 2)]


def damage(file):
    os.chmod(file.path, 0o644)
    with open(file.path, "r+b") as target:
        target.seek(1000)
        target.write(b"!")
    os.utime(file.path, ns=(file.mtime_ns, file.mtime_ns))


def test_damage_is_found_at_reload(rig, store):
    file = rig.add(1, bytes(100_000))
    store.alias(ID(1, 2), ID(1, 1))
    assert store.check(ID(1, 1))
    damage(file)
    assert not store.check(ID(1, 1))
    assert [id for id, _ in rig.lost] == [ID(1, 1), ID(1, 2)]
    assert "was damaged" in rig.lost[0][1]
    assert store.get(ID(1, 2)) is None
    assert not store.check(ID(1, 1))
    assert rig.files() == []


def test_damage_is_found_when_spilling(rig, store):
    damage(rig.add(1, bytes(3 * MIB)))
    rig.add(2, bytes(3 * MIB))
    store.wait_spilled()
    assert [id for id, _ in rig.lost] == [ID(1, 1)]
    assert store.get(ID(1, 1)) is None
    assert len(rig.files()) == 1


def test_files_that_are_gone(rig, store):
    file = rig.add(1, bytes(100_000))
    os.unlink(file.path)
    assert not store.check(ID(1, 1))
    assert "cannot be opened" in rig.lost[0][1]


def test_losing_what_moved_meanwhile(rig, store):
    rig.add(1, bytes(3 * MIB))
    held = store.get(ID(1, 1))
    rig.add(2, bytes(3 * MIB))
    store.wait_spilled()
    newer = store.lose(ID(1, 1), "stale", held)
    assert newer is store.get(ID(1, 1))
    assert rig.lost == []
    assert store.lose(ID(1, 1), "damaged", newer) is None
    assert rig.lost == [(ID(1, 1), "damaged")]


def test_callbacks_come_in_the_loop(tmp_path):
    async def main():
        rig = Rig(tmp_path, memory_bytes_max=4 * MIB)
        told = asyncio.get_running_loop().create_future()
        rig.store._on_moved = lambda id, file: told.set_result((id, threading.current_thread()))
        rig.add(1, bytes(3 * MIB))
        rig.add(2, bytes(3 * MIB))
        assert await told == (ID(1, 1), threading.main_thread())
        rig.store.close()

    asyncio.run(main())


# -- places ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"memory_bytes_max": 0}, {"memory_files": "/nonexistent"}])
def test_without_memory_files_all_is_on_disk(tmp_path, options):
    store = Store(str(tmp_path), **options)
    assert store.incoming == store.incoming_disk
    assert store.objects_folders == (os.path.dirname(store.incoming) + "/objects",)
    held = store.put_bytes(ID(1, 1), Inline(bytes(100_000)))
    assert held.location.path.startswith(str(tmp_path))
    assert store.statistics()["disk_bytes"] == 100_000
    store.close()
    assert os.listdir(tmp_path) == []


def test_closing_removes_everything(rig, store, tmp_path):
    rig.add(1, bytes(3 * MIB))
    rig.add(2, bytes(3 * MIB))
    store.close()
    store.close()
    assert os.listdir(rig.memory) == os.listdir(rig.disk) == []
    with pytest.raises(RainException, match="closed"):
        store.put_bytes(ID(1, 1), Inline(b"x"))


def test_a_full_disk_is_named(rig, store, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rain.objects.files.os.write", full)
    with pytest.raises(ResourceError, match=r"no space left to write .*bytes are free"):
        store.put_bytes(ID(1, 1), Inline(bytes(100_000)))
    monkeypatch.undo()
    assert store.put_bytes(ID(1, 1), Inline(bytes(100_000))).size == 100_000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 20 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "rain-test", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: " + mounted.stderr.decode(errors="replace").strip())
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_small_memory_file_system_spills(small_disk, tmp_path):
    store = Store(str(tmp_path), memory_files=str(small_disk))
    assert store.incoming.startswith(str(small_disk) + "/")
    assert store.incoming_bytes_max < 20 * MIB
    data = os.urandom(25 * MIB)
    path = f"{store.incoming}/task-1"
    written = Sink(path, spill_path=f"{store.incoming_disk}/task-1").write_all([data])
    file = store.take(ID(1, 1), written).location
    assert not file.path.startswith(str(small_disk) + "/")
    assert read(store.get(ID(1, 1))) == data
    store.close()


def test_a_small_disk_fills_and_recovers(small_disk):
    store = Store(str(small_disk), memory_bytes_max=0)
    store.put_bytes(ID(1, 1), Inline(bytes(15 * MIB)))
    with pytest.raises(ResourceError, match=rf"no space left to write {small_disk}/.*: \d+ bytes are free"):
        store.put_bytes(ID(1, 2), Inline(bytes(15 * MIB)))
    assert ID(1, 2) not in store
    store.drop([ID(1, 1)])
    assert store.put_bytes(ID(1, 2), Inline(bytes(15 * MIB))).size == 15 * MIB
    made = os.path.join(store.incoming, "dir")
    os.mkdir(made)
    with open(f"{made}/f", "wb") as file:
        file.write(bytes(MIB))
    data = b"".join(bytes(piece) for piece in archive.pack(made))
    for number in range(10):
        try:
            store.put_bytes(ID(2, number), Inline(data), is_dir=True)
        except ResourceError as error:
            full = str(error)
            break
    assert "no space left" in full
    store.drop_session(2)
    assert store.put_bytes(ID(2, 1), Inline(data), is_dir=True).is_dir
    store.close()


def test_it_keeps_away_from_the_limit_of_its_control_group(tmp_path):
    rig = Rig(tmp_path, memory_bytes_max=10 * MIB)
    for number in range(4):
        rig.add(number, os.urandom(MIB))
    store = rig.store
    store.heed(None, None)
    store.heed(200 * MIB, 1000 * MIB)
    assert not rig.moved
    store.heed(98 * MIB, 1000 * MIB)  # 2 MiB less than there shall be
    store.wait_spilled()
    assert store.statistics()["memory_bytes"] == 2 * MIB
    assert not FullMark.is_in(store.incoming)
    rig.add(9, os.urandom(MIB))
    store.wait_spilled()
    assert store.statistics()["memory_bytes"] <= 2 * MIB
    store.heed(150 * MIB, 1000 * MIB)
    assert store.incoming_bytes_max == 10 * MIB
    store.heed(201 * MIB, 1000 * MIB)
    for number in range(10, 14):
        rig.add(number, os.urandom(MIB))
    store.wait_spilled()
    assert store.statistics()["memory_bytes"] >= 5 * MIB
    store.close()
