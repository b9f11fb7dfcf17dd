"""Builtin tasks, run over a real store."""

from __future__ import annotations

import errno
import os
import pathlib
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import xxhash

from rain.common import task_configs
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX, MIB
from rain.common.location import Inline, LocalFile, SameAs
from rain.common.protocol.messages import OutputResult, TaskAssignment, TaskResult
from rain.common.spec import ObjectInfo, ObjectSpec, TaskSpec, TaskSpecInput
from rain.governor.core.effects import Known
from rain.governor.pools.builtin_tasks import run_builtin
from rain.governor.store import Store
from rain.objects.files import inline
from rain.objects.held import Held
from tests.support.waiting import GUARD_S

BIG = bytes(range(256)) * (INLINE_BYTES_MAX // 256 + 1)


class Bench:
    """Objects in a store, and tasks over them."""

    def __init__(self, root: pathlib.Path, store: Store) -> None:
        self.root = root
        self.store = store
        self.cancelled = threading.Event()
        self._number = 0

    def _known(self, data_type: str, size: int, **options: Any) -> Known:
        self._number += 1
        user = options.pop("user", {})
        dynamic = options.pop("dynamic", None)
        spec = ObjectSpec(ID(1, self._number), data_type=data_type, **options)
        return Known(spec, ObjectInfo(size=size, content_type=dynamic, user=user))

    def blob(self, data: bytes, **options: Any) -> Known:
        known = self._known("blob", len(data), **options)
        self.store.put_bytes(known.spec.id, inline(data))
        return known

    def directory(self, files: dict[str, bytes | None], **options: Any) -> Known:
        """None makes a folder; bytes that begin with ``->`` a link."""
        known = self._known("dir", sum(len(data) for data in files.values() if data), **options)
        path = pathlib.Path(self.store.intake().new_path())
        make_tree(path, files)
        self.store.take(known.spec.id, ref(path))
        return known

    def run(self, task_type: str, config: Any, *inputs: Known, outputs: str | None = "blob") -> TaskResult:
        self._number += 1
        made = [] if outputs is None else [ObjectSpec(ID(1, self._number + 1000), data_type=outputs)]
        spec = TaskSpec(
            ID(1, self._number),
            task_type,
            config,
            [TaskSpecInput(known.spec.id) for known in inputs],
            [output.id for output in made],
        )
        held = [self.store.get(known.spec.id) for known in inputs]
        return run_builtin(TaskAssignment(spec, 2, made), held, inputs, self.store, self.cancelled)

    def output(self, *arguments: Any, **options: Any) -> OutputResult:
        result = self.run(*arguments, **options)
        assert result.error is None, result.error
        assert result.attempt == result.info.attempts == 2
        assert result.info.duration >= 0
        (output,) = result.outputs
        return output

    def take(self, output: OutputResult) -> Held:
        """What the store holds once it has adopted the output."""
        self.store.put(output.id, output.location)
        held = self.store.get(output.id)
        assert held.size == output.info.size
        return held

    def bytes_of(self, *arguments: Any, **options: Any) -> bytes:
        place = self.take(self.output(*arguments, **options)).location
        data = place.data if isinstance(place, Inline) else pathlib.Path(place.path).read_bytes()
        assert place.checksum in (None, xxhash.xxh3_64_intdigest(data))
        return data

    def tree_of(self, *arguments: Any, **options: Any) -> dict[str, bytes | None]:
        held = self.take(self.output(*arguments, outputs="dir", **options))
        return read_tree(pathlib.Path(held.location.path))

    def error(self, *arguments: Any, kind: str = "rain", **options: Any) -> str:
        result = self.run(*arguments, **options)
        assert result.error is not None
        assert result.error.kind == kind
        assert result.info.error == result.error.message
        assert result.outputs == []
        assert os.listdir(self.store.incoming) == os.listdir(self.store.incoming_disk) == []
        return result.error.message


def make_tree(path: pathlib.Path, files: dict[str, bytes | None]) -> None:
    path.mkdir()
    for name, data in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            place.mkdir()
        elif data.startswith(b"->"):
            place.symlink_to(data[2:].decode())
        else:
            place.write_bytes(data)


def read_tree(path: pathlib.Path) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = {}
    for place in sorted(path.rglob("*")):
        name = str(place.relative_to(path))
        if place.is_symlink():
            found[name] = b"->" + os.readlink(place).encode()
        else:
            found[name] = None if place.is_dir() else place.read_bytes()
    return found


def ref(path: pathlib.Path) -> LocalFile:
    seen = path.stat()
    return LocalFile(str(path), seen.st_ino, seen.st_size, seen.st_mtime_ns)


@pytest.fixture(params=["memory", "disk"])
def bench(tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[Bench]:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    store = Store(str(work_dir), memory_bytes_max=None if request.param == "memory" else 0)
    yield Bench(tmp_path, store)
    store.close()


# -- concat ------------------------------------------------------------------------------------------------


def test_concat(bench: Bench) -> None:
    assert bench.bytes_of(task_configs.CONCAT, None, bench.blob(b"Hello "), bench.blob(b"world!")) == b"Hello world!"
    assert bench.bytes_of(task_configs.CONCAT, None) == b""
    big = bench.blob(BIG)
    assert bench.bytes_of(task_configs.CONCAT, None, big, bench.blob(b"-"), big) == BIG + b"-" + BIG


def test_concat_of_one_copies_nothing(bench: Bench) -> None:
    big = bench.blob(BIG, content_type="text")
    output = bench.output(task_configs.CONCAT, None, bench.blob(b""), big)
    assert output.location == SameAs(big.spec.id)
    assert output.info == ObjectInfo(size=len(BIG))


def test_concat_refuses_directories(bench: Bench) -> None:
    tree = bench.directory({"a": b"1"}, label="notes")
    message = bench.error(task_configs.CONCAT, None, bench.blob(b"x"), tree)
    assert message == "Concat: input 1 ('notes') is a directory; only blobs can be concatenated"


def test_memory_stays_small(bench: Bench) -> None:
    path = bench.root / "large"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
    large = bench.output(task_configs.LOAD, [str(path)])
    bench.take(large)
    known = Known(ObjectSpec(large.id), large.info)
    tracemalloc.start()
    try:
        assert bench.take(bench.output(task_configs.CONCAT, None, known, known)).size == 128 * MIB
        bench.output(task_configs.STORE, [str(bench.root / "copy")], known)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


# -- sleep -------------------------------------------------------------------------------------------------


def test_sleep_passes_its_input_through(bench: Bench) -> None:
    blob = bench.blob(b"x", content_type="json", user={"a": 1})
    output = bench.output(task_configs.SLEEP, [0.01], blob)
    assert output.location == SameAs(blob.spec.id)
    assert output.info == ObjectInfo(size=1, content_type="json", user={"a": 1})
    dynamic = bench.blob(b"x", content_type="text", dynamic="text-latin1")
    assert bench.output(task_configs.SLEEP, [0], dynamic).info.content_type == "text-latin1"
    assert bench.tree_of(task_configs.SLEEP, [0], bench.directory({"a": b"1"})) == {"a": b"1"}
    assert "declared a directory, but it is a blob" in bench.error(task_configs.SLEEP, [0], blob, outputs="dir")


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 1e300])
def test_sleep_that_cannot_be(bench: Bench, seconds: float) -> None:
    assert "cannot sleep" in bench.error(task_configs.SLEEP, [seconds], bench.blob(b""))


