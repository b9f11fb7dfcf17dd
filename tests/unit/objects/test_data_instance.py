import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest

from rain.common import DataInstance, DataType
from rain.common.errors import RainException, RainWarning, ResourceError
from rain.common.ids import ID
from rain.common.location import Inline, LocalFile, Replica, Replicas
from rain.common.protocol.messages import ObjectData
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.objects import archive
from rain.objects.content_types import codecs
from rain.objects.files import local_file
from rain.objects.pickling import buffers
from rain.objects.readers import (
    BytesReader,
    FileReader,
    ObjectReader,
    ReceivedReader,
    RemoteReader,
    TarReader,
    TreeReader,
    open_nearest,
)
from rain.objects.sink import Sink

HERE = "this host"


def instance(reader, content_type=None, dynamic=None):
    info = ObjectInfo(size=reader.size, content_type=dynamic)
    return DataInstance(reader, ObjectSpec(ID(1, 2), "label", content_type), info)


def file_of(tmp_path, data, name="stored"):
    path = tmp_path / name
    path.write_bytes(data)
    path.chmod(0o444)
    return local_file(str(path))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "stored-dir"
    (root / "inner" / "empty").mkdir(parents=True)
    (root / "inner" / "f").write_bytes(b"f" * 10)
    (root / "link").symlink_to("inner/f")
    return root


def tar_of(folder):
    return b"".join(bytes(piece) for piece in archive.pack(str(folder)))


class Elsewhere(ObjectReader):
    """All that a further place for bytes has to bring along."""

    def __init__(self, data):
        self.data = data
        self.size = len(data)
        self.reads = []

    def _read(self, offset, length):
        self.reads.append((offset, length))
        return self.data[offset : None if length is None else offset + length]


@pytest.fixture(params=["bytes", "file", "elsewhere"])
def reader(request, tmp_path):
    data = b'{"a": [1, 2]}'
    if request.param == "bytes":
        return BytesReader(data)
    if request.param == "file":
        return FileReader(file_of(tmp_path, data))
    return Elsewhere(data)


