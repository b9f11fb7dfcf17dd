"""Packs of small results: what is found in them, damage, several processes, and what goes to make room."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rain import RainException
from rain.client.core.reuse.entries import Damaged, Entry
from rain.client.core.reuse.packing import END_BYTES, index_at, index_of, pack
from rain.client.reuse.folder import Folder
from rain.common.limits import CACHE_PACKS_SMALL_MAX
from tests.unit.client.reuse.test_entries import entry, large, small

PACK = (
    "7261696e2d726573756c747320320a7261696e2d726573756c7420310a10e1070f36890819db84303255f12f9199d9203030"
    "303030303030303030303030303030303030303030303030303030303031a36d3a66a166cb3ff0000000000000cb3fe00000"
    "00000000a46628312981a16101a4736169649199a6726573756c74a4626c6f62a67069636b6c650101c380d9206466336365"
    "373834643835363333346436356364323530323866393866313538c401317261696e2d726573756c7420310abac15604ac2a"
    "dcdecefda69bf78d11e399d9203030303030303030303030303030303030303030303030303030303030303032a36d3a66a1"
    "66cb3ff0000000000000cb3fe0000000000000a46628312981a16101a4736169649199a6726573756c74a4626c6f62a67069"
    "636b6c650101c380d9206362333538666365653064666465353666623935613733323266356461333134c401320000000000"
    "00000000000000000000010f000000a500000000000000000000000000000000000002b4000000a500000059010000000000"
    "0002000000784faa97c3a450c4293721d68814bb7e"
)
"""A pack of two small results as format 2 writes it."""
FORMAT_1 = Path(__file__).parent / "folder-1"
"""A folder as format 1 left it: a small result, one with a large output, and what is remembered of a function."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "results"))


def key(number: int) -> str:
    return f"{number:032x}"


def some(*numbers: int) -> list[Entry]:
    return [entry(key(number), small(b"%d" % number)) for number in numbers]


def files(folder: Folder, name: str = "packs") -> list[Path]:
    return sorted(path for path in Path(folder.path, name).rglob("*") if path.is_file())


def used(folder: Folder, seconds: float) -> None:
    """Each pack that there is was used at this time."""
    for path in files(folder):
        os.utime(path, (seconds, seconds))


# -- the bytes -----------------------------------------------------------------------------------------


def test_each_byte_of_an_index_counts() -> None:
    pieces, rows = pack((key(number), b"x" * number) for number in range(5))
    data = b"".join(pieces)
    begin, length = index_at(data[-END_BYTES:], len(data))
    for place in range(begin, len(data)):
        torn = bytearray(data)
        torn[place] ^= 1
        with pytest.raises(Damaged):
            at, size = index_at(bytes(torn[-END_BYTES:]), len(torn))
            index_of(bytes(torn[at : at + size]), bytes(torn[-END_BYTES:]))
    for end in range(len(data)):
        with pytest.raises(Damaged):
            index_at(data[:end][-END_BYTES:], end)
    assert index_of(data[begin : begin + length], data[-END_BYTES:]) == rows


# -- in a folder ---------------------------------------------------------------------------------------


def test_what_was_packed_is_found_here_and_in_another_process(folder: Folder) -> None:
    other = Folder(folder.path)
    assert other.read(key(3)) is None
    folder.write_small(some(*range(100)))
    assert len(files(folder)) == 1
    for one in (folder, other, Folder(folder.path)):
        assert [one.read(key(number)) for number in (0, 3, 99)] == some(0, 3, 99)
        assert one.read(key(100)) is None
    assert len(folder.kept()) == 100
    assert os.stat(files(folder)[0]).st_mode & 0o777 == 0o600
    assert files(folder, "parts") == []


def test_a_damaged_entry_goes_and_the_others_stay(folder: Folder) -> None:
    folder.write_small(some(1, 2, 3))
    (path,) = files(folder)
    data = path.read_bytes()
    path.write_bytes(data.replace(key(2).encode(), key(7).encode()))
    used(folder, 1000.0)
    other = Folder(folder.path)
    assert other.read(key(2), use=False) == "its result was damaged, and was removed"
    for one in (folder, other, Folder(folder.path)):
        assert [one.read(key(number), use=False) for number in (1, 2, 3)] == [some(1)[0], None, some(3)[0]]
    assert [one.used for one in folder.kept()] == [1000.0, 1000.0], "a pack that is written anew was not used by that"


