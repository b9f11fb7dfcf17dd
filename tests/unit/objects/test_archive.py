import io
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import time

import pytest

from rain.common import limits
from rain.common.errors import RainException, ResourceError
from rain.objects import dirtree
from rain.objects.archive import Limits, Unpacker, pack, packed_size, unpack
from rain.objects.archive.headers import header, header_block, read_header


def packed(path):
    return b"".join(bytes(piece) for piece in pack(str(path)))


def snapshot(root):
    """Everything below a directory: kind, executable bit, content."""
    found = {}
    for entry in dirtree.walk(str(root)):
        path = os.path.join(root, entry.path)
        if entry.kind == "f":
            with open(path, "rb") as file:
                found[entry.path] = (bool(entry.stat.st_mode & 0o100), file.read())
        else:
            found[entry.path] = entry.target if entry.kind == "l" else "folder"
    return found


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    (root / "a" / "b" / "empty").mkdir(parents=True)
    (root / "a" / "x").write_bytes(b"hello" * 1000)
    (root / "a" / "x").chmod(0o755)
    (root / "big").write_bytes(os.urandom(2 * limits.CHUNK_BYTES + 77))
    (root / "none").touch()
    (root / ("n" * 200)).write_text("long name")
    (root / ("p" * 120)).mkdir()
    (root / ("p" * 120) / ("q" * 120)).write_text("long path")
    (root / "žluť").write_text("kůň")
    with open(os.fsencode(root) + b"/\xff\xfe", "w"):
        pass
    (root / "a" / "up").symlink_to("../big")
    (root / "a" / "folder").symlink_to("b")
    (root / "a" / "dangling").symlink_to("nowhere")
    (root / "a" / "long").symlink_to("./" * 70 + "x")
    return root


