"""The index of a store: what was written is read, what is damaged or cut short does not count."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from rain.common.ids import ID
from rain.common.location import Inline, LocalFile
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.governor.core.effects import Known
from rain.governor.inheritance import index_file
from rain.governor.inheritance.index_file import INDEX, IndexFile
from rain.governor.inheritance.index_format import About, Index, read
from rain.objects.held import Held

ABOUT = About("cluster", "host", True, "own", ["earlier"], "/disk")


def known(number: int) -> Known:
    return Known(ObjectSpec(ID(1, number), f"label {number}", user={"a": [1]}), ObjectInfo(size=7, content_type="json"))


def held(number: int, folder: str = "/memory/objects") -> Held:
    return Held(LocalFile(f"{folder}/{number}", 10 + number, 7, 123456789, 99), is_dir=number == 3)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.path = folder / INDEX
        self.file = IndexFile(str(folder), ABOUT, "/disk/objects")

    def index(self) -> Index:
        index = read(self.path.read_bytes())
        assert index is not None
        return index


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_it_says_whose_it_is_and_what_there_is(rig: Rig) -> None:
    assert rig.index() == Index(ABOUT, {}, "")
    rig.file.note(known(1), held(1))
    rig.file.note(known(3), held(3, "/disk/objects"))
    assert rig.index().objects == {}, "not written before it is flushed"
    rig.file.flush()
    first, third = rig.index().objects.values()
    assert (first.id, first.on_disk, first.name, first.inode, first.size) == (ID(1, 1), False, "1", 11, 7)
    assert (first.mtime_ns, first.checksum, first.is_dir) == (123456789, 99, False)
    assert (first.spec, first.info) == (known(1).spec, known(1).info)
    assert (third.on_disk, third.is_dir) == (True, True)
    assert oct(rig.path.stat().st_mode & 0o777) == "0o600"


def test_what_went_and_what_moved(rig: Rig) -> None:
    for number in (1, 2):
        rig.file.note(known(number), held(number))
    rig.file.flush()
    rig.file.forget([ID(1, 1), ID(1, 77)])
    rig.file.note(known(2), held(8, "/disk/objects"))
    rig.file.flush()
    [second] = rig.index().objects.values()
    assert (second.id, second.name, second.on_disk) == (ID(1, 2), "8", True)


def test_bytes_in_memory_are_not_noted(rig: Rig) -> None:
    rig.file.note(known(1), Held(Inline(b"few")))
    rig.file.flush()
    assert rig.index().objects == {}
    assert not rig.file.noted


def test_cut_at_each_byte_what_is_whole_counts(rig: Rig) -> None:
    ends = [rig.path.stat().st_size]
    for number in (1, 2):
        rig.file.note(known(number), held(number))
        rig.file.flush()
        ends.append(rig.path.stat().st_size)
    data = rig.path.read_bytes()
    for size in range(len(data)):
        index = read(data[:size])
        if size < ends[0]:
            assert index is None
        else:
            assert index is not None
            assert len(index.objects) == sum(end <= size for end in ends[1:])
            assert bool(index.problem) == (size not in ends)


def test_no_flipped_bit_passes_for_what_was_written(rig: Rig) -> None:
    for number in (1, 2):
        rig.file.note(known(number), held(number))
        rig.file.flush()
    data = rig.path.read_bytes()
    whole = rig.index().objects
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            index = read(bytes(damaged))
            assert index is None or (index.about == ABOUT and index.problem)
            for id, noted in ({} if index is None else index.objects).items():
                assert whole[id] == noted


def test_another_format_is_none_of_ours() -> None:
    assert read(b"") is None
    assert read(b"RainStor\2\0\0\0") is None
    assert read(b"something else altogether") is None


def test_it_is_written_anew_when_it_is_long(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "INDEX_BYTES_MIN", 2000)
    rig.file.note(known(1), held(1))
    sizes = []
    for _ in range(100):
        rig.file.note(known(2), held(2))
        rig.file.flush([(known(1), held(1)), (known(2), held(2))])
        sizes.append(rig.path.stat().st_size)
        assert list(rig.index().objects) == [ID(1, 1), ID(1, 2)]
    assert max(sizes) < 2500


@pytest.mark.parametrize("short", [False, True])
def test_where_it_cannot_be_written_the_store_goes_on_and_what_was_written_counts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, short: bool
) -> None:
    rig.file.note(known(1), held(1))
    rig.file.flush()
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if short and len(data) > 10:
            return write(fd, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    rig.file.note(known(2), held(2))
    rig.file.flush()
    monkeypatch.undo()
    rig.file.note(known(3), held(3))
    rig.file.flush()
    assert "No space left" in caplog.text
    assert list(rig.index().objects) == [ID(1, 1)]
    assert not rig.file.waiting
    monkeypatch.setattr(index_file.time, "monotonic", lambda: sys.float_info.max)
    assert rig.file.waiting
    rig.file.flush((known(number), held(number)) for number in (1, 2, 3))
    assert "is written again" in caplog.text
    rig.file.note(known(4), held(4))
    rig.file.flush()
    assert list(rig.index().objects) == [ID(1, number) for number in (1, 2, 3, 4)]