def test_a_pack_whose_index_is_damaged_is_removed(folder: Folder) -> None:
    folder.write_small(some(1, 2))
    (path,) = files(folder)
    path.write_bytes(path.read_bytes()[:-1])
    assert Folder(folder.path).read(key(1)) is None
    assert files(folder) == []
    assert folder.read(key(1)) is None  # it knew of the pack, and finds it gone
    folder.write_small(some(1, 2))
    assert folder.read(key(1)) == some(1)[0]


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_gives_another_result(folder: Folder, seed: int) -> None:
    chance = random.Random(seed)
    folder.write_small(some(*range(20)))
    (path,) = files(folder)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))
    other = Folder(folder.path)
    for number in range(20):
        found = other.read(key(number))
        assert found is None or isinstance(found, str) or found == some(number)[0]


def test_one_that_is_removed_is_gone_everywhere(folder: Folder) -> None:
    folder.write_small(some(1, 2, 3))
    other = Folder(folder.path)
    assert isinstance(other.read(key(1)), Entry)
    folder.remove(key(1), key(2))
    assert [other.read(key(number)) for number in (1, 2)] == [None, None] or other.read(key(1)) == some(1)[0]
    assert sorted(one.key for one in Folder(folder.path).kept()) == [key(3)]
    folder.remove(key(3))
    assert files(folder) == []