def tar_of(*members):
    """An archive by `tarfile`: each member is a name, or (name, dict of attributes, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            name, attributes, content = (member, {}, b"x") if isinstance(member, str) else member
            info = tarfile.TarInfo(name)
            for key, value in attributes.items():
                setattr(info, key, value)
            if info.type == tarfile.REGTYPE:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    return (name, {"type": kind, "linkname": target}, b"")


# -- round trips ----------------------------------------------------------------------------------


def test_round_trip(source, tmp_path):
    data = packed(source)
    assert len(data) == packed_size(str(source))
    target = tmp_path / "target"
    size = unpack([data], str(target))
    assert size == dirtree.tree_size(str(source)) == dirtree.tree_size(str(target))
    assert snapshot(target) == snapshot(source)
    assert packed(target) == data


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 100_000])
def test_any_pieces(source, tmp_path, step):
    (source / "big").unlink()
    data = packed(source)
    unpack((data[at : at + step] for at in range(0, len(data), step)), str(tmp_path / "target"))
    assert packed(tmp_path / "target") == data


def test_an_empty_directory(tmp_path):
    (tmp_path / "empty").mkdir()
    assert unpack(pack(str(tmp_path / "empty")), str(tmp_path / "copy")) == 0
    assert os.listdir(tmp_path / "copy") == []


def test_packing_depends_on_contents_only(tmp_path):
    for name, order in (("one", "abc"), ("two", "cab")):
        (tmp_path / name).mkdir()
        for file in order:
            (tmp_path / name / file).write_text(file)
            (tmp_path / name / file).chmod(0o600 if name == "one" else 0o666)
        os.utime(tmp_path / name / "a", (5, len(name)))
    os.utime(tmp_path / "two" / "b", (1, 1))
    assert packed(tmp_path / "one") == packed(tmp_path / "two")


def test_others_read_it_and_we_read_theirs(source, tmp_path):
    (tmp_path / "t.tar").write_bytes(packed(source))
    (tmp_path / "gnu").mkdir()
    subprocess.run(["tar", "xf", tmp_path / "t.tar", "-C", tmp_path / "gnu"], check=True)
    assert snapshot(tmp_path / "gnu") == snapshot(source)
    with tarfile.open(tmp_path / "t.tar") as tar:
        assert {member.name for member in tar.getmembers()} == set(snapshot(source))
    for form in ("gnu", "pax", "ustar"):
        if form == "ustar":
            (source / "a" / "long").unlink()
            (source / ("n" * 200)).unlink()
            dirtree.remove_tree(str(source / ("p" * 120)))
            (source / ("m" * 80)).mkdir()
            (source / ("m" * 80) / ("m" * 60)).write_text("split in two")
        made = tmp_path / f"{form}.tar"
        subprocess.run(["tar", "cf", made, f"--format={form}", "-C", source, "."], check=True)
        unpack([made.read_bytes()], str(tmp_path / f"from-{form}"))
        assert snapshot(tmp_path / f"from-{form}") == snapshot(source)


@pytest.mark.parametrize("name", ["f", "a/b c", "n" * 100, "n" * 101, "ü" * 200, os.fsdecode(b"\xff\xfe")])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE])
def test_headers_are_those_of_the_standard_library(name, kind):
    for size in (0, 512, 8**11 - 1, 8**11) if kind == tarfile.REGTYPE else (0,):
        info = tarfile.TarInfo(name)
        info.type, info.size, info.mode = kind, size, 0o755
        info.linkname = name if kind == tarfile.SYMTYPE else ""
        ours = header(name, 0o755, size, kind, info.linkname)
        assert ours == info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def test_large_sizes_are_written_as_numbers():
    block = header_block(b"x", 0o644, 1 << 40, b"0")
    assert read_header(block).size == 1 << 40
    assert tarfile.TarInfo.frombuf(block, "utf-8", "strict").size == 1 << 40


def test_hard_links_become_copies(tmp_path):
    data = tar_of(("a/f", {"mode": 0o755}, b"body"), link("b/g", "a/f", tarfile.LNKTYPE))
    assert unpack([data], str(tmp_path / "t")) == 8
    assert (tmp_path / "t/b/g").read_bytes() == b"body"
    assert (tmp_path / "t/b/g").stat().st_nlink == 1
    assert (tmp_path / "t/b/g").stat().st_mode & 0o100


def test_inner_links_are_kept(tmp_path):
    members = [
        ("d/e/f", {}, b"f"), link("d/up", "../top"), link("top", "d/e"), link("through", "top/f"),
        link("around", "d/e/../../d"), link("loop", "loop"), link("later", "d/../new"), ("new", {}, b""),
    ]  # fmt: skip
    unpack([tar_of(*members)], str(tmp_path / "t"))
    assert os.readlink(tmp_path / "t/d/up") == "../top"
    assert (tmp_path / "t/through").read_bytes() == b"f"
    assert (tmp_path / "t/d/up/f").read_bytes() == b"f"


def test_implied_folders_may_be_named_once(tmp_path):
    folder = ("a/b", {"type": tarfile.DIRTYPE}, b"")
    unpack([tar_of("./a/b/c", folder, ("a/", {"type": tarfile.DIRTYPE}, b""))], str(tmp_path / "t"))
    assert (tmp_path / "t/a/b/c").exists()
    with pytest.raises(RainException, match="twice"):
        unpack([tar_of("a/b/c", folder, folder)], str(tmp_path / "u"))


# -- archives that are refused --------------------------------------------------------------------

ESCAPES = [
    link("l", "/etc/passwd"), link("l", ".."), link("l", "../x"), link("a/l", "../../x"), link("a/b/l", "../../../x"),
    link("l", "a/../.."), link("l", "a/b/../../../c"), link("l", "./../x"), link("l", "a//..//..//x"),
]  # fmt: skip
EVIL = {
    **{f"link {member[0]} to {member[1]['linkname']}": [member] for member in ESCAPES},
    "absolute": ["/etc/x"],
    "absolute folder": [("/x", {"type": tarfile.DIRTYPE}, b"")],
    "dots": ["../x"],
    "inner dots": ["a/../../x"],
    "harmless dots": ["a/../b"],
    "twice": ["x", "x"],
    "file over folder": ["x/y", "x"],
    "folder over file": ["x", ("x", {"type": tarfile.DIRTYPE}, b"")],
    "file below file": ["x", "x/y"],
    "twice by other name": ["x/y", "./x//y"],
    "link twice": [link("l", "a"), link("l", "b")],
    "file over link": [link("l", "a"), "l"],
    "link over file": ["l", link("l", "a")],
    "file below link": [link("l", "."), "l/x"],
    "file below link out": [link("l", ".."), "l/x"],
    "folder below link": [link("l", "d"), ("l/y", {"type": tarfile.DIRTYPE}, b"")],
    "link through link": ["a/b/c", link("a/b/root", "../.."), link("out", "a/b/root/../x")],
    "link through later link": [link("out", "p/../x"), link("p", "a/b/q"), ("a/b/c", {}, b""), link("a/b/q", "../..")],
    "link to absolute link": [link("p", "q"), link("q", "/")],
    "hard link out": [link("h", "../x", tarfile.LNKTYPE)],
    "hard link absolute": [link("h", "/etc/passwd", tarfile.LNKTYPE)],
    "hard link to nothing": [link("h", "x", tarfile.LNKTYPE)],
    "hard link to folder": ["d/x", link("h", "d", tarfile.LNKTYPE)],
    "hard link through link": ["d/x", link("l", "d"), link("h", "l/x", tarfile.LNKTYPE)],
    "hard link to itself": [link("h", "h", tarfile.LNKTYPE)],
    "hard link to root": [link("h", ".", tarfile.LNKTYPE)],
    "character device": [("n", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, b"")],
    "block device": [("n", {"type": tarfile.BLKTYPE}, b"")],
    "pipe": [("n", {"type": tarfile.FIFOTYPE}, b"")],
    "sparse": [("n", {"type": tarfile.GNUTYPE_SPARSE}, b"")],
    "unknown type": [("n", {"type": b"Z"}, b"")],
    "setuid": [("s", {"mode": 0o4755}, b"")],
    "setgid": [("s", {"mode": 0o2755}, b"")],
    "setgid folder": [("s", {"mode": 0o2755, "type": tarfile.DIRTYPE}, b"")],
    "link without target": [link("l", "")],
    "file named .": [(".", {}, b"x")],
    "long name": ["n" * 300],
    "long path": ["/".join(["n" * 100] * 50)],
    "deep": ["d/" * 10_000 + "x"],
    "deeper than allowed": ["d/" * (limits.ARCHIVE_DEPTH_MAX + 1) + "x"],
    "pax sparse": [("n", {"pax_headers": {"GNU.sparse.major": "1"}}, b"x")],
    "pax absolute": [("n", {"pax_headers": {"path": "/tmp/x"}}, b"x")],
    "pax dots": [("n", {"pax_headers": {"path": "a/../../x"}}, b"x")],
    "pax link out": [("l", {"type": tarfile.SYMTYPE, "linkname": "ok", "pax_headers": {"linkpath": "../x"}}, b"")],
    "huge pax": [("n", {"pax_headers": {"comment": "c" * 100_000}}, b"x")],
}  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_evil_archives(tmp_path, name):
    box = tmp_path / "box"
    box.mkdir()
    (tmp_path / "x").write_text("outside")
    with pytest.raises(RainException):
        unpack([tar_of(*EVIL[name])], str(box / "target"))
    assert os.listdir(box) == []
    assert os.listdir(tmp_path) == ["box", "x"] or sorted(os.listdir(tmp_path)) == ["box", "x"]
    assert (tmp_path / "x").read_text() == "outside"


def test_broken_archives(source, tmp_path):
    (source / "big").unlink()
    data = packed(source)
    target = str(tmp_path / "target")
    for cut in (0, 1, 100, 511, 512, 700, len(data) // 2, len(data) - 1024, len(data) - 1025):
        with pytest.raises(RainException, match=r"cut off|damaged"):
            unpack([data[:cut]], target)
        assert not os.path.exists(target)
    for change in (b"x" + data[1:], data[:148] + b"9999999\0" + data[156:], os.urandom(4096), b"PK" + bytes(600)):
        with pytest.raises(RainException):
            unpack([change], target)
    with pytest.raises(RainException, match="behind the end"):
        unpack([data, data], target)
    unpack([data, bytes(10_000)], target)


def test_a_damaged_pax_header(tmp_path):
    for body in (b"9999 path=x\n", b"0 path=x\n", b"x path=y\n", b"11 path=y", b"9 path x\n", b"-5 a=b\n", b"5 a=b"):
        block = header_block(b"h", 0, len(body), b"x") + body + bytes(-len(body) % 512)
        with pytest.raises(RainException, match="damaged"):
            unpack([block], str(tmp_path / "t"))
    body = b"9 size=x\n"
    block = header_block(b"h", 0, len(body), b"x") + body + bytes(512 - len(body)) + header_block(b"f", 0, 0, b"0")
    with pytest.raises(RainException, match="damaged"):
        unpack([block], str(tmp_path / "t"))


# -- bombs ----------------------------------------------------------------------------------------


def test_limits_of_entries_depth_and_bytes(tmp_path):
    three = tar_of("a", "b", "c")
    assert unpack([three], str(tmp_path / "ok"), Limits(entries=3, bytes=3)) == 3
    with pytest.raises(RainException, match="ARCHIVE_ENTRIES_MAX"):
        unpack([three], str(tmp_path / "t"), Limits(entries=2))
    with pytest.raises(RainException, match="ARCHIVE_BYTES_MAX"):
        unpack([three], str(tmp_path / "t"), Limits(bytes=2))
    with pytest.raises(RainException, match="ARCHIVE_DEPTH_MAX"):
        unpack([tar_of("a/b/c")], str(tmp_path / "t"), Limits(depth=2))
    with pytest.raises(RainException, match="ARCHIVE_ENTRIES_MAX"):
        unpack([tar_of("a/b/c/d")], str(tmp_path / "t"), Limits(entries=3))
    copies = [link(f"h{number}", "a", tarfile.LNKTYPE) for number in range(10)]
    with pytest.raises(RainException, match="ARCHIVE_BYTES_MAX"):
        unpack([tar_of(("a", {}, b"x" * 1000), *copies)], str(tmp_path / "t"), Limits(bytes=5000))
    for bad in (Limits(entries=2), Limits(bytes=2)):
        with pytest.raises(RainException, match="ARCHIVE_"):
            list(pack(str(tmp_path / "ok"), bad))
    assert os.listdir(tmp_path) == ["ok"]


def test_announced_bytes_are_not_believed(tmp_path):
    """10 GB or more out of 10 kB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    for size in (10 << 30, 1 << 50, (1 << 87) - 1):
        with pytest.raises(RainException, match=r"cut off|ARCHIVE_BYTES_MAX|no space left"):
            unpack([header_block(b"bomb", 0o644, size, b"0"), bytes(10_000)], str(tmp_path / "t"))
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10
    assert os.listdir(tmp_path) == []


