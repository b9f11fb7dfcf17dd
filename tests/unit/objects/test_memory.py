"""Mapping: copy-on-write, without descriptors, and what happens where the system refuses it."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rain.common.errors import RainWarning
from rain.common.limits import SPARE_MAPPINGS_COUNT
from rain.objects import memory
from rain.objects.memory import map_fd, own_bytes, written_pages

PAGE = os.sysconf("SC_PAGE_SIZE")
SIZE = 64 * PAGE


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return str(path)


def mapped(path, writable=False):
    fd = os.open(path, os.O_RDONLY)
    try:
        return map_fd(fd, os.fstat(fd).st_size, writable)
    finally:
        os.close(fd)


def maps_of(path):
    with open("/proc/self/maps") as maps:
        return sum(path in line for line in maps)


def test_readers_never_see_each_others_writes(file):
    before = Path(file).read_bytes()
    first, second, reader = mapped(file, True), mapped(file, True), mapped(file)
    first[:] = b"1" * SIZE
    second[:PAGE] = b"2" * PAGE
    assert bytes(second[PAGE:]) == before[PAGE:]
    assert bytes(first[:PAGE]) == b"1" * PAGE
    assert bytes(reader) == bytes(mapped(file, True)) == Path(file).read_bytes() == before
    assert reader.readonly
    with pytest.raises(TypeError, match="read-only"):
        reader[0] = 1


def test_only_pages_that_are_written_take_memory(file, tmp_path):
    folders = (f"{tmp_path}/",)
    view = mapped(file, True)
    assert written_pages(os.getpid(), folders) == 0
    assert sum(view) > 0  # reading changes nothing
    assert written_pages(os.getpid(), folders) == 0
    view[0] = view[5 * PAGE] = 1
    os.unlink(file)
    assert written_pages(os.getpid(), folders) == 2 * PAGE
    assert written_pages(os.getpid(), (f"{tmp_path}/other/",)) == 0
    assert written_pages(2**22 + 1, folders) == 0  # no such process


def test_a_mapping_keeps_no_descriptor_and_ends_with_its_last_view(file):
    gc.collect()
    before, own = len(os.listdir("/proc/self/fd")), own_bytes()
    views = [mapped(file, number % 2 == 0) for number in range(20)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert maps_of(file) == 20
    assert own_bytes() == own + 10 * SIZE
    last = views[0][PAGE : 2 * PAGE]
    views.clear()
    assert maps_of(file) == 1
    assert last[0] == 0
    del last
    assert maps_of(file) == 0
    assert own_bytes() == own


def test_nothing_is_mapped_of_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert bytes(mapped(str(tmp_path / "empty"))) == bytes(mapped(str(tmp_path / "empty"), True)) == b""


_REFUSED = """
import os, resource, sys, warnings
from rain.objects.memory import map_fd
warnings.simplefilter("always")
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size

def limit(which, room):
    used = {"DATA": "VmData", "AS": "VmSize"}[which]
    [line] = [line for line in open("/proc/self/status") if line.startswith(used)]
    number = getattr(resource, "RLIMIT_" + which)
    bytes = (int(line.split()[1]) << 10) + room
    resource.setrlimit(number, (bytes, resource.getrlimit(number)[1]))

def attempt():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            view = map_fd(fd, size, writable=True)
            print("read-only" if view.readonly else "writable", view[1], *[each.message for each in caught])
        except Exception as error:
            print(type(error).__name__, error)
"""


def refused(file, code):
    done = subprocess.run([sys.executable, "-c", _REFUSED + code, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_where_private_memory_is_refused_it_is_read_only_and_says_why(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.write(b"\0\7")
        file.truncate(1 << 30)
    text = refused(str(path), "limit('DATA', 64 << 20); attempt()")
    assert text.startswith("read-only 7 loaded arrays are read-only, because the system refuses a copy-on-write")
    assert "RLIMIT_DATA (ulimit -d) is " in text
    assert "array.copy()" in text
    text = refused(str(path), "limit('AS', 64 << 20); attempt()")
    assert text.startswith("ResourceError 1073741824 bytes can be neither mapped into memory nor copied: RLIMIT_AS")


def test_with_too_many_mappings_it_is_copied_and_says_so(file, monkeypatch):
    most = memory._count[0] + 3 + SPARE_MAPPINGS_COUNT
    monkeypatch.setattr(memory, "_number", lambda path: most)
    monkeypatch.setattr(memory, "_most", 0)
    views = [mapped(file, True) for _ in range(3)]
    with pytest.warns(RainWarning, match=r"copied because .* files mapped, and vm.max_map_count is \d+: let some"):
        copied = mapped(file, True)
    with pytest.warns(RainWarning):
        assert mapped(file).readonly
    assert maps_of(file) == 3
    copied[:] = b"1" * SIZE
    assert views[0][1] == 1
    views.clear()
    monkeypatch.undo()
    assert not mapped(file, True).readonly


@pytest.mark.soak
def test_the_real_limit_of_mappings_leaves_room_for_all_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\0\7" * (1 << 17))
    code = """
warnings.simplefilter("ignore")
most = int(open("/proc/sys/vm/max_map_count").read())
views = [map_fd(fd, size, writable=True) for _ in range(most - 4096)]
late = [map_fd(fd, size, writable=True) for _ in range(2000)]
print(len(views), {view.readonly for view in late})
attempt()
"""
    text = refused(str(path), code).split("\n")
    assert text[0].endswith("{False}")
    assert text[1].startswith("writable 7 262144 bytes were copied")


def test_strict_overcommit_is_named(monkeypatch):
    monkeypatch.setattr(memory, "_number", {"/proc/sys/vm/overcommit_memory": 2, "/proc/sys/vm/max_map_count": 0}.get)
    assert "vm.overcommit_memory is 2" in memory.why_refused(1 << 20)
    assert memory.why_refused(1 << 20, writable=False) == "the kernel says that it has not enough memory"