def test_cancelled_sleep(bench: Bench) -> None:
    entered = threading.Event()
    wait = bench.cancelled.wait
    bench.cancelled.wait = lambda seconds: (entered.set(), wait(seconds))[1]
    results: list[TaskResult] = []
    blob = bench.blob(b"")
    thread = threading.Thread(target=lambda: results.append(bench.run(task_configs.SLEEP, [1000], blob)))
    thread.start()
    assert entered.wait(GUARD_S)
    bench.cancelled.set()
    thread.join(GUARD_S)
    assert results[0].error.kind == "cancelled"


# -- load --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"few", BIG])
def test_load(bench: Bench, data: bytes) -> None:
    path = bench.root / "file"
    path.write_bytes(data)
    assert bench.bytes_of(task_configs.LOAD, [str(path)]) == data
    path.write_bytes(b"changed")
    assert path.read_bytes() == b"changed"


def test_load_follows_links(bench: Bench) -> None:
    (bench.root / "file").write_bytes(b"x")
    (bench.root / "link").symlink_to("file")
    assert bench.bytes_of(task_configs.LOAD, [str(bench.root / "link")]) == b"x"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("{root}/missing", "Load: there is no {root}/missing on the governor"),
        ("relative", "Load: the path 'relative' must be absolute: it is a path on the governor"),
        ("", "must be absolute"),
        ("{root}/work", "is a directory; use LoadDir"),
        ("{root}/pipe", "is not a file"),
        ("/dev/zero", "is not a file"),
        ("{root}/file/x", "Load: {root}/file/x: Not a directory"),
        ("/a\0b", "zero byte"),
    ],
)
def test_loads_that_cannot_be(bench: Bench, path: str, text: str) -> None:
    os.mkfifo(bench.root / "pipe")
    (bench.root / "file").touch()
    root = str(bench.root)
    assert text.format(root=root) in bench.error(task_configs.LOAD, [path.format(root=root)])