def test_more_than_the_disk_holds_is_refused_at_once(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(ResourceError, match=r"no space left to write .*bomb \(17825792 bytes\)"):
        unpack([header_block(b"bomb", 0o644, 17 << 20, b"0"), bytes(10_000)], str(tmp_path / "t"))


def test_many_entries_are_refused_without_much_memory(tmp_path):
    def endless():
        number = 0
        while True:
            yield b"".join(header_block(b"%d/" % at, 0o755, 0, b"5") for at in range(number, number + 1000))
            number += 1000

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RainException, match="ARCHIVE_ENTRIES_MAX"):
        unpack(endless(), str(tmp_path / "t"), Limits(entries=500))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


# -- what cannot be packed ------------------------------------------------------------------------


def test_links_out_are_not_followed(tmp_path):
    root = tmp_path / "d"
    (root / "in").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    for target in ("/etc/passwd", "../secret", "in/../../secret", str(root / "in")):
        (root / "l").symlink_to(target)
        for function in (lambda path: list(pack(path)), packed_size, dirtree.tree_size):
            with pytest.raises(RainException, match="leads outside"):
                function(str(root))
        (root / "l").unlink()


def test_pipes_and_sockets_are_refused(tmp_path):
    root = tmp_path / "d"
    root.mkdir()
    os.mkfifo(root / "pipe")
    with pytest.raises(RainException, match="pipe is neither"):
        list(pack(str(root)))
    (root / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "s"))
        with pytest.raises(RainException, match="neither"):
            packed_size(str(root))


