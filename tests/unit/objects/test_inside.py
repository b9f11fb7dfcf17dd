"""Looking into directory objects: in a store, in a tar archive, elsewhere."""

import io
import os
import tarfile

import msgspec
import pytest

from rain.common.errors import RainException
from rain.common.limits import LISTING_ENTRIES_MAX
from rain.common.location import Inline, LocalFile
from rain.common.protocol.messages import Listing
from rain.objects import archive, inside
from rain.objects.data_instance import BytesSource, DirectorySource, FileSource, RemoteSource, TarSource
from rain.objects.files import StaleFile, local_file
from rain.objects.held import Held
from rain.objects.inside import Entry, NotInside, Tar, Tree

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


class RemoteObject:
    """Answers as a holder on another host does."""

    def __init__(self, held):
        self.held = held
        self.moved = 0

    def look(self, path, offset=0, count=None):
        with inside.of(self.held) as found:
            data = msgspec.msgpack.encode(found.look(path, offset, count))
        self.moved += len(data)
        return msgspec.msgpack.decode(data, type=Listing)

    def read_file(self, path, offset, length):
        with inside.of(self.held) as found:
            fd, _ = found.open(path)
        try:
            data = os.pread(fd, length, offset)
        finally:
            os.close(fd)
        self.moved += len(data)
        return data


def never(*_):
    raise AssertionError("the whole archive was asked for")


@pytest.fixture(params=["directory", "tar", "tar file", "remote", "remote without a look"])
def source(request, folder, tmp_path):
    data = tar_of(folder)
    ref = local_file(str(folder), len(BYTES))
    if request.param == "directory":
        return DirectorySource(ref)
    if request.param == "tar":
        return TarSource(data, 10)
    if request.param == "tar file":
        (tmp_path / "tar").write_bytes(data)
        return TarSource(FileSource(str(tmp_path / "tar")), 10)
    if request.param == "remote":
        return RemoteSource(10, True, never, None, RemoteObject(Held(ref, True)))
    return RemoteSource(10, True, lambda offset, length: data)


def test_entries_and_files(source):
    top, total = source.entries()
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
    assert source.entries("", 5, 1) == ([Entry("sub", "dir")], 7)
    assert source.entries("", 7, 3) == ([], 7)
    assert source.entries("", -5, 1) == (top[:1], 7)
    assert source.entries("empty") == ([], 0)
    assert source.entries("sub/./") == ([Entry("data", "file", len(BYTES)), Entry("deep", "dir")], 2)
    assert source.entries("shortcut") == ([Entry("up", "link", 0, "../data")], 1)
    assert source.entries("shortcut/..") == source.entries("sub")

    for path in ("sub/data", "shortcut/up", "sub/../sub/data"):
        data = source.file(path)
        assert not data.is_dir
        assert data.size == len(BYTES)
        assert data.read() == bytes(data.buffer()) == BYTES
        assert data.read(1000, 10) == BYTES[1000:1010]
        assert data.read(len(BYTES) - 3, 10) == BYTES[-3:]
        assert data.read(len(BYTES) + 3) == b""
    assert not source.file("a").buffer(writable=True).readonly
    assert source.file("nothing").read() == b""
    assert source.file("n" * 150).read(1, 2) == b"on"


def test_what_is_not_inside(source):
    for path, text in (
        ("missing", "no 'missing' inside"),
        ("a/b", "no 'a/b' inside"),
        ("../stored/a", "leads outside"),
        ("/etc/passwd", "leads outside"),
        ("sub/../..", "leads outside"),
        ("turn", "links"),
        ("a\0b", "zero byte"),
    ):
        for call in (source.entries, source.file):
            with pytest.raises(NotInside, match=text):
                call(path)
    with pytest.raises(NotInside, match="is a file"):
        source.entries("a")
    for path in ("", "sub", "shortcut"):
        with pytest.raises(NotInside, match="is a folder"):
            source.file(path)


