"""The index of an object store, without any file."""

from __future__ import annotations

from rain.common.ids import ID
from rain.common.location import Inline, LocalFile
from rain.objects.held import Held
from rain.objects.store import StoreIndex


def file(size: int) -> Held:
    return Held(LocalFile("/memory/file", 1, size, 1))


def counted(index: StoreIndex) -> tuple[int, int, int, int]:
    return index.inline_bytes, index.memory_bytes, index.disk_bytes, index.spilled_bytes


def test_bytes_are_counted_where_they_are() -> None:
    index = StoreIndex(100)
    index.add(ID(1, 1), Held(Inline(b"abc")), in_memory=False)
    index.add(ID(1, 2), file(20), in_memory=True)
    index.add(ID(2, 3), file(50), in_memory=False)
    assert counted(index) == (3, 20, 50, 0)
    entry = index.get(ID(1, 2))
    assert entry is not None
    index.spilled(entry, file(20), "/memory/link")
    assert counted(index) == (3, 0, 70, 20)
    assert entry in index.drop(index.ids(1))
    assert counted(index) == (0, 0, 50, 20)
    assert len(index.drop(index.ids())) == 1
    assert counted(index) == (0, 0, 0, 20)
    assert len(index) == 0


def test_an_entry_goes_with_its_last_id_unless_the_spiller_has_it() -> None:
    index = StoreIndex(10)
    index.add(ID(1, 1), file(8), in_memory=True)
    entry = index.get(ID(1, 1))
    assert entry is not None
    index.name(ID(2, 1), entry)
    assert index.drop([ID(1, 1)]) == []
    index.add(ID(1, 2), file(8), in_memory=True)
    assert index.to_spill() == [entry]
    assert index.drop([ID(2, 1)]) == [], "the spiller removes its files"
    assert index.memory_bytes == 8
    assert not index.full
    assert [gone.held.size for gone in index.add(ID(1, 2), file(3), in_memory=True)] == [8], "the same id again"


def test_the_longest_unused_go_first_and_the_newest_stays() -> None:
    index = StoreIndex(10)
    for number in range(1, 5):
        index.add(ID(1, number), file(4), in_memory=True)
    index.get(ID(1, 1))
    assert index.full
    chosen = index.to_spill()
    assert [entry.ids for entry in chosen] == [{ID(1, 2)}, {ID(1, 3)}]
    assert index.to_spill() == [], "these two are on their way"
    index.add(ID(1, 9), file(11), in_memory=True)
    assert {ID(1, 9)} in [entry.ids for entry in index.to_spill()], "alone it is too much"


def test_memory_that_the_control_group_needs() -> None:
    index = StoreIndex(1000)
    index.add(ID(1, 1), file(400), in_memory=True)
    index.add(ID(1, 2), file(400), in_memory=True)
    index.heed(left=0, limit=10_000)
    assert index.memory_bytes_max < 800
    assert index.to_spill()
    index.heed(left=9_000, limit=10_000)
    assert index.memory_bytes_max == 1000