def test_cancelled_load_leaves_nothing(bench: Bench) -> None:
    path = bench.root / "file"
    path.write_bytes(BIG)
    bench.cancelled.set()
    bench.error(task_configs.LOAD, [str(path)], kind="cancelled")
    make_tree(bench.root / "tree", {"a": b"1"})
    bench.error(task_configs.LOAD_DIR, [str(bench.root / "tree")], kind="cancelled", outputs="dir")


TREE = {"a": b"1", "empty": None, "sub": None, "sub/b": BIG, "sub/up": b"->../a"}


def test_load_dir(bench: Bench) -> None:
    make_tree(bench.root / "tree", TREE)
    (bench.root / "tree" / "a").chmod(0o700)
    output = bench.output(task_configs.LOAD_DIR, [str(bench.root / "tree")], outputs="dir")
    held = bench.take(output)
    assert read_tree(pathlib.Path(held.location.path)) == TREE
    assert output.info.size == len(BIG) + 1
    modes = {name: os.stat(f"{held.location.path}/{name}").st_mode & 0o777 for name in ("a", "sub/b")}
    assert modes == {"a": 0o555, "sub/b": 0o444}


def test_load_dirs_that_cannot_be(bench: Bench) -> None:
    root = bench.root
    (root / "file").touch()
    make_tree(root / "out", {"l": b"->../file"})
    make_tree(root / "pipes", {"a": b"1"})
    os.mkfifo(root / "pipes" / "p")
    for path, text in [
        ("missing", f"LoadDir: there is no {root}/missing on the governor"),
        ("file", "is not a directory; use Load"),
        ("out", "leads outside"),
        ("pipes", "neither a file, a folder nor a link"),
    ]:
        assert text in bench.error(task_configs.LOAD_DIR, [str(root / path)], outputs="dir")
    assert "must be absolute" in bench.error(task_configs.LOAD_DIR, ["x"], outputs="dir")
    for around in (root, "/"):
        assert "the governor's own files are in it" in bench.error(task_configs.LOAD_DIR, [str(around)], outputs="dir")
    make_tree(root / "tree", {"a": b"1"})
    assert "declared a blob" in bench.error(task_configs.LOAD_DIR, [str(root / "tree")])