def test_files_inside_are_saved(source, tmp_path):
    source.file("sub/data").save(str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_bytes() == BYTES


def test_blobs_have_nothing_inside(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    for source in (BytesSource(b"x"), FileSource(str(tmp_path / "file")), RemoteSource(1, False, never)):
        for call in (source.entries, source.file):
            with pytest.raises(NotInside, match="not a directory"):
                call("a")
    with pytest.raises(NotInside, match="not a directory"):
        inside.of(Held(Inline(b"x")))


def test_nothing_outside_is_read(folder, tmp_path):
    """Also where a link that leads outside got into the store."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "f").write_bytes(b"secret")
    (folder / "out").symlink_to("../secret")
    (folder / "far").symlink_to(tmp_path / "secret" / "f")
    with Tree(local_file(str(folder), 0)) as found:
        for path in ("out", "out/f", "far"):
            with pytest.raises(NotInside, match="leads outside"):
                found.look(path)
            with pytest.raises(NotInside, match="leads outside"):
                found.open(path)
    (tmp_path / "instead").symlink_to(folder)
    with pytest.raises(StaleFile):
        Tree(LocalFile(str(tmp_path / "instead"), folder.stat().st_ino, 0, folder.stat().st_mtime_ns))


def test_pipes_do_not_block(folder):
    os.mkfifo(folder / "pipe")
    with Tree(local_file(str(folder), 0)) as found, pytest.raises(NotInside, match="neither a file nor a folder"):
        found.open("pipe")


def test_another_directory_is_noticed(folder, tmp_path):
    ref = local_file(str(folder), 10)
    source = DirectorySource(ref, lambda: TarSource(data, 10))
    data = tar_of(folder)
    before = source.file("a")
    folder.rename(tmp_path / "moved")
    assert source.entries("empty") == ([], 0)
    assert source.file("a").read() == b"a"
    assert before.read() == b"a"  # not opened until now
    with pytest.raises(StaleFile):
        DirectorySource(ref).entries()


def test_descriptors_are_closed(folder):
    before = os.listdir("/proc/self/fd")
    source = DirectorySource(str(folder))
    source.entries("sub")
    file = source.file("a")
    for path in ("missing", "a/b/c", "turn", ".."):
        with pytest.raises(NotInside):
            source.file(path)
    with pytest.raises(NotInside):
        source.file("sub")
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert file.read() == b"a"


def test_many_entries_come_in_several_answers(tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    count = LISTING_ENTRIES_MAX + 3
    for number in range(count):
        (many / f"{number:05}").touch()
    held = Held(local_file(str(many), 0), True)
    source = RemoteSource(0, True, never, None, RemoteObject(held))
    found, total = source.entries()
    assert [entry.name for entry in found] == [f"{number:05}" for number in range(count)]
    assert total == count
    assert len(source.entries("", 2, LISTING_ENTRIES_MAX + 1)[0]) == LISTING_ENTRIES_MAX + 1


def test_names_that_are_not_text(folder):
    os.write(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT | os.O_WRONLY), b"raw")
    held = Held(local_file(str(folder), 0), True)
    source = RemoteSource(0, True, never, None, RemoteObject(held))
    name = source.entries()[0][-1].name
    assert os.fsencode(name) == b"\xff"
    assert source.file(name).read() == b"raw"


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
    source = TarSource(data)
    assert [entry.name for entry in source.entries()[0]] == ["b", "folder-" * 12, "hard"]
    assert source.entries("folder-" * 12) == ([Entry("x" * 90, "file", 5)], 1)
    assert source.file(long).read() == b"first"
    assert source.file("hard").read() == b"second"


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
        Tar(lambda offset, length: data[offset : offset + length]).look()


def test_only_headers_are_read(folder):
    data = tar_of(folder)
    read = []

    def part(offset, length):
        read.append(length)
        return data[offset : offset + length]

    found = Tar(part)
    found.look("sub")
    found.look("")
    assert sum(read) < len(BYTES)