def test_the_packs_that_were_used_longest_ago_go_first(folder: Folder) -> None:
    for begin in range(0, 40, 10):
        folder.write_small(some(*range(begin, begin + 10)))
        for path in files(folder):
            if path.stat().st_mtime > 100_000:
                os.utime(path, (begin, begin))
    folder.write(entry(key(50), large(b"y" * 5000)), {0: [b"y" * 5000]})
    for path in files(folder, "results"):
        os.utime(path, (15, 15))
    size = sum(path.stat().st_size for path in files(folder))
    assert isinstance(Folder(folder.path).read(key(5)), Entry)  # the oldest is used now
    assert folder.evict(size)[0] == 10 + 1  # the pack of 10 to 19, then the one with a large output
    assert sorted(int(one.key, 16) // 10 for one in folder.kept()) == [0] * 10 + [2] * 10 + [3] * 10
    assert folder.evict(0) == (20, files(folder)[0].stat().st_size)
    assert folder.evict(0, fresh_s=0) == (10, 0)


def test_results_that_came_one_by_one_are_packed(folder: Folder) -> None:
    for one in some(*range(30)):
        folder.write(one, {})
    folder.write(entry(key(40), large(b"y" * 5000)), {0: [b"y" * 5000]})
    folder.tidy([key(number) for number in [*range(30), 99]])
    assert len(files(folder)) == 1
    assert [path.name.partition(".")[0] for path in files(folder, "results")] == [key(40)] * 2
    assert [folder.read(key(number)) for number in range(30)] == some(*range(30))
    assert len(Folder(folder.path).kept()) == 31


def test_small_packs_are_put_together_and_none_outgrows_its_size(folder: Folder) -> None:
    for number in range(CACHE_PACKS_SMALL_MAX):
        folder.write_small(some(number, 1000, number + 100))  # one of them in each
    reader = Folder(folder.path)
    assert isinstance(reader.read(key(5)), Entry)
    folder.tidy(())
    (path,) = files(folder)
    assert len(folder.kept()) == 2 * CACHE_PACKS_SMALL_MAX + 1
    numbers = [*range(CACHE_PACKS_SMALL_MAX), 1000, 100]
    assert [reader.read(key(number)) for number in numbers] == some(*numbers)  # which knew the ones before
    tight = Folder(folder.path, bytes_max=20 * path.stat().st_size)
    for number in range(2000, 2000 + CACHE_PACKS_SMALL_MAX):
        tight.write_small(some(number, *range(3000, 3010)))
    tight.tidy(())
    assert all(one.stat().st_size <= tight.pack_bytes + 1000 for one in files(folder))


def test_a_full_disk_loses_nothing_that_was_there(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(CACHE_PACKS_SMALL_MAX):
        folder.write_small(some(number, number + 100))
    folder.write(some(500)[0], {})

    def full(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    for change in (lambda: folder.tidy([key(500)]), lambda: folder.write_small(some(1000))):
        with pytest.raises(OSError, match="No space left"):
            change()
    numbers = [0, 5, 100, 500]
    for one in (folder, Folder(folder.path)):
        assert [one.read(key(number)) for number in numbers] == some(*numbers)
    folder.remove(key(0))  # cannot be taken out of its pack: it is not found here any more
    assert folder.read(key(0)) is None
    assert folder.read(key(100)) == some(100)[0]
    assert files(folder, "parts") == []


PROGRAM = """
import os, sys
sys.path.insert(0, ".")
from rain.client.reuse.folder import Folder
from tests.unit.client.reuse.test_packs import key, some
folder, own, what = Folder(sys.argv[1], 400_000), int(sys.argv[2]), sys.argv[3]
for turn in range(30):
    numbers = [own * 100_000 + turn * 100 + n for n in range(20)]
    if what == "killed" and turn == 20:
        real = os.rename
        os.rename = lambda source, target: os.kill(os.getpid(), 9)
    folder.write_small(some(*numbers))
    for n in numbers[:3]:
        folder.write(some(n + 50)[0], {})
    folder.tidy([key(n + 50) for n in numbers[:3]])
    for n in [*numbers, *(n + 50 for n in numbers[:3])]:
        found = folder.read(key(n))
        assert found == some(n)[0], (n, found)
    if turn % 10 == 9:
        folder.evict()
"""


def started(folder: Folder, number: int, what: str = "") -> subprocess.Popen[bytes]:
    """A process of another host, as far as it can tell: it shares the folder, and neither memory files nor names."""
    command = [sys.executable, "-c", PROGRAM, folder.path, f"{number}", what]
    if os.geteuid() == 0:
        command = [
            "unshare",
            "-m",
            "-i",
            "-u",
            "sh",
            "-c",
            'mount -t tmpfs tmpfs /dev/shm && exec "$@"',
            "sh",
            *command,
        ]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def test_processes_that_share_only_the_folder_write_and_tidy_at_once(folder: Folder) -> None:
    processes = [started(folder, 1), started(folder, 2), started(folder, 3, "killed")]
    ended = [(process.communicate()[1], process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0, -9], ended
    found = Folder(folder.path)
    kept = {int(one.key, 16) for one in found.kept()}
    assert kept >= {own * 100_000 + turn * 100 + n for own in (1, 2) for turn in range(30) for n in range(20)}
    assert kept >= {300_000 + turn * 100 + n for turn in range(20) for n in range(20)}, "what the killed one had stored"
    assert all(isinstance(found.read(key(number)), Entry) for number in kept)
    assert len(files(folder)) <= 3 * CACHE_PACKS_SMALL_MAX


# -- formats -------------------------------------------------------------------------------------------


def test_a_folder_of_format_1_is_used_and_becomes_one_of_format_2_with_its_first_pack(tmp_path: Path) -> None:
    path = tmp_path / "results"
    shutil.copytree(FORMAT_1, path)
    path.chmod(0o700)
    folder, mark = Folder(str(path)), path / "format"
    numbers = {one.key: one.size for one in folder.kept()}
    assert len(numbers) == 2
    for name in numbers:
        found = folder.read(name)
        assert isinstance(found, Entry)
        for number, output in enumerate(found.outputs):
            if output.data is None:
                assert not isinstance(folder.map_output(name, number, output), str)
    assert [history.path for history in folder.histories()] == ["m:f"]
    folder.write(some(5)[0], {})
    assert mark.read_text() == "rain results, format 1\n", "a Rain of before may go on with it"
    folder.write_small(some(1, 2))
    assert mark.read_text() == "rain results, format 2\n"
    again = Folder(str(path))
    assert len(again.kept()) == 5
    assert isinstance(again.read(key(5)), Entry)


def test_a_new_folder_is_of_format_2_and_format_3_is_refused(folder: Folder) -> None:
    assert Path(folder.path, "format").read_text() == "rain results, format 2\n"
    Path(folder.path, "format").write_text("rain results, format 3\n")
    with pytest.raises(RainException, match="format 3"):
        Folder(folder.path)


def test_a_pack_as_format_2_writes_it_is_read(folder: Folder) -> None:
    """Another layout takes another format."""
    data = bytes.fromhex(PACK)
    Path(folder.path, "packs").mkdir()
    Path(folder.path, "packs", "0" * 24).write_bytes(data)
    assert [folder.read(key(number)) for number in (1, 2)] == some(1, 2)
    written = Folder(folder.path + "-2")
    written.write_small(some(1, 2))
    assert files(written)[0].read_bytes() == data


def test_time_of_the_folder_is_looked_at_again_while_it_is_fresh(folder: Folder) -> None:
    other = Folder(folder.path)
    for number in range(30):  # many in one tick of the file system's clock
        folder.write_small(some(number))
        assert other.read(key(number)) == some(number)[0], time.time()