# -- store -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"few", BIG])
def test_store(bench: Bench, data: bytes) -> None:
    path = bench.root / "file"
    path.write_bytes(b"old")
    old = path.open("rb")
    result = bench.run(task_configs.STORE, [str(path)], bench.blob(data), outputs=None)
    assert result.error is None
    assert result.outputs == []
    assert path.read_bytes() == data
    assert old.read() == b"old"  # replaced, not written over
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert sorted(os.listdir(bench.root)) == ["file", "work"]
    path.write_bytes(b"mine")


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_store_under_a_name_as_long_as_file_systems_allow(bench: Bench) -> None:
    path = bench.root / ("\N{CJK UNIFIED IDEOGRAPH-6C34}" * 85)
    bench.run(task_configs.STORE, [str(path)], bench.blob(b"few"), outputs=None)
    assert path.read_bytes() == b"few"


def test_store_directory(bench: Bench) -> None:
    path = bench.root / "tree"
    tree = bench.directory(TREE)
    for _ in range(2):  # a task may run twice
        assert bench.run(task_configs.STORE, [f"{path}/"], tree, outputs=None).error is None
        assert read_tree(path) == TREE
    (path / "a").write_bytes(b"2")
    message = bench.error(task_configs.STORE, [str(path)], tree, outputs=None)
    assert "exists already on the governor with other content" in message
    assert (path / "a").read_bytes() == b"2"
    assert sorted(os.listdir(bench.root)) == ["tree", "work"]


def test_store_into_an_empty_directory(bench: Bench) -> None:
    path = bench.root / "tree"
    path.mkdir()
    assert bench.run(task_configs.STORE, [str(path)], bench.directory(TREE), outputs=None).error is None
    assert read_tree(path) == TREE


def test_store_passes_its_input_through(bench: Bench) -> None:
    blob = bench.blob(b"x", content_type="text")
    output = bench.output(task_configs.STORE, [str(bench.root / "x")], blob)
    assert (output.location, output.info.content_type) == (SameAs(blob.spec.id), "text")


def test_stores_that_cannot_be(bench: Bench) -> None:
    root = bench.root
    (root / "file").touch()
    blob, tree = bench.blob(b"x"), bench.directory({"a": b"1"})
    for path, known, text in [
        ("relative", blob, "must be absolute"),
        (f"{root}/no/where", blob, f"Store: the folder {root}/no does not exist on the governor"),
        (f"{root}/work", blob, "is a directory on the governor and is not replaced by a file"),
        ("/", blob, "not the name of a new file"),
        (f"{root}/work/..", blob, "not the name of a new file"),
        (f"{root}/file", tree, "exists already"),
        (f"{root}/file/x", blob, f"the folder {root}/file does not exist"),
    ]:
        assert text in bench.error(task_configs.STORE, [path], known, outputs=None)
    assert sorted(os.listdir(root)) == ["file", "work"]


def test_cancelled_store_leaves_nothing(bench: Bench) -> None:
    bench.cancelled.set()
    bench.error(task_configs.STORE, [str(bench.root / "x")], bench.blob(BIG), kind="cancelled", outputs=None)
    bench.error(task_configs.STORE, [str(bench.root / "x")], bench.directory(TREE), kind="cancelled", outputs=None)
    assert os.listdir(bench.root) == ["work"]


# -- directories -------------------------------------------------------------------------------------------


def test_make_directory(bench: Bench) -> None:
    tree, few, big = bench.directory(TREE), bench.blob(b"few"), bench.blob(BIG)
    made = bench.tree_of(task_configs.MAKE_DIRECTORY, [["x/y/few", "x/big", "copy", "./z//n"]], few, big, tree, few)
    copy = {f"copy/{name}": data for name, data in TREE.items()}
    folders = {"copy": None, "x": None, "x/y": None, "z": None}
    assert made == {**copy, **folders, "x/y/few": b"few", "x/big": BIG, "z/n": b"few"}
    assert bench.tree_of(task_configs.MAKE_DIRECTORY, [[]]) == {}


