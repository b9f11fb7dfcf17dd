"""Looking into directory objects: in a store, in a tar archive, elsewhere."""

import io
import os
import tarfile

import msgspec
import numpy as np
import pytest

from rain.common.errors import RainException
from rain.common.limits import LISTING_ENTRIES_MAX
from rain.common.location import LocalFile
from rain.common.protocol.messages import Listing
from rain.objects import archive
from rain.objects.files import StaleFile, local_file
from rain.objects.readers import (
    BytesReader,
    Entry,
    FileReader,
    NotInside,
    ObjectReader,
    RemoteReader,
    TarReader,
    TreeReader,
)

BYTES = bytes(range(256)) * 40


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "stored"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "sub" / "data").write_bytes(BYTES)
    (root / "sub" / "deep" / "up").symlink_to("../data")
    (root / "a").write_bytes(b"a")
    (root / "nothing").write_bytes(b"")
    (root / ("n" * 150)).write_bytes(b"long")
    (root / "shortcut").symlink_to("sub/deep")
    (root / "turn").symlink_to("turn")
    return root


def tar_of(folder):
    return b"".join(bytes(piece) for piece in archive.pack(str(folder)))


class Remote:
    """Answers as a holder on another host does."""

    def __init__(self, reader):
        self.reader = reader

    def look(self, path, offset=0, count=None):
        data = msgspec.msgpack.encode(self.reader.look(path, offset, count))
        return msgspec.msgpack.decode(data, type=Listing)

    def read(self, offset, length, path=None):
        assert path is not None, "the whole archive was asked for"
        return self.reader.file(path).read(offset, length)


class Archive(ObjectReader):
    """An archive of which ranges are read, in whatever place."""

    def __init__(self, data):
        self.data = data
        self.size = len(data)
        self.read_bytes = 0

    def _read(self, offset, length):
        data = self.data[offset : None if length is None else offset + length]
        self.read_bytes += len(data)
        return data


@pytest.fixture(params=["directory", "tar", "tar file", "remote", "archive elsewhere"])
def reader(request, folder, tmp_path):
    data = tar_of(folder)
    ref = local_file(str(folder), len(BYTES))
    if request.param == "directory":
        return TreeReader(ref)
    if request.param == "tar":
        return TarReader(data, 10)
    if request.param == "tar file":
        (tmp_path / "tar").write_bytes(data)
        return TarReader(FileReader(str(tmp_path / "tar")), 10)
    if request.param == "remote":
        return RemoteReader(Remote(TreeReader(ref)), 10, True)
    return TarReader(Archive(data), 10)


def test_entries_and_files(reader):
    top, total = reader.entries()
    assert top == [
        Entry("a", "file", 1),
        Entry("empty", "dir"),
        Entry("n" * 150, "file", 4),
        Entry("nothing", "file", 0),
        Entry("shortcut", "link", 0, "sub/deep"),
        Entry("sub", "dir"),
        Entry("turn", "link", 0, "turn"),
    ]
    assert total == 7
    assert reader.entries("", 5, 1) == ([Entry("sub", "dir")], 7)
    assert reader.entries("", 7, 3) == ([], 7)
    assert reader.entries("", -5, 1) == (top[:1], 7)
    assert reader.entries("empty") == ([], 0)
    assert reader.entries("sub/./") == ([Entry("data", "file", len(BYTES)), Entry("deep", "dir")], 2)
    assert reader.entries("shortcut") == ([Entry("up", "link", 0, "../data")], 1)
    assert reader.entries("shortcut/..") == reader.entries("sub")

    for path in ("sub/data", "shortcut/up", "sub/../sub/data"):
        data = reader.file(path)
        assert not data.is_dir
        assert data.size == len(BYTES)
        assert data.read() == bytes(data.buffer()) == BYTES
        assert data.read(1000, 10) == BYTES[1000:1010]
        assert data.read(len(BYTES) - 3, 10) == BYTES[-3:]
        assert data.read(len(BYTES) + 3) == b""
    assert not reader.file("a").buffer(writable=True).readonly
    assert reader.file("nothing").read() == b""
    assert reader.file("n" * 150).read(1, 2) == b"on"


def test_what_is_not_inside(reader):
    for path, text in (
        ("missing", "no 'missing' inside"),
        ("a/b", "no 'a/b' inside"),
        ("../stored/a", "leads outside"),
        ("/etc/passwd", "leads outside"),
        ("sub/../..", "leads outside"),
        ("turn", "links"),
        ("a\0b", "zero byte"),
    ):
        for call in (reader.entries, reader.file):
            with pytest.raises(NotInside, match=text):
                call(path)
    with pytest.raises(NotInside, match="is a file"):
        reader.entries("a")
    for path in ("", "sub", "shortcut"):
        with pytest.raises(NotInside, match="is a folder"):
            reader.file(path)


