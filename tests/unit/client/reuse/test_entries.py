"""Entries and the folder of results: what is written whole, what is refused, what goes first."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import xxhash

from rain import RainException
from rain.client.core.reuse.entries import Damaged, Entry, OtherFormat, Output, decode, encode
from rain.client.core.reuse.keys import Call, Code, Part, digest
from rain.client.core.reuse.reasons import CALLS_MAX, History, Noted, why
from rain.client.reuse.folder import Folder
from rain.objects import file_systems

KEY = "ab" + "0" * 30


def entry(key: str = KEY, *outputs: Output) -> Entry:
    return Entry(key, "m:f", "f", 1.0, 0.5, "f(1)", {"a": 1}, "said", list(outputs))


def small(data: bytes = b"data") -> Output:
    return Output("result", "blob", "pickle", len(data), len(data), True, {}, xxhash.xxh3_128_hexdigest(data), data)


def large(data: bytes) -> Output:
    return Output("result", "blob", None, len(data), len(data), False, {}, xxhash.xxh3_128_hexdigest(data))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path / "results"))


def test_an_entry_is_read_as_it_was_written() -> None:
    assert decode(encode(entry(KEY, small()))) == entry(KEY, small())


@pytest.mark.parametrize("place", [0, 5, 20, 40, -1])
def test_a_byte_that_changed_is_noticed(place: int) -> None:
    data = bytearray(encode(entry(KEY, small())))
    data[place] ^= 1
    with pytest.raises((Damaged, OtherFormat)):
        decode(bytes(data))


def test_every_torn_entry_is_noticed() -> None:
    data = encode(entry(KEY, small()))
    for end in range(len(data)):
        with pytest.raises(Damaged):
            decode(data[:end])


def test_another_format_is_named() -> None:
    with pytest.raises(OtherFormat, match="of format 7"):
        decode(encode(entry()).replace(b"rain-result 1\n", b"rain-result 7\n"))


# -- the folder ----------------------------------------------------------------------------------------


def test_results_come_back(folder: Folder) -> None:
    data = os.urandom(300_000)
    folder.write(entry(KEY, small(), large(data)), {1: [data[:1000], memoryview(data)[1000:]]})
    found = folder.read(KEY)
    assert found == entry(KEY, small(), large(data))
    reader = folder.map_output(KEY, 1, large(data))
    assert not isinstance(reader, str)
    folder.remove(KEY)
    assert reader.read() == data  # it was mapped
    assert folder.read(KEY) is None
    assert os.stat(folder.path).st_mode & 0o777 == 0o700
    assert list(Path(folder.path, "parts").iterdir()) == []


def test_what_is_damaged_is_a_miss_and_goes(folder: Folder) -> None:
    data = b"x" * 100_000
    for damage in ("entry", "data", "missing", "name"):
        folder.write(entry(KEY, large(data)), {0: [data]})
        path = Path(folder.path, "results", KEY[:2], KEY)
        file = Path(folder.data_file(KEY, 0, large(data)))
        if damage == "entry":
            path.write_bytes(path.read_bytes()[:-3])
            found: Any = folder.read(KEY)
        elif damage == "name":
            path.write_bytes(encode(entry("ab" + "1" * 30)))
            found = folder.read(KEY)
        else:
            if damage == "missing":
                file.unlink()
            else:
                file.write_bytes(b"y" + data[1:])
            found = folder.map_output(KEY, 0, large(data))
        assert isinstance(found, str)
        assert "removed" in found
        assert not path.exists()
        assert not file.exists()


def test_the_oldest_goes_and_what_was_just_used_stays(folder: Folder) -> None:
    data = os.urandom(100_000)
    for number in range(6):
        key = f"{number}{number}" + "0" * 30
        folder.write(entry(key, large(data)), {0: [data]})
        for path in Path(folder.path, "results").rglob(f"{key}*"):
            os.utime(path, (0, 1000.0 + number))
    assert folder.read("00" + "0" * 30) is not None  # used now
    gone, left = folder.evict(350_000)
    assert (gone, left < 350_000) == (3, True)
    assert sorted(one.key[:2] for one in folder.kept()) == ["00", "44", "55"]
    assert folder.evict(0)[0] == 2
    assert folder.evict(0, fresh_s=0)[0] == 1


def test_what_was_begun_long_ago_goes(folder: Folder) -> None:
    folder.write(entry(), {})
    old, new = Path(folder.path, "parts", "old"), Path(folder.path, "parts", "new")
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (0, time.time() - 200_000))
    folder.evict()
    assert not old.exists()
    assert new.exists()


def test_a_process_that_is_killed_leaves_whole_results_only(folder: Folder) -> None:
    program = (
        "import os, sys, signal\n"
        "sys.path.insert(0, '.')\n"
        "from rain.client.reuse.folder import Folder\n"
        "from tests.unit.client.reuse.test_entries import entry, large, KEY\n"
        "data = os.urandom(200_000)\n"
        "def pieces():\n"
        "    yield data[:100_000]\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Folder({folder.path!r}).write(entry(KEY, large(data)), {{0: pieces()}})\n"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert killed.returncode == -9, killed.stderr
    assert folder.read(KEY) is None
    assert folder.kept() == []
    assert len(list(Path(folder.path, "parts").iterdir())) == 1


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
def test_a_folder_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(RainException, match=f"open to other users .*chmod 700 {tmp_path}"):
        Folder(str(tmp_path))


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(RainException, match="belongs to another user"):
        Folder(str(tmp_path))


def test_a_folder_with_something_else_is_not_touched(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RainException, match="holds something else than results"):
        Folder(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_of_another_format_is_refused_by_name(folder: Folder) -> None:
    Path(folder.path, "format").write_text("rain results, format 9\n")
    with pytest.raises(RainException, match=r"format 9.*this Rain writes 2"):
        Folder(folder.path)


@pytest.mark.parametrize("local", [True, False])
def test_a_file_that_another_host_may_remove_is_copied(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, local: bool
) -> None:
    monkeypatch.setattr(file_systems, "_kind", lambda file: 0xEF53 if local else 0x6969)  # ext4, NFS
    data = os.urandom(100_000)
    folder.write(entry(KEY, large(data)), {0: [data]})
    reader = folder.map_output(KEY, 0, large(data))
    assert not isinstance(reader, str)
    with open("/proc/self/maps") as maps:
        assert (KEY in maps.read()) is local
    assert (reader.size, bytes(reader.buffer()), reader.read(5, 3)) == (len(data), data, data[5:8])
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    again = folder.map_output(KEY, 0, large(data))
    if not local:
        assert again == "its result cannot be read: No space left on device"
    assert isinstance(folder.read(KEY), Entry), "nothing was removed because this host has no room"


def full() -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- why a result was not there ------------------------------------------------------------------------


def code(digest: str = "1", line: str = "return x") -> Code:
    return Code("m:f", "f", [Part("f", digest, 10, "", f"def f(x):\n    # about\n    {line}\n")])


def call(of: Code, **other: Any) -> Call:
    fields: dict[str, Any] = {
        "interpreter": "cpython 3.11", "libraries": {"numpy": "2.1"}, "arguments": {"x": "1"}, "inputs": {},
        "options": {},
    }  # fmt: skip
    return Call(of.digest, **{**fields, **other})


def test_what_was_forgotten_is_not_said_to_be_new() -> None:
    history = History("m:f")
    calls = [call(code(), arguments={"x": str(number)}) for number in range(CALLS_MAX + 1)]
    for number, one in enumerate(calls):
        told = why(history, code(), one.key("m:f"), one, "FOLDER")
        if number:
            assert told.startswith("computed: no" if number >= CALLS_MAX else "computed for the first time"), number
        history.note(code(), [Noted(one.key("m:f"), one)])
    assert why(history, code(), calls[0].key("m:f"), calls[0], "FOLDER") == (
        "computed: no result with this x is in FOLDER"
    )


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (call(code()), "recomputed because its result is not in FOLDER any more"),
        (call(code(), interpreter="cpython 3.12"), "recomputed because Python is cpython 3.12, before: cpython 3.11"),
        (call(code(), libraries={"numpy": "2.2"}), "recomputed because numpy is 2.2, before: 2.1"),
        (call(code(), arguments={"x": "2"}), "computed for the first time with this x"),
        (call(code(), options={"environment variable A": "1"}), "recomputed because environment variable A is new"),
    ],
)
def test_why_it_is_computed(now: Call, told: str) -> None:
    history = History("m:f")
    before = call(code())
    history.note(code(), [Noted(before.key("m:f"), before)])
    assert why(history, code(), now.key("m:f"), now, "FOLDER") == told


def test_the_line_that_changed_is_named() -> None:
    history = History("m:f")
    before = call(code())
    history.note(code(), [Noted(before.key("m:f"), before)])
    new = code("2", "return x + 1")
    assert why(history, new, "key", call(new), "FOLDER") == (
        "recomputed because line 12 of f changed (return x + 1, before: return x)"
    )
    assert why(None, new, "key", call(new), "FOLDER").startswith("computed for the first time: no result of f is in")


def test_inputs_that_are_made_anew_say_why() -> None:
    history = History("m:f")
    before = call(code(), inputs={"a": "1", "b": "1", "c": "1"})
    history.note(code(), [Noted(before.key("m:f"), before)])
    now = call(code(), inputs={"a": "2", "b": "2", "c": "3"})
    origins = {"a": "g was recomputed because …", "b": "g was recomputed because …"}
    assert why(history, code(), "key", now, "FOLDER", origins) == (
        "recomputed because inputs a and 1 more are made anew: g was recomputed because …; input c is another one"
    )


def test_a_history_is_bounded_and_survives(folder: Folder) -> None:
    history = History("m:f")
    for number in range(3 * CALLS_MAX):
        one = call(code(str(number // 50)), arguments={"x": str(number)})
        history.note(code(str(number // 50)), [Noted(one.key("m:f"), one)])
    assert len(history.calls) == CALLS_MAX
    assert len(history.codes) == 4
    folder.remember(history)
    assert folder.history("m:f") == history
    Path(folder.path, "functions", digest(["m:f"])).write_bytes(b"torn")
    assert folder.history("m:f") is None
