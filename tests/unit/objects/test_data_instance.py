import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest

from rain.common import DataInstance, DataType
from rain.common.errors import RainException, RainWarning, ResourceError
from rain.common.ids import ID
from rain.common.location import LocalFile, Replica
from rain.common.protocol.messages import ObjectData
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.objects import archive
from rain.objects.content_types import codecs
from rain.objects.data_instance import (
    BytesSource,
    DirectorySource,
    FileSource,
    ReceivedSource,
    RemoteSource,
    TarSource,
    source_of,
)
from rain.objects.files import local_file
from rain.objects.pickling import buffers

HERE = "this host"


def instance(source, content_type=None, dynamic=None):
    info = ObjectInfo(size=source.size, content_type=dynamic)
    return DataInstance(source, ObjectSpec(ID(1, 2), "label", content_type), info)


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


def remote_of(data, is_dir=False, size=None):
    reads = []

    def read(offset, length):
        reads.append((offset, length))
        return data[offset : None if length is None else offset + length]

    source = RemoteSource(len(data) if size is None else size, is_dir, read)
    return source, reads


@pytest.fixture(params=["bytes", "file", "remote"])
def source(request, tmp_path):
    data = b'{"a": [1, 2]}'
    if request.param == "bytes":
        return BytesSource(data)
    if request.param == "file":
        return FileSource(file_of(tmp_path, data))
    return remote_of(data)[0]


def test_a_blob_from_anywhere(source, tmp_path):
    blob = instance(source, "json")
    assert blob.data_type is DataType.BLOB
    assert blob.size == 13
    assert blob.get_bytes() == b'{"a": [1, 2]}'
    assert source.read(2, 3) == b'a":'
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


@pytest.mark.parametrize("kind", ["directory", "tar", "tar file", "remote"])
def test_a_directory_from_anywhere(kind, folder, tmp_path):
    data = tar_of(folder)
    source = {
        "directory": lambda: DirectorySource(str(folder)),
        "tar": lambda: TarSource(data, 10),
        "tar file": lambda: TarSource(FileSource(file_of(tmp_path, data)), 10),
        "remote": lambda: remote_of(data, is_dir=True, size=10)[0],
    }[kind]()
    found = instance(source)
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
    assert instance(BytesSource(b"1"), "text").content_type == "text"
    assert instance(BytesSource(b"1"), "text", "text-latin-1").content_type == "text-latin-1"
    assert instance(BytesSource(b"1")).content_type is None
    assert instance(BytesSource(b"1"), "").content_type is None
    assert DataInstance(BytesSource(b"1"), None, ObjectInfo(content_type="json")).load() == 1
    assert DataInstance(BytesSource(b"1"), None).size == 1


def test_text_follows_the_content_type():
    assert instance(BytesSource("é".encode("latin-1")), "text-latin-1").get_str() == "é"
    assert instance(BytesSource("é".encode()), "json").get_str() == "é"
    with pytest.raises(RainException, match="not text in utf-8"):
        instance(BytesSource(b"\xff")).get_str()


def test_loading_needs_a_content_type():
    with pytest.raises(RainException, match=r"'label' bytes, 1 bytes.* has no content type.*get_bytes"):
        instance(BytesSource(b"1")).load()
    with pytest.raises(RainException, match="cannot be loaded as 'json'"):
        instance(BytesSource(b"{"), "json").load()


def test_arrays_are_mapped(tmp_path):
    array = np.arange(100_000.0)
    written = codecs.encode_to_file(array, "pickle", str(tmp_path / "array"), 0)
    blob = instance(FileSource(written), "pickle")
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
    written = codecs.encode_to_file(array, "pickle", str(tmp_path / "array"), 0)
    blob = instance(FileSource(written, moved=lambda: None), "pickle")
    own = blob.load()
    os.unlink(written.path)
    with pytest.warns(RainWarning, match=r"read-only, because the file .*array is gone since it was first mapped"):
        late = blob.load()
    own[0] = 5
    assert not late.flags.writeable
    np.testing.assert_equal(late, array)


def test_what_was_moved_since_it_was_mapped_is_mapped_where_it_is(tmp_path):
    array = np.arange(100_000.0)
    written = codecs.encode_to_file(array, "pickle", str(tmp_path / "array"), 0)
    path = tmp_path / "spilled"
    blob = instance(FileSource(written, moved=lambda: local_file(str(path))), "pickle")
    blob.load()
    path.write_bytes(Path(written.path).read_bytes())
    os.unlink(written.path)
    late = blob.load()
    late[0] = 5
    np.testing.assert_equal(blob.load(), array)