def test_files_that_change_meanwhile(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_bytes(bytes(3 * limits.CHUNK_BYTES))
    pieces = pack(str(tmp_path / "d"))
    next(pieces)
    with open(tmp_path / "d/f", "ab") as file:
        file.write(b"more")
    with pytest.raises(RainException, match="changed while"):
        list(pieces)


def test_special_bits_are_not_packed(tmp_path):
    root = tmp_path / "d"
    root.mkdir()
    (root / "s").touch()
    (root / "s").chmod(0o4755)
    unpack(pack(str(root)), str(tmp_path / "t"))
    assert stat.S_IMODE((tmp_path / "t/s").stat().st_mode) & 0o7000 == 0


def test_descriptors_are_closed(source, tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for name in ("absolute", "twice", "hard link to folder", "deep", "file below link"):
        with pytest.raises(RainException):
            unpack([tar_of(*EVIL[name])], str(tmp_path / "t"))
    unpack(pack(str(source)), str(tmp_path / "t"))
    half = pack(str(source))
    next(half)
    half.close()
    unpacker = Unpacker(str(tmp_path / "u"))
    unpacker.feed(packed(source)[:60_000])
    unpacker.discard()
    assert len(os.listdir("/proc/self/fd")) == before


# -- trees ----------------------------------------------------------------------------------------


def test_a_deep_walk_holds_few_descriptors(tmp_path):
    names = ["a"] + ["d"] * 150
    (tmp_path / "root").joinpath(*names).mkdir(parents=True)
    for depth in (0, 1, 75, 150):
        (tmp_path / "root").joinpath(*names[:depth], "z").touch()
    before = set(os.listdir("/proc/self/fd"))
    seen, most = [], 0
    for entry in dirtree.walk(str(tmp_path / "root")):
        seen.append(entry.path)
        most = max(most, len(os.listdir("/proc/self/fd")) - len(before))
    assert len(seen) == 155
    assert [path for path in seen if path.endswith("z")][-1] == "z"  # it found its way up
    assert limits.OPEN_FOLDERS_MAX < most <= limits.OPEN_FOLDERS_MAX + 4
    assert set(os.listdir("/proc/self/fd")) == before
    dirtree.copy_tree(str(tmp_path / "root"), str(tmp_path / "copy"))
    assert dirtree.same_tree(str(tmp_path / "root"), str(tmp_path / "copy"), lambda one, other: other.kind == "f")
    dirtree.remove_tree(str(tmp_path / "copy"))
    assert not (tmp_path / "copy").exists()


def test_neighbours_far_down_are_walked_packed_and_removed(tmp_path):
    deep = tmp_path / "root" / "/".join("d" * (limits.OPEN_FOLDERS_MAX + 5))
    for names in ("a/x/y/z", "b/x/y/z", "c"):
        (deep / names).mkdir(parents=True)
        (deep / names / "f").touch()
    root = str(tmp_path / "root")
    assert sum(entry.kind == "f" for entry in dirtree.walk(root)) == 3
    unpack(pack(root), str(tmp_path / "again"))
    assert dirtree.same_tree(root, str(tmp_path / "again"), lambda one, other: other.kind == "f")
    dirtree.remove_tree(root)
    assert not os.path.exists(root)


def test_a_name_that_the_file_system_does_not_take_is_told(tmp_path):
    entry = header("n" * 300 + "/f", 0o644, 0, b"0")
    with pytest.raises(RainException, match="cannot be written: File name too long"):
        unpack([entry, bytes(1024)], str(tmp_path / "u"))


def test_a_folder_that_is_moved_meanwhile_ends_the_walk(tmp_path):
    deep = tmp_path / "root" / "/".join("d" * (limits.OPEN_FOLDERS_MAX + 5))
    deep.mkdir(parents=True)
    (deep / "last").touch()
    entries = dirtree.walk(str(tmp_path / "root"))
    while next(entries).name != "last":
        pass
    # What lies above the moved folder now is not below the root.
    (tmp_path / "root/d/d/d").rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="moved while"):
        list(entries)


def test_removing_stops_where_a_folder_is_moved_meanwhile(tmp_path, monkeypatch):
    deep = tmp_path / "root" / "/".join("d" * (limits.OPEN_FOLDERS_MAX + 5))
    deep.mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine").touch()
    leave = dirtree.Descent.leave

    def move_first(descent):
        if (tmp_path / "root/d/d").exists():
            (tmp_path / "root/d/d").rename(tmp_path / "other/d")
        leave(descent)

    monkeypatch.setattr(dirtree.Descent, "leave", move_first)
    dirtree.remove_tree(str(tmp_path / "root"))
    assert (tmp_path / "other/mine").exists()
    assert (tmp_path / "other/d").exists()


def test_trees_are_compared(source, tmp_path):
    def same_size(one, other):
        return other.kind == "f" and one.stat.st_size == other.stat.st_size

    copy = tmp_path / "copy"

    def same():
        return dirtree.same_tree(str(source), str(copy), same_size)

    dirtree.copy_tree(str(source), str(copy))
    assert same()
    for change in (
        lambda: (copy / "more").touch(),
        lambda: (copy / "big").unlink(),
        lambda: (copy / "a/x").write_text("something else"),
        lambda: ((copy / "a/up").unlink(), (copy / "a/up").symlink_to("x")),
        lambda: ((copy / "big").unlink(), (copy / "big").mkdir()),
        lambda: os.mkfifo(copy / "pipe"),
    ):
        change()
        assert not same()
        dirtree.remove_tree(str(copy))
        dirtree.copy_tree(str(source), str(copy))
    assert same()


def test_copy_and_link_trees(source, tmp_path):
    size = dirtree.tree_size(str(source))
    assert dirtree.copy_tree(str(source), str(tmp_path / "copy")) == size
    assert snapshot(tmp_path / "copy") == snapshot(source)
    assert dirtree.link_tree(str(source), str(tmp_path / "hard"), hard=True) == size
    assert (tmp_path / "hard/a/x").stat().st_ino == (source / "a/x").stat().st_ino
    assert dirtree.own_tree(str(tmp_path / "copy")) == size
    assert stat.S_IMODE((tmp_path / "copy/a/x").stat().st_mode) == 0o555
    assert stat.S_IMODE((tmp_path / "copy/none").stat().st_mode) == 0o444
    with pytest.raises(FileExistsError):
        dirtree.copy_tree(str(source), str(tmp_path / "copy"))


def test_linking_across_file_systems_makes_symbolic_links(source, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    dirtree.link_tree(str(source), str(tmp_path / "links"))
    assert (tmp_path / "links/a/x").readlink() == source / "a/x"
    assert not (tmp_path / "links/a").is_symlink()
    assert (tmp_path / "links/a/up").readlink().as_posix() == "../big"
    with pytest.raises(OSError, match="cross-device"):
        dirtree.link_tree(str(source), str(tmp_path / "hard"), hard=True)
    assert not (tmp_path / "hard").exists()


def test_links_into_followed_folders_become_files(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "1").write_text("one")
    (store / "1").chmod(0o444)
    (store / "dir").mkdir()
    made = tmp_path / "made"
    made.mkdir()
    (made / "in").symlink_to(store / "1")
    (made / "own").write_text("own")
    assert dirtree.own_tree(str(made), [str(store)]) == 6
    assert not (made / "in").is_symlink()
    assert (made / "in").stat().st_ino == (store / "1").stat().st_ino
    for target in (tmp_path / "other", store / "dir", store / "missing"):
        (tmp_path / "other").touch()
        (made / "bad").symlink_to(target)
        with pytest.raises(RainException, match="leads outside"):
            dirtree.own_tree(str(made), [str(store)])
        (made / "bad").unlink()


def test_move(source, tmp_path, monkeypatch):
    before = snapshot(source)
    dirtree.move(str(source), str(tmp_path / "moved"))
    assert snapshot(tmp_path / "moved") == before
    assert not source.exists()

    def refuse(*args):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.rename", refuse)
    (tmp_path / "moved/out").symlink_to("/etc/passwd")
    dirtree.move(str(tmp_path / "moved"), str(source))
    assert os.readlink(source / "out") == "/etc/passwd"
    (source / "out").unlink()
    assert snapshot(source) == before
    dirtree.move(str(source / "a/x"), str(tmp_path / "x"))
    dirtree.move(str(source / "a/up"), str(tmp_path / "up"))
    assert os.readlink(tmp_path / "up") == "../big"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o755
    with pytest.raises(FileExistsError):
        dirtree.move(str(tmp_path / "x"), str(tmp_path / "up"))


def test_remove_tree_copes_with_modes(tmp_path):
    code = (
        "import os, sys\n"
        "from rain.objects.dirtree import remove_tree\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "root = sys.argv[1] + '/d'\n"
        "os.makedirs(root + '/a/b'); open(root + '/a/b/f', 'w').close()\n"
        "for path in ('/a/b', '/a', ''): os.chmod(root + path, 0)\n"
        "remove_tree(root); remove_tree(root)\n"
        "assert not os.path.exists(root)\n"
    )
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o005 != 0o005 and parent.owner() == tmp_path.owner():
            parent.chmod(parent.stat().st_mode | 0o005)
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_removing_a_link_touches_nothing_behind_it(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "f").write_text("f")
    mine.chmod(0o500)
    (tmp_path / "link").symlink_to(mine)
    dirtree.remove_tree(str(tmp_path / "link"))
    assert not (tmp_path / "link").is_symlink()
    assert (mine / "f").read_text() == "f"
    assert mine.stat().st_mode & 0o777 == 0o500


def test_remove_tree_copes_with_depth(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "deep-1").touch()
    folder = os.open(root, os.O_RDONLY)
    for _ in range(2500):  # deeper than paths, descriptors and Python's stack go
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    dirtree.remove_tree(str(root))
    assert not root.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("kind", [["-t", "tmpfs", "tmpfs"], ["--bind", "{results}"]])
def test_remove_tree_leaves_what_is_mounted_inside(tmp_path, kind):
    results = tmp_path / "results"
    results.mkdir()
    (results / "precious").touch()
    mounted = tmp_path / "root/a/mounted"
    mounted.mkdir(parents=True)
    (tmp_path / "root/b").mkdir()
    if subprocess.run(
        ["mount", *(word.format(results=results) for word in kind), mounted], capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (mounted / "precious").touch()
        dirtree.remove_tree(str(tmp_path / "root"))
        assert (mounted / "precious").exists()
        assert os.listdir(tmp_path / "root") == ["a"]
    finally:
        subprocess.run(["umount", mounted], check=True)
    dirtree.remove_tree(str(tmp_path / "root"))
    assert not (tmp_path / "root").exists()