def test_made_directory_shares_the_files(bench: Bench) -> None:
    tree, big = bench.directory({"b": BIG}), bench.blob(BIG)
    held = bench.take(bench.output(task_configs.MAKE_DIRECTORY, [["t", "f"]], tree, big, outputs="dir"))
    assert held.size == 2 * len(BIG)
    for path, known, name in [("t/b", tree, "/b"), ("f", big, "")]:
        source = os.stat(bench.store.get(known.spec.id).location.path + name)
        assert os.stat(f"{held.location.path}/{path}").st_ino == source.st_ino


@pytest.mark.parametrize("base", ["", "."])
def test_later_entries_win(bench: Bench, base: str) -> None:
    tree = bench.directory({"a": b"old", "d/x": b"1", "d/y": b"2", "l": b"->d"})
    over = bench.directory({"y": b"3", "x/z": b"4"})
    new = bench.blob(b"new")
    made = bench.tree_of(
        task_configs.MAKE_DIRECTORY, [[base, "a", "d", "l/inner", "d/x/z/deep"]], tree, new, over, new, new
    )
    assert made == {
        "a": b"new",
        "d": None,
        "d/x": None,
        "d/x/z": None,
        "d/x/z/deep": b"new",
        "d/y": b"3",
        "l": None,
        "l/inner": b"new",
    }
    replaced = bench.output(task_configs.MAKE_DIRECTORY, [["", "d"]], tree, new, outputs="dir")
    assert replaced.info.size == len(b"old" + b"new")


@pytest.mark.parametrize(
    ("paths", "text"),
    [
        (["/abs"], "must be relative"),
        (["../x"], "leads out of the directory"),
        (["a/../../x"], "leads out of the directory"),
        ([""], "is a blob and needs a name"),
        (["a\0b"], "zero byte"),
        ([], "0 paths for 1 inputs"),
    ],
)
def test_made_directories_that_cannot_be(bench: Bench, paths: list[str], text: str) -> None:
    assert text in bench.error(task_configs.MAKE_DIRECTORY, [paths], bench.blob(b"x"), outputs="dir")


@pytest.mark.parametrize(("path", "data"), [("a", b"1"), ("sub/b", BIG), ("./sub//b", BIG), ("sub/up", b"1")])
def test_slice_of_a_file(bench: Bench, path: str, data: bytes) -> None:
    assert bench.bytes_of(task_configs.SLICE_DIRECTORY, [path], bench.directory(TREE)) == data


def test_slice_of_a_large_file_is_shared(bench: Bench) -> None:
    tree = bench.directory(TREE)
    held = bench.take(bench.output(task_configs.SLICE_DIRECTORY, ["sub/b"], tree))
    assert held.location.inode == os.stat(bench.store.get(tree.spec.id).location.path + "/sub/b").st_ino


def test_slice_of_a_directory(bench: Bench) -> None:
    tree = bench.directory({"s/x": b"1", "s/t/y": b"2", "s/l": b"->t/y", "z": b"3"})
    assert bench.tree_of(task_configs.SLICE_DIRECTORY, ["s/"], tree) == {
        "x": b"1",
        "t": None,
        "t/y": b"2",
        "l": b"->t/y",
    }
    assert bench.tree_of(task_configs.SLICE_DIRECTORY, ["s/t"], tree) == {"y": b"2"}
    assert bench.output(task_configs.SLICE_DIRECTORY, ["/"[:0]], tree, outputs="dir").location == SameAs(tree.spec.id)
    assert bench.output(task_configs.SLICE_DIRECTORY, ["./"], tree, outputs="dir").location == SameAs(tree.spec.id)