def test_a_blob_from_anywhere(reader, tmp_path):
    blob = instance(reader, "json")
    assert blob.data_type is DataType.BLOB
    assert blob.size == 13
    assert blob.get_bytes() == b'{"a": [1, 2]}'
    assert reader.read(2, 3) == b'a":'
    assert blob.get_str() == '{"a": [1, 2]}'
    assert blob.load() == {"a": [1, 2]}
    assert blob.load() is not blob.load()
    assert blob.load(cache=True) is blob.load(cache=True)
    blob.write(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b'{"a": [1, 2]}'
    (tmp_path / "out").write_text("mine now")
    assert blob.get_bytes() == b'{"a": [1, 2]}'
    blob.write(str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b'{"a": [1, 2]}'
    blob.link(tmp_path / "linked")
    assert (tmp_path / "linked").read_bytes() == b'{"a": [1, 2]}'
    assert stat.S_IMODE((tmp_path / "linked").stat().st_mode) & 0o222 == 0


@pytest.mark.parametrize("kind", ["directory", "tar", "tar file", "elsewhere"])
def test_a_directory_from_anywhere(kind, folder, tmp_path):
    data = tar_of(folder)
    reader = {
        "directory": lambda: TreeReader(str(folder)),
        "tar": lambda: TarReader(data, 10),
        "tar file": lambda: TarReader(FileReader(file_of(tmp_path, data)), 10),
        "elsewhere": lambda: TarReader(Elsewhere(data), 10),
    }[kind]()
    found = instance(reader)
    assert found.data_type is DataType.DIRECTORY
    assert found.size == 10
    assert found.get_bytes() == data
    found.write(tmp_path / "out")
    assert tar_of(tmp_path / "out") == data
    (tmp_path / "out" / "inner" / "f").write_text("changed")
    found.link(tmp_path / "linked")
    assert tar_of(tmp_path / "linked") == data
    assert stat.S_ISDIR((tmp_path / "linked/inner").lstat().st_mode)
    (tmp_path / "empty").mkdir()
    found.write(tmp_path / "empty")
    assert tar_of(tmp_path / "empty") == data
    for call in (found.load, found.get_str):
        with pytest.raises(RainException, match="directory"):
            call()
    with pytest.raises(RainException, match="something in it"):
        found.write(tmp_path / "empty")
    (tmp_path / "file").touch()
    with pytest.raises(RainException, match="exists already and is not a directory"):
        found.write(tmp_path / "file")


def test_the_dynamic_content_type_wins():
    assert instance(BytesReader(b"1"), "text").content_type == "text"
    assert instance(BytesReader(b"1"), "text", "text-latin-1").content_type == "text-latin-1"
    assert instance(BytesReader(b"1")).content_type is None
    assert instance(BytesReader(b"1"), "").content_type is None
    assert DataInstance(BytesReader(b"1"), None, ObjectInfo(content_type="json")).load() == 1
    assert DataInstance(BytesReader(b"1"), None).size == 1


def test_text_follows_the_content_type():
    assert instance(BytesReader("é".encode("latin-1")), "text-latin-1").get_str() == "é"
    assert instance(BytesReader("é".encode()), "json").get_str() == "é"
    with pytest.raises(RainException, match="not text in utf-8"):
        instance(BytesReader(b"\xff")).get_str()


def test_loading_needs_a_content_type():
    with pytest.raises(RainException, match=r"'label' bytes, 1 bytes.* has no content type.*get_bytes"):
        instance(BytesReader(b"1")).load()
    with pytest.raises(RainException, match="cannot be loaded as 'json'"):
        instance(BytesReader(b"{"), "json").load()


def test_arrays_are_mapped(tmp_path):
    array = np.arange(100_000.0)
    written = codecs.encode_to_file(array, "pickle", Sink(str(tmp_path / "array")))
    blob = instance(FileReader(written), "pickle")
    first, second = blob.load(writable=False), blob.load(writable=False)
    assert not first.flags.writeable
    assert first.ctypes.data == second.ctypes.data
    own = blob.load()
    own[:] = 1
    again = blob.load()
    np.testing.assert_equal(again, array)
    np.testing.assert_equal(first, array)
    shared = blob.load(cache=True)
    shared[0] = 3
    assert blob.load(cache=True) is shared
    assert blob.load(cache=True, writable=False)[0] == 0
    blob.write(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == buffers.dumps(array)


def test_what_is_gone_since_it_was_mapped_is_read_only_and_says_so(tmp_path):
    array = np.arange(100_000.0)
    written = codecs.encode_to_file(array, "pickle", Sink(str(tmp_path / "array")))
    blob = instance(FileReader(written, moved=lambda: None), "pickle")
    own = blob.load()
    os.unlink(written.path)
    with pytest.warns(RainWarning, match=r"read-only, because the file .*array is gone since it was first mapped"):
        late = blob.load()
    own[0] = 5
    assert not late.flags.writeable
    np.testing.assert_equal(late, array)


def test_what_was_moved_since_it_was_mapped_is_mapped_where_it_is(tmp_path):
    array = np.arange(100_000.0)
    written = codecs.encode_to_file(array, "pickle", Sink(str(tmp_path / "array")))
    path = tmp_path / "spilled"
    blob = instance(FileReader(written, moved=lambda: local_file(str(path))), "pickle")
    blob.load()
    path.write_bytes(Path(written.path).read_bytes())
    os.unlink(written.path)
    late = blob.load()
    late[0] = 5
    np.testing.assert_equal(blob.load(), array)


def test_arrays_from_elsewhere(tmp_path):
    array = np.arange(100_000.0)
    reader = Elsewhere(buffers.dumps(array))
    np.testing.assert_equal(instance(reader, "pickle").load(), array)
    own = instance(reader, "pickle").load()
    own[0] = 1
    assert reader.reads == [(0, None), (0, None)]


def test_what_was_received_is_handed_to_its_first_loader():
    array = np.arange(100_000.0)
    memory = bytearray(buffers.dumps(array))
    reader = Elsewhere(bytes(memory))
    blob = instance(ReceivedReader(memoryview(memory), reader), "pickle")
    assert blob.get_bytes() == memory
    first = blob.load()
    start = np.frombuffer(memory, dtype="uint8").ctypes.data
    assert start < first.ctypes.data < start + len(memory)
    assert reader.reads == []
    first[0] = 5
    np.testing.assert_equal(blob.load(), array)
    assert pickle.loads(blob.get_bytes())[0] == 0
    assert reader.reads == [(0, None)] * 2

    blob = instance(ReceivedReader(memoryview(bytearray(buffers.dumps(array))), reader), "pickle")
    lent = blob.load(writable=False)
    own = blob.load()
    own[0] = 5
    np.testing.assert_equal(lent, array)


def test_large_remote_blobs_are_written_in_pieces(tmp_path):
    data = os.urandom(20 << 20)
    reader = Elsewhere(data)
    instance(reader).write(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert [length for _, length in reader.reads] == [8 << 20, 8 << 20, 4 << 20]


def test_remote_saving_is_preferred(tmp_path):
    class Remote:
        def save(self, path):
            Path(path).write_text("yes")

    instance(RemoteReader(Remote(), 3, False)).write(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "yes"


def test_files_that_moved_are_found_again(tmp_path, folder):
    moved = file_of(tmp_path, b"abc", "second")
    ref = file_of(tmp_path, b"abc", "first")
    os.unlink(ref.path)
    asked = []

    def relocate():
        asked.append(1)
        return FileReader(moved)

    blob = instance(FileReader(ref, relocate))
    assert blob.get_bytes() == b"abc"
    assert bytes(blob.reader.buffer(writable=True)) == b"abc"
    assert blob.reader.path() == moved.path
    blob.write(tmp_path / "out")
    assert asked == [1]
    with pytest.raises(RainException, match="first cannot be opened"):
        instance(FileReader(ref)).get_bytes()

    gone = LocalFile(str(tmp_path / "nothing"), 1, 10, 1)
    found = instance(TreeReader(gone, lambda: TreeReader(str(folder))))
    assert found.get_bytes() == tar_of(folder)
    assert found.reader.path() == str(folder)
    found.write(tmp_path / "out-dir")
    with pytest.raises(RainException, match="nothing cannot be opened"):
        instance(TreeReader(gone)).get_bytes()


def test_the_nearest_reader(tmp_path, folder):
    ref = file_of(tmp_path, b"abc")
    tar = file_of(tmp_path, tar_of(folder), "tar")

    def nearest(data_type="blob", data=None, places=()):
        spec, info = ObjectSpec(ID(1, 1), data_type=data_type), ObjectInfo(size=10)
        location = Replicas(list(places)) if data is None else Inline(data)
        return open_nearest(ObjectData(spec, info, location), HERE, lambda: Elsewhere(b"abc"))

    assert type(nearest(data=b"x")) is BytesReader
    assert type(nearest("dir", data=tar_of(folder))) is TarReader
    assert type(nearest(places=[Replica("a:1", "other", ref)])) is Elsewhere
    assert type(nearest(places=[Replica("a:1", HERE)])) is Elsewhere
    assert type(nearest(places=[Replica("a:1", "other", ref), Replica("b:1", HERE, ref)])) is FileReader
    assert type(nearest("dir", places=[Replica("b:1", HERE, local_file(str(folder), 10))])) is TreeReader
    assert type(nearest("dir", places=[Replica("b:1", HERE, tar)])) is TarReader
    assert nearest("dir", places=[Replica("b:1", HERE, tar)]).size == 10


def test_paths_that_are_taken(tmp_path):
    blob = instance(BytesReader(b"abc"))
    (tmp_path / "d").mkdir()
    with pytest.raises(RainException, match="is a directory"):
        blob.write(tmp_path / "d")
    with pytest.raises(RainException, match="No such file"):
        blob.write(tmp_path / "missing" / "x")
    assert os.listdir(tmp_path) == ["d"]


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.sendfile", full)
    with pytest.raises(ResourceError, match="no space left to write"):
        instance(FileReader(file_of(tmp_path, b"abc"))).write(tmp_path / "out")
    assert os.listdir(tmp_path) == ["stored"]


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blob = instance(FileReader(file_of(tmp_path, b"abc")))
    blob.write("x")
    blob.link("y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes() == b"abc"


def test_instances_are_not_pickled():
    with pytest.raises(RainException, match="cannot be pickled: return it"):
        pickle.dumps([instance(BytesReader(b""))])


def test_repr():
    assert repr(instance(BytesReader(b"abc"), "json")) == "<DataInstance 1/2 'label' json, 3 bytes>"
    assert repr(DataInstance(BytesReader(b""), None)) == "<DataInstance bytes, 0 bytes>"


def test_a_name_as_long_as_file_systems_allow(tmp_path):
    blob = instance(BytesReader(b"abc"))
    for name in ("x" * 255, "\N{CJK UNIFIED IDEOGRAPH-6C34}" * 85):
        blob.write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"abc"
    assert len(os.listdir(tmp_path)) == 2