def test_files_inside_are_saved(reader, tmp_path):
    reader.file("sub/data").save(str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == BYTES


def test_blobs_have_nothing_inside(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for reader in (
        BytesReader(b"x"),
        FileReader(str(tmp_path / "file")),
        RemoteReader(Remote(BytesReader(b"x")), 1, False),
    ):
        for call in (reader.entries, reader.file):
            with pytest.raises(NotInside, match="not a directory"):
                call("a")


def test_nothing_outside_is_read(folder, tmp_path):
    """Also where a link that leads outside got into the store."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_bytes(b"secret")
    (folder / "out").symlink_to("../secret")
    (folder / "far").symlink_to(tmp_path / "secret" / "f")
    reader = TreeReader(local_file(str(folder), 0))
    for path in ("out", "out/f", "far"):
        with pytest.raises(NotInside, match="leads outside"):
            reader.look(path)
        with pytest.raises(NotInside, match="leads outside"):
            reader.file(path)
    (tmp_path / "instead").symlink_to(folder)
    with pytest.raises(StaleFile):
        TreeReader(LocalFile(str(tmp_path / "instead"), folder.stat().st_ino, 0, folder.stat().st_mtime_ns)).look("")


def test_pipes_do_not_block(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(NotInside, match="neither a file nor a folder"):
        TreeReader(local_file(str(folder), 0)).file("pipe")


def test_another_directory_is_noticed(folder, tmp_path):
    ref = local_file(str(folder), 10)
    reader = TreeReader(ref, lambda: TarReader(data, 10))
    data = tar_of(folder)
    before = reader.file("a")
    folder.rename(tmp_path / "moved")
    assert reader.entries("empty") == ([], 0)
    assert reader.file("a").read() == b"a"
    assert before.read() == b"a"  # not opened until now
    with pytest.raises(StaleFile):
        TreeReader(ref).entries()


def test_descriptors_are_closed(folder):
    before = os.listdir("/proc/self/fd")
    reader = TreeReader(str(folder))
    reader.entries("sub")
    file = reader.file("a")
    for path in ("missing", "a/b/c", "turn", ".."):
        with pytest.raises(NotInside):
            reader.file(path)
    with pytest.raises(NotInside):
        reader.file("sub")
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert file.read() == b"a"


def test_many_entries_come_in_several_answers(tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    count = LISTING_ENTRIES_MAX + 3
    for number in range(count):
        (many / f"{number:05}").touch()
    reader = RemoteReader(Remote(TreeReader(str(many))), 0, True)
    found, total = reader.entries()
    assert [entry.name for entry in found] == [f"{number:05}" for number in range(count)]
    assert total == count
    assert len(reader.entries("", 2, LISTING_ENTRIES_MAX + 1)[0]) == LISTING_ENTRIES_MAX + 1


def test_names_that_are_not_text(folder):
    os.write(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT | os.O_WRONLY), b"raw")
    reader = RemoteReader(Remote(TreeReader(str(folder))), 0, True)
    name = reader.entries()[0][-1].name
    assert os.fsencode(name) == b"\xff"
    assert reader.file(name).read() == b"raw"


# -- archives that others wrote --------------------------------------------------------------------


def written(*members, format=tarfile.PAX_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content
                tar.addfile(member)
    return stream.getvalue()


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_archives_of_other_tools(format):
    long = "folder-" * 12 + "/" + "x" * 90
    data = written(
        (long, tarfile.REGTYPE, b"first"),
        ("./b", tarfile.REGTYPE, b"second"),
        ("hard", tarfile.LNKTYPE, "b"),
        ("dangling", tarfile.LNKTYPE, "nowhere"),
        format=format,
    )
    reader = TarReader(data)
    assert [entry.name for entry in reader.entries()[0]] == ["b", "folder-" * 12, "hard"]
    assert reader.entries("folder-" * 12) == ([Entry("x" * 90, "file", 5)], 1)
    assert reader.file(long).read() == b"first"
    assert reader.file("hard").read() == b"second"


@pytest.mark.parametrize(
    "data",
    [
        b"no archive" * 100,
        written(("../a", tarfile.REGTYPE, b"x")),
        written(("/a", tarfile.REGTYPE, b"x")),
        written(("a", tarfile.REGTYPE, b"x" * 2000))[:-9000],
        b"",
    ],
)
def test_bad_archives(data):
    with pytest.raises(RainException, match="archive"):
        TarReader(data).look("")


def test_only_headers_are_read(folder):
    packed = Archive(tar_of(folder))
    found = TarReader(packed)
    found.look("sub")
    found.look("")
    assert packed.read_bytes < len(BYTES)


def test_files_in_mapped_archives_are_not_copied(folder, tmp_path):
    (tmp_path / "tar").write_bytes(tar_of(folder))
    inside = TarReader(FileReader(str(tmp_path / "tar"))).file("sub/data")
    first, second = inside.buffer(), inside.buffer()
    assert first.readonly
    assert np.shares_memory(np.frombuffer(first, "u1"), np.frombuffer(second, "u1"))
    assert b"".join(map(bytes, inside.pieces(5, 600))) == BYTES[5:605]