@pytest.mark.parametrize(
    ("path", "outputs", "text"),
    [
        ("missing", "blob", "there is no 'missing' in the directory; it holds 'a', 'empty', 'sub'"),
        ("sub/missing", "blob", "there is no 'sub/missing' in the directory; 'sub' holds 'b', 'up'"),
        ("a/", "dir", "'a/' is not a directory"),
        ("a", "dir", "'a' is not a directory"),
        ("sub", "blob", "'sub' is a directory; end the path with '/' to have it"),
        ("", "blob", "is a directory"),
        ("../x", "blob", "leads out of the directory"),
        ("sub/../../x", "blob", "leads out of the directory"),
        ("/etc/passwd", "blob", "must be relative"),
        ("sub/", "dir", "leads outside"),
    ],
)
def test_slices_that_cannot_be(bench: Bench, path: str, outputs: str, text: str) -> None:
    assert text in bench.error(task_configs.SLICE_DIRECTORY, [path], bench.directory(TREE), outputs=outputs)


def test_slice_of_a_blob(bench: Bench) -> None:
    assert "is not a directory" in bench.error(task_configs.SLICE_DIRECTORY, ["a"], bench.blob(b"x"))


def test_slice_does_not_leave_by_a_link(bench: Bench) -> None:
    tree = bench.directory({"a": b"1"})
    # Links that lead outside never get into the store; should one be there all the same, it is not followed.
    os.symlink("/etc", bench.store.get(tree.spec.id).location.path + "/etc")
    assert "leads out of the directory" in bench.error(task_configs.SLICE_DIRECTORY, ["etc/passwd"], tree)


# -- objects that the store moves, bad configs, full disks ---------------------------------------------------


def test_objects_that_were_spilled_meanwhile(tmp_path: pathlib.Path) -> None:
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    store = Store(str(work_dir), memory_bytes_max=32 * MIB)
    try:
        bench = Bench(tmp_path, store)
        tree, big = bench.directory({"b": BIG}), bench.blob(BIG)
        held = [store.get(known.spec.id) for known in (tree, big)]
        for number in range(2):
            path = pathlib.Path(store.incoming, f"from-executor-{number}")
            path.write_bytes(bytes(31 * MIB))
            store.take(ID(1, 600 + number), ref(path))
        store.wait_spilled()
        assert os.path.islink(held[1].location.path)
        outputs = [ObjectSpec(ID(1, 500), data_type="dir")]
        spec = TaskSpec(ID(1, 499), task_configs.MAKE_DIRECTORY, [["t", "f"]])
        result = run_builtin(TaskAssignment(spec, 1, outputs), held, [tree, big], store, bench.cancelled)
        assert result.error is None
        path = pathlib.Path(bench.take(result.outputs[0]).location.path)
        assert read_tree(path) == {"t": None, "t/b": BIG, "f": BIG}
    finally:
        store.close()


def test_configs_that_do_not_fit(bench: Bench) -> None:
    assert "not a PathConfig" in bench.error(task_configs.LOAD, {"path": 1})
    assert "not a SleepConfig" in bench.error(task_configs.SLEEP, None, bench.blob(b""))
    assert "takes one input and has 0" in bench.error(task_configs.SLICE_DIRECTORY, ["a"])
    assert "makes one output and declares 0" in bench.error(task_configs.CONCAT, None, outputs=None)


def test_full_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    (bench.root / "file").write_bytes(BIG)
    blob = bench.blob(BIG)

    def full(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    for task_type, path in [(task_configs.LOAD, bench.root / "file"), (task_configs.STORE, bench.root / "new")]:
        message = bench.error(task_type, [str(path)], *([blob] if task_type == task_configs.STORE else []))
        assert "no space left to write" in message
        assert "bytes are free" in message
    assert not (bench.root / "new").exists()


def test_start_time_and_duration(bench: Bench) -> None:
    before = time.time()
    result = bench.run(task_configs.CONCAT, None)
    assert before <= result.info.start_time <= time.time()