def test_arrays_from_elsewhere(tmp_path):
    array = np.arange(100_000.0)
    source, reads = remote_of(buffers.dumps(array))
    np.testing.assert_equal(instance(source, "pickle").load(), array)
    own = instance(source, "pickle").load()
    own[0] = 1
    assert reads == [(0, None), (0, None)]


def test_what_was_received_is_handed_to_its_first_loader():
    array = np.arange(100_000.0)
    memory = bytearray(buffers.dumps(array))
    source, reads = remote_of(bytes(memory))
    blob = instance(ReceivedSource(memoryview(memory), source), "pickle")
    assert blob.get_bytes() == memory
    first = blob.load()
    start = np.frombuffer(memory, dtype="uint8").ctypes.data
    assert start < first.ctypes.data < start + len(memory)
    assert reads == []
    first[0] = 5
    np.testing.assert_equal(blob.load(), array)
    assert pickle.loads(blob.get_bytes())[0] == 0
    assert reads == [(0, None)] * 2

    blob = instance(ReceivedSource(memoryview(bytearray(buffers.dumps(array))), source), "pickle")
    lent = blob.load(writable=False)
    own = blob.load()
    own[0] = 5
    np.testing.assert_equal(lent, array)


def test_large_remote_blobs_are_written_in_pieces(tmp_path):
    data = os.urandom(20 << 20)
    source, reads = remote_of(data)
    instance(source).write(tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert [length for _, length in reads] == [8 << 20, 8 << 20, 4 << 20]


def test_remote_saving_is_preferred(tmp_path):
    source = RemoteSource(3, False, lambda offset, length: b"no", lambda path: Path(path).write_text("yes"))
    instance(source).write(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "yes"


def test_files_that_moved_are_found_again(tmp_path, folder):
    moved = file_of(tmp_path, b"abc", "second")
    ref = file_of(tmp_path, b"abc", "first")
    os.unlink(ref.path)
    asked = []

    def relocate():
        asked.append(1)
        return FileSource(moved)

    blob = instance(FileSource(ref, relocate))
    assert blob.get_bytes() == b"abc"
    assert bytes(blob.source.buffer(writable=True)) == b"abc"
    assert blob.source.path() == moved.path
    blob.write(tmp_path / "out")
    assert asked == [1]
    with pytest.raises(RainException, match="first cannot be opened"):
        instance(FileSource(ref)).get_bytes()

    gone = LocalFile(str(tmp_path / "nothing"), 1, 10, 1)
    found = instance(DirectorySource(gone, lambda: DirectorySource(str(folder))))
    assert found.get_bytes() == tar_of(folder)
    assert found.source.path() == str(folder)
    found.write(tmp_path / "out-dir")
    with pytest.raises(RainException, match="nothing is gone"):
        instance(DirectorySource(gone)).get_bytes()


def test_the_nearest_source(tmp_path, folder):
    ref = file_of(tmp_path, b"abc")
    tar = file_of(tmp_path, tar_of(folder), "tar")

    def nearest(data_type="blob", data=None, places=()):
        spec, info = ObjectSpec(ID(1, 1), data_type=data_type), ObjectInfo(size=10)
        return source_of(ObjectData(spec, info, data, list(places)), HERE, lambda: remote_of(b"abc")[0])

    assert type(nearest(data=b"x")) is BytesSource
    assert type(nearest("dir", data=tar_of(folder))) is TarSource
    assert type(nearest(places=[Replica("a:1", "other", ref)])) is RemoteSource
    assert type(nearest(places=[Replica("a:1", HERE)])) is RemoteSource
    assert type(nearest(places=[Replica("a:1", "other", ref), Replica("b:1", HERE, ref)])) is FileSource
    assert type(nearest("dir", places=[Replica("b:1", HERE, local_file(str(folder), 10))])) is DirectorySource
    assert type(nearest("dir", places=[Replica("b:1", HERE, tar)])) is TarSource
    assert nearest("dir", places=[Replica("b:1", HERE, tar)]).size == 10


def test_paths_that_are_taken(tmp_path):
    blob = instance(BytesSource(b"abc"))
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
        instance(FileSource(file_of(tmp_path, b"abc"))).write(tmp_path / "out")
    assert os.listdir(tmp_path) == ["stored"]


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blob = instance(FileSource(file_of(tmp_path, b"abc")))
    blob.write("x")
    blob.link("y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes() == b"abc"


def test_instances_are_not_pickled():
    with pytest.raises(RainException, match="cannot be pickled: return it"):
        pickle.dumps([instance(BytesSource(b""))])


def test_repr():
    assert repr(instance(BytesSource(b"abc"), "json")) == "<DataInstance 1/2 'label' json, 3 bytes>"
    assert repr(DataInstance(BytesSource(b""), None)) == "<DataInstance bytes, 0 bytes>"
