"""Programs as tasks: each test runs them in a process of its own, as an executor would."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pickle
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

import pytest
import xxhash

from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX
from rain.common.location import Inline, LocalFile, SameAs
from rain.common.protocol.messages import ExecutorInput, ExecutorSetup, ExecutorTask, OutputResult, TaskResult
from rain.common.spec import ObjectInfo, ObjectSpec, TaskOptions, TaskSpec
from rain.common.task_configs import EXECUTE, ExecuteConfig, MappedInput, MappedOutput
from rain.executor.programs.program import ProgramRunner
from rain.executor.readonly import ReadOnly
from rain.objects.files import local_file
from tests.privileges import MAY_MOUNT
from tests.support.commands import write_command

BIG = bytes(range(256)) * (INLINE_BYTES_MAX // 256 + 1)
WRITE_TO_INPUT = "import sys\ntry:\n open(sys.argv[1],'w')\nexcept Exception as error:\n print(type(error).__name__)"


class Executor:
    """Runs tasks in a child process that looks like an executor."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.store = root / "store" / "objects"
        for folder in ("work", "store/objects", "store/incoming", "spill"):
            (root / folder).mkdir(parents=True)
        self.setup = ExecutorSetup(
            7, 1, "host:1", f"{root}/work", f"{root}/store/incoming", f"{root}/spill", 1 << 30, None, None, {}, {}
        )
        self.before: Callable[[ProgramRunner], Any] = lambda runner: None
        self.pid = 0
        self._number = 0

    def blob(self, data: bytes, *, stored: bool | None = None, label: str = "x") -> ExecutorInput:
        self._number += 1
        spec, info = ObjectSpec(ID(1, self._number), label), ObjectInfo(size=len(data))
        if stored is None:
            stored = len(data) > INLINE_BYTES_MAX
        if not stored:
            return ExecutorInput(spec, info, label, Inline(data))
        path = self.store / f"{self._number}"
        path.write_bytes(data)
        path.chmod(0o444)
        return ExecutorInput(spec, info, label, local_file(str(path)))

    def directory(self, files: dict[str, bytes]) -> ExecutorInput:
        self._number += 1
        root = self.store / f"{self._number}"
        root.mkdir()
        for name, data in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir()
                continue
            path.write_bytes(data)
            path.chmod(0o444)
        spec = ObjectSpec(ID(1, self._number), "dir", data_type="dir")
        return ExecutorInput(spec, ObjectInfo(size=sum(map(len, files.values()))), "dir", local_file(str(root)))

    def start(self, tasks: list[ExecutorTask]) -> int:
        """Start the child; returns where its pickled results can be read."""
        read, write = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(read)
                os.setpgid(0, 0)
                with open(write, "wb") as pipe:
                    pickle.dump(self._run(tasks), pipe)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(write)
        return read

    def _run(self, tasks: list[ExecutorTask]) -> list[TaskResult]:
        runner = ProgramRunner(self.setup, stdout=os.memfd_create("stdout"), stderr=os.memfd_create("stderr"))
        self.before(runner)
        results = []
        for task in tasks:
            os.chdir(tempfile.mkdtemp(dir=self.setup.work_dir))
            results.append(runner.run(task))
        return results

    def finish(self, pipe: int) -> list[TaskResult]:
        with open(pipe, "rb") as file:
            data = file.read()
        os.waitpid(self.pid, 0)
        return pickle.loads(data)

    def run(self, *tasks: ExecutorTask) -> list[TaskResult]:
        return self.finish(self.start(list(tasks)))

    def task(self, *args: str, **options: Any) -> ExecutorTask:
        """`inputs` and `outputs` are pairs (path, value); outputs' values are data types."""
        self._number += 1
        values, specs, mapped_in, mapped_out = [], [], [], []
        for entry in options.pop("inputs", []):
            mapped_in.append(MappedInput(entry[0], len(values), *entry[2:]))
            values.append(entry[1])
        for path, data_type in options.pop("outputs", []):
            mapped_out.append(MappedOutput(path, len(specs)))
            specs.append(ObjectSpec(ID(2, len(specs)), path, data_type=data_type))
        if "stdin" in options:
            values.append(options["stdin"])
            options["stdin"] = len(values) - 1
        for stream in ("stdout", "stderr"):
            if options.get(stream) is True:
                options[stream] = len(specs)
                specs.append(ObjectSpec(ID(2, len(specs)), stream))
        env = options.pop("env", None)
        config = ExecuteConfig(list(args), inputs=mapped_in, outputs=mapped_out, **options)
        spec = TaskSpec(ID(1, self._number), EXECUTE, config, options=TaskOptions(env=env) if env else None)
        return ExecutorTask(self._number, 1, spec, values, specs)

    def result(self, *args: str, **options: Any) -> TaskResult:
        (result,) = self.run(self.task(*args, **options))
        return result

    def error(self, *args: str, kind: str = "rain", **options: Any) -> str:
        result = self.result(*args, **options)
        assert result.error is not None
        assert result.error.kind == kind
        assert not os.listdir(self.setup.store_dir)
        return result.error.message


@pytest.fixture
def executor(tmp_path: pathlib.Path) -> Executor:
    return Executor(tmp_path)


def data_of(result: TaskResult) -> list[Any]:
    assert result.error is None, result.error
    return [output.location.data for output in result.outputs]


# -- what comes in and goes out --------------------------------------------------------------------------


def test_arguments_input_and_stdout(executor: Executor) -> None:
    text = executor.blob(b"rain\nsun\nrain\n")
    result = executor.result("grep", "-c", "rain", "text", inputs=[("text", text)], stdout=True)
    assert data_of(result) == [b"2\n"]
    assert result.outputs[0].location.checksum == xxhash.xxh3_64_intdigest(b"2\n")
    assert result.outputs[0].info.size == 2
    assert result.info.duration > 0
    assert result.info.governor == "host:1"


def bytes_of(output: OutputResult) -> bytes:
    location = output.location
    assert not isinstance(location, SameAs)
    return location.data if isinstance(location, Inline) else pathlib.Path(location.path).read_bytes()


@pytest.mark.parametrize("data", [b"", b"few", BIG])
def test_stdin_to_stdout(executor: Executor, data: bytes) -> None:
    result = executor.result("cat", stdin=executor.blob(data), stdout=True)
    (output,) = result.outputs
    assert bytes_of(output) == data
    assert isinstance(output.location, Inline) == (len(data) <= INLINE_BYTES_MAX)
    assert output.location.checksum == xxhash.xxh3_64_intdigest(data)


def test_no_stdin_is_empty(executor: Executor) -> None:
    assert data_of(executor.result("cat", stdout=True)) == [b""]


def test_large_output_is_moved_to_the_store(executor: Executor) -> None:
    result = executor.result("cp", "in", "out", inputs=[("in", executor.blob(BIG))], outputs=[("out", "blob")])
    file = result.outputs[0].location
    seen = os.stat(file.path)
    assert os.path.dirname(file.path) == executor.setup.store_dir
    assert (file.inode, file.size, file.mtime_ns) == (seen.st_ino, len(BIG), seen.st_mtime_ns)
    assert seen.st_mode & 0o777 == 0o444
    assert result.outputs[0].location.checksum == xxhash.xxh3_64_intdigest(BIG)
    assert not list((executor.root / "work").rglob("out"))


def test_large_output_from_another_file_system_is_copied(executor: Executor) -> None:
    shared_memory = pathlib.Path("/dev/shm")
    if os.stat(executor.root).st_dev == shared_memory.stat().st_dev:
        pytest.skip("temporary files lie in memory: there is no second file system")
    folder = shared_memory / f"rain-test-{os.getpid()}"
    folder.mkdir()
    try:
        executor.setup.store_dir = executor.setup.spill_dir = str(folder)
        made = "head -c 100000 /dev/zero > out; mkdir d; cp out d/a; ln -s a d/b"
        result = executor.result(made, shell=True, outputs=[("out", "blob"), ("d", "dir")])
        assert result.error is None
        blob, tree = result.outputs
        assert pathlib.Path(blob.location.path).read_bytes() == bytes(100000)
        assert tree.info.size == 100000
        assert os.readlink(f"{tree.location.path}/b") == "a"
        assert os.stat(f"{tree.location.path}/a").st_mode & 0o777 == 0o444
    finally:
        executor.run(executor.task("rm", "-r", str(folder)))


def test_output_is_not_kept_in_memory_beyond_the_limit(executor: Executor) -> None:
    executor.setup.store_bytes_max = INLINE_BYTES_MAX
    source = executor.directory({"a": BIG})
    # What is two outputs is written a second time.
    outputs = [("x", "blob"), ("x", "blob")]
    result = executor.result("cp d/a x", shell=True, inputs=[("d", source)], outputs=outputs)
    assert result.error is None
    assert os.path.dirname(result.outputs[0].location.path) == executor.setup.spill_dir


def test_outputs_come_in_their_order(executor: Executor) -> None:
    task = executor.task("echo -n out; echo -n err >&2; echo -n file > f", shell=True, outputs=[("f", "blob")])
    config = task.spec.config
    config.stderr, config.stdout, config.outputs = 0, 2, [MappedOutput("f", 1)]
    task.outputs = [ObjectSpec(ID(2, number)) for number in range(3)]
    (result,) = executor.run(task)
    assert data_of(result) == [b"err", b"file", b"out"]
    assert result.stdout == result.stderr == b""


def test_stdout_and_stderr_into_one_output(executor: Executor) -> None:
    task = executor.task("echo a; echo b >&2; echo c", shell=True, stdout=True)
    task.spec.config.stderr = 0
    assert data_of(executor.run(task)[0]) == [b"a\nb\nc\n"]


def test_what_is_written_is_told(executor: Executor) -> None:
    first, second = executor.run(
        executor.task("echo one; echo two >&2", shell=True), executor.task("echo three > /dev/stdout", shell=True)
    )
    assert (first.stdout, first.stderr) == (b"one\n", b"two\n")
    assert (second.stdout, second.stderr) == (b"three\n", b"")


def test_environment(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "1")
    result = executor.result("echo $OUTER $INNER", shell=True, env={"INNER": "2 ä"}, stdout=True)
    assert data_of(result) == ["1 2 ä\n".encode()]


def test_path_of_the_task_is_searched(executor: Executor) -> None:
    tool = executor.root / "bin" / "my-tool"
    tool.parent.mkdir()
    write_command(tool, "#!/bin/sh\necho mine\n")
    assert data_of(executor.result("my-tool", env={"PATH": str(tool.parent)}, stdout=True)) == [b"mine\n"]


def test_program_that_moves(executor: Executor) -> None:
    folders = [executor.root / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    tool = folders[0] / "my-tool"
    write_command(tool, "#!/bin/sh\necho mine\n")
    env = {"PATH": ":".join(map(str, folders)) + ":/usr/bin:/bin"}
    move = executor.task("mv", str(tool), str(folders[1]), env=env)
    results = executor.run(executor.task("my-tool", env=env), move, executor.task("my-tool", env=env))
    assert [result.stdout for result in results] == [b"mine\n", b"", b"mine\n"]


def test_exit_codes(executor: Executor) -> None:
    assert executor.result("exit 3", shell=True, exit_codes=[0, 3]).error is None


def test_ignored_signals_are_not_inherited(executor: Executor) -> None:
    result = executor.result("yes | head -n 1", shell=True, stdout=True)
    assert data_of(result) == [b"y\n"]
    status = executor.result("grep", "SigIgn", "/proc/self/status", stdout=True)
    assert int(data_of(status)[0].split()[1], 16) & 0x7FFFFFFF == 0  # beyond are signals of the C library itself


def close_on_exec() -> None:
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            os.set_inheritable(int(name), False)


def test_no_descriptor_is_inherited(executor: Executor) -> None:
    executor.before = lambda runner: close_on_exec()  # what this process had from its parent
    task = executor.task("ls", "/proc/self/fd", stdin=executor.blob(BIG), stdout=True, stderr=True)
    assert data_of(executor.run(task)[0])[0].split() == [b"0", b"1", b"2", b"3"]  # 3 is ls's own


# -- directories -----------------------------------------------------------------------------------------


def test_directory_and_its_files_are_real(executor: Executor) -> None:
    tree = executor.directory({"a": b"1", "sub/b": BIG, "empty/": b""})
    script = "find in | sort; find in -type d | sort; find in -type f | sort; cat in/a"
    result = executor.result(script, shell=True, inputs=[("in", tree)], stdout=True)
    everything = b"in\nin/a\nin/empty\nin/sub\nin/sub/b\n"
    assert data_of(result) == [everything + b"in\nin/empty\nin/sub\n" + b"in/a\nin/sub/b\n" + b"1"]


def test_inputs_in_folders_and_in_directories(executor: Executor) -> None:
    tree = executor.directory({"a": b"1"})
    inputs = [("deep/er/x", executor.blob(b"2")), (".", tree), ("deep/b", executor.blob(b"3", stored=True))]
    result = executor.result("cat", "a", "deep/er/x", "deep/b", inputs=inputs, stdout=True)
    assert data_of(result) == [b"123"]


def test_writable_copies(executor: Executor) -> None:
    tree, blob, large = executor.directory({"a/b": b"1"}), executor.blob(b"2"), executor.blob(BIG)
    inputs = [("d", tree, True), ("f", blob, True), ("g", large, True)]
    script = "echo -n x >> d/a/b; echo -n y >> f; echo -n z >> g; echo new > d/c; cat d/a/b f"
    result = executor.result(script, shell=True, inputs=inputs, stdout=True, outputs=[("d", "dir"), ("g", "blob")])
    assert result.error is None
    assert result.outputs[2].location.data == b"1x2y"
    assert isinstance(result.outputs[0].location, LocalFile)
    assert sorted(os.listdir(result.outputs[0].location.path)) == ["a", "c"]
    assert pathlib.Path(result.outputs[1].location.path).read_bytes() == BIG + b"z"
    assert pathlib.Path(large.path).read_bytes() == BIG
    assert pathlib.Path(tree.path, "a/b").read_bytes() == b"1"


def test_directory_output(executor: Executor) -> None:
    tree = executor.directory({"a": b"12"})
    script = """
    mkdir -p out/sub/empty; printf 345 > out/sub/f; chmod +x out/sub/f; ln -s f out/sub/inner; ln -s ../in/a out/lent
    cp in/a out/copy; chmod 700 out/sub
    """
    result = executor.result(script, shell=True, inputs=[("in", tree)], outputs=[("out", "dir")])
    assert result.error is None, result.error
    (output,) = result.outputs
    root = pathlib.Path(output.location.path)
    assert os.path.dirname(root) == executor.setup.store_dir
    assert output.location.inode == root.stat().st_ino
    assert output.location.size == output.info.size == 7
    assert (root / "lent").read_bytes() == b"12"
    assert not (root / "lent").is_symlink()
    assert os.readlink(root / "sub" / "inner") == "f"
    assert (root / "sub" / "f").stat().st_mode & 0o777 == 0o555
    assert (root / "copy").stat().st_mode & 0o777 == 0o444
    assert (root / "sub" / "empty").is_dir()


def test_output_that_is_an_input(executor: Executor) -> None:
    tree, blob, small = executor.directory({"a": b"1", "s/b": b"2"}), executor.blob(BIG), executor.blob(b"s")
    inputs = [("d", tree), ("f", blob), ("g", small)]
    outputs = [("d", "dir"), ("f", "blob"), ("d/s/b", "blob"), ("g", "blob"), ("d/s", "dir")]
    result = executor.result("true", inputs=inputs, outputs=outputs)
    assert result.error is None, result.error
    whole, file, inner, few, folder = result.outputs
    assert whole.location == SameAs(tree.spec.id)
    assert few.location == SameAs(small.spec.id) or bytes_of(few) == b"s"
    assert whole.info.size == 2
    assert file.location == SameAs(blob.spec.id)
    assert inner.location.data == b"2"
    assert few.info.size == 1
    assert folder.info.size == 1
    assert pathlib.Path(folder.location.path, "b").read_bytes() == b"2"


@pytest.mark.parametrize("change", ["touch d/new", "rm d/a", "rm d/a; echo 1 > d/a", "rm -r d/s", "mv d/s d/t"])
def test_changed_input_directory_is_a_new_one(executor: Executor, change: str) -> None:
    tree = executor.directory({"a": b"1", "s/b": b"2"})
    result = executor.result(change, shell=True, inputs=[("d", tree)], outputs=[("d", "dir")])
    assert isinstance(result.outputs[0].location, LocalFile)
    assert all(not path.is_symlink() for path in pathlib.Path(result.outputs[0].location.path).rglob("*"))


def test_outputs_inside_each_other(executor: Executor) -> None:
    script = "mkdir -p d/s; head -c 100000 /dev/zero > d/s/big; cp d/s/big top"
    outputs = [(".", "dir"), ("d", "dir"), ("d/s/big", "blob"), ("d/s", "dir"), ("top", "blob"), ("top", "blob")]
    result = executor.result(script, shell=True, outputs=outputs)
    assert result.error is None, result.error
    assert [output.info.size for output in result.outputs] == [200000, 100000, 100000, 100000, 100000, 100000]


def test_output_through_links(executor: Executor) -> None:
    outside = executor.root / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(BIG)
    inputs = [("in", executor.blob(BIG))]
    script = "echo real > a; ln -s a b; ln -s in c"
    result = executor.result(script, shell=True, inputs=inputs, outputs=[("b", "blob"), ("c", "blob")])
    assert result.error is None, result.error
    assert result.outputs[0].location.data == b"real\n"
    assert pathlib.Path(result.outputs[1].location.path).read_bytes() == BIG


@pytest.mark.parametrize(
    ("command", "output", "link"),
    [
        ("ln -s {}/big f", ("f", "blob"), "f"),
        ("ln -s {} o", ("o/big", "blob"), "o"),
        ("ln -s {}/big g; ln -s g f", ("f", "blob"), "f"),
        ("mkdir s; ln -s {} s/o", ("s/o", "dir"), "s/o"),
    ],
)
def test_output_through_links_that_lead_outside(
    executor: Executor, command: str, output: tuple[str, str], link: str
) -> None:
    outside = executor.root / "outside"
    outside.mkdir()
    (outside / "big").write_bytes(BIG)
    mode = (outside / "big").stat().st_mode
    message = executor.error(command.format(outside), shell=True, outputs=[output])
    assert f"the link {link!r} leads to" in message
    assert (outside / "big").stat().st_mode == mode


@pytest.mark.parametrize("size", [10, len(BIG)])
def test_outputs_that_are_hard_links(executor: Executor, size: int) -> None:
    mine = executor.root / "mine"
    mine.mkdir()
    for name in "abc":
        (mine / name).write_bytes(BIG[:size])
        (mine / name).chmod(0o600)
    script = f"ln {mine}/a f; mkdir -p d/s; ln {mine}/b d/b; ln {mine}/b d/s/c; ln f d/s/a; echo own > d/x; ln d/x d/y"
    result = executor.result(script, shell=True, outputs=[("f", "blob"), ("d", "dir")])
    assert result.error is None, result.error
    for name in "abc":
        (mine / name).write_bytes(b"later")  # through the same inode
        assert (mine / name).stat().st_mode & 0o777 == 0o600
    blob, tree = result.outputs
    assert bytes_of(blob) == BIG[:size]
    root = pathlib.Path(tree.location.path)
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == {"b": BIG[:size], "s/c": BIG[:size], "s/a": BIG[:size], "x": b"own\n", "y": b"own\n"}
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in root.rglob("*") if path.is_file())
    assert tree.info.size == 3 * size + 8


def test_hard_links_to_inputs_stay_without_a_copy(executor: Executor) -> None:
    executor.before = lambda runner: setattr(runner.read_only, "needed", False)
    blob, tree = executor.blob(BIG), executor.directory({"s/a": BIG})
    script = f"mkdir d; ln {blob.path} d/f; ln {tree.path}/s/a d/a"
    result = executor.result(script, shell=True, inputs=[("f", blob), ("in", tree)], outputs=[("d", "dir")])
    assert result.error is None, result.error
    root = pathlib.Path(result.outputs[0].location.path)
    assert (root / "f").samefile(blob.path)
    assert (root / "a").samefile(pathlib.Path(tree.path, "s", "a"))


# -- inputs are regular files --


def seen_by_program(executor: Executor, **options: Any) -> tuple[TaskResult, list[str]]:
    """What `find` and `tar` say of a small input, a large one, and a directory; and how many mounts there are."""
    tree = executor.directory({"a": b"1", "s/b": BIG, "s/t/": b""})
    inputs = [("small", executor.blob(b"x")), ("large", executor.blob(BIG)), ("sub/d", tree)]
    script = f"""
    find . -type f | sort; tar cf - . | tar tvf - | grep -c ^-; cat large sub/d/s/b | wc -c
    grep -c " $(pwd -P)/" /proc/self/mountinfo || true; {options.pop("more", "")}
    """
    result = executor.result(script, shell=True, inputs=inputs, stdout=True, **options)
    assert result.error is None, result.error
    return result, result.outputs[-1].location.data.decode().splitlines()


def test_inputs_are_regular_files(executor: Executor) -> None:
    _, lines = seen_by_program(executor)
    assert lines[:6] == ["./large", "./small", "./sub/d/a", "./sub/d/s/b", "4", str(2 * len(BIG))]
    if MAY_MOUNT:
        assert lines[6] == "3"


def test_without_mounts_inputs_are_copies_and_large_ones_links(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rain.executor.programs.program_workspace.PROGRAM_COPY_BYTES_MAX", 100)
    executor.before = lambda runner: setattr(runner.read_only, "needed", False)
    _, lines = seen_by_program(executor)
    assert lines[:4] == ["./small", "./sub/d/a", "2", str(2 * len(BIG))]


def test_directories_in_which_outputs_lie_are_laid_out(executor: Executor) -> None:
    result, lines = seen_by_program(
        executor, more="echo new > sub/d/s/new", outputs=[("sub/d", "dir"), ("large", "blob"), ("sub/d/s/new", "blob")]
    )
    assert lines[:4] == ["./large", "./small", "./sub/d/a", "./sub/d/s/b"]
    tree, large, new, _ = result.outputs
    assert sorted(path.name for path in pathlib.Path(tree.location.path).rglob("*")) == ["a", "b", "new", "s", "t"]
    assert isinstance(large.location, SameAs)
    assert new.location.data == b"new\n"


def test_a_changed_copy_of_an_input_is_noticed(executor: Executor) -> None:
    blob, tree = executor.blob(BIG), executor.directory({"a": b"1", "b": BIG})
    change = "chmod u+w f d/a; printf 2 | dd of=d/a conv=notrunc; printf 2 | dd of=f conv=notrunc"
    result = executor.result(
        change, shell=True, inputs=[("f", blob), ("d", tree)], outputs=[("f", "blob"), ("d", "dir")]
    )
    assert result.error is None, result.error
    assert not any(isinstance(output.location, SameAs) for output in result.outputs)
    assert pathlib.Path(result.outputs[0].location.path).read_bytes() == b"2" + BIG[1:]
    assert pathlib.Path(result.outputs[1].location.path, "a").read_bytes() == b"2"
    assert pathlib.Path(blob.path).read_bytes() == BIG


@pytest.mark.skipif(not MAY_MOUNT, reason="only with mounts is a directory read-only as a whole")
@pytest.mark.parametrize("action", ["touch d/new", "rm d/a", "rm -f f", "mv f g", "ln f g"])
def test_inputs_stay_as_they_are(executor: Executor, action: str) -> None:
    inputs = [("f", executor.blob(BIG)), ("d", executor.directory({"a": b"1"}))]
    message = executor.error(action, shell=True, inputs=inputs, kind="exit")
    if action != "ln f g":
        assert "write=True" in message


# -- inputs are read-only --------------------------------------------------------------------------------


def try_to_write(executor: Executor) -> TaskResult:
    tree = executor.directory({"a": b"1"})
    inputs = [("small", executor.blob(b"x")), ("large", executor.blob(BIG)), ("d", tree)]
    script = f"""
    for file in small large d/a; do {sys.executable} -c "$WRITE" $file; done
    cat small d/a; cmp large {inputs[1][1].path}
    """
    return executor.result(script, shell=True, inputs=inputs, env={"WRITE": WRITE_TO_INPUT}, stdout=True)


def test_inputs_cannot_be_written(executor: Executor) -> None:
    assert data_of(try_to_write(executor)) == [b"PermissionError\n" * 3 + b"x1"]


def test_inputs_cannot_be_written_on_an_old_kernel(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError("not here")

    monkeypatch.setattr(ReadOnly, "_mount_as_nobody", refused)
    assert data_of(try_to_write(executor)) == [b"PermissionError\n" * 3 + b"x1"]


def test_inputs_that_others_may_not_read(executor: Executor) -> None:
    executor.store.chmod(0o700)
    assert data_of(try_to_write(executor)) == [b"PermissionError\n" * 3 + b"x1"]


@pytest.mark.parametrize(
    ("place", "mode"), [("1", 0o400), ("3", 0o700), ("3/s", 0o700), ("3/a", 0o400), ("3/s/b", 0o400)]
)
def test_single_inputs_that_others_may_not_read(executor: Executor, place: str, mode: int) -> None:
    first, large, tree = executor.blob(BIG), executor.blob(BIG), executor.directory({"a": b"1", "s/b": b"2"})
    os.chmod(executor.store / place, mode)
    script = f'for file in first large d/a d/s/b; do {sys.executable} -c "$WRITE" $file; done; cat d/s/b'
    inputs = [("large", large), ("first", first), ("d", tree)]
    result = executor.result(script, shell=True, inputs=inputs, env={"WRITE": WRITE_TO_INPUT}, stdout=True)
    assert data_of(result) == [b"PermissionError\n" * 4 + b"2"]


@pytest.mark.skipif(not MAY_MOUNT, reason="without mounts root loses the privilege to write to files of others")
def test_root_may_still_write_elsewhere(executor: Executor) -> None:
    foreign = executor.root / "foreign"
    foreign.write_text("")
    os.chown(foreign, 12345, 12345)
    foreign.chmod(0o600)
    (result,) = executor.run(
        executor.task("echo hello > $TARGET", shell=True, env={"TARGET": str(foreign)}, stdin=executor.blob(b"x"))
    )
    assert result.error is None, result.error
    assert foreign.read_text() == "hello\n"


@pytest.mark.skipif(not MAY_MOUNT, reason="only with mounts can root be kept from changing modes")
@pytest.mark.parametrize("action", ["chmod 666", "touch -d 2001-01-01", "truncate -s 1", "rm"])
def test_root_cannot_change_an_input_otherwise(executor: Executor, action: str) -> None:
    blob = executor.blob(BIG)
    command = f"{action} $(readlink -f in)"
    message = executor.error(command, shell=True, inputs=[("in", blob)], kind="exit")
    assert "Content of stderr" in message
    assert pathlib.Path(blob.path).read_bytes() == BIG


def test_changed_input_is_noticed(executor: Executor) -> None:
    executor.before = lambda runner: setattr(runner.read_only, "needed", False)
    blob = executor.blob(BIG, label="numbers")
    command = f"chmod 644 {blob.path}; echo x >> {blob.path}"
    message = executor.error(command, shell=True, inputs=[("in", blob)])
    assert "input 'numbers' (1/1) was changed in the store" in message
    assert "so it did this" in message
    assert "write=True" in message


def test_inputs_that_the_store_moved_to_disk(executor: Executor) -> None:
    blob, tree = executor.blob(BIG), executor.directory({"a": b"1", "s/b": b"2"})
    disk = executor.root / "disk" / "objects"
    disk.mkdir(parents=True)
    for value in (blob, tree):
        moved = disk / os.path.basename(value.path)
        os.rename(value.path, moved)
        os.symlink(moved, value.path)
    inputs = [("f", blob), ("d", tree)]
    outputs = [("f", "blob"), ("d", "dir"), ("d/a", "blob")]
    result = executor.result("cat", "d/s/b", inputs=inputs, stdout=True, outputs=outputs)
    assert result.error is None
    assert [output.location for output in result.outputs[:2]] == [SameAs(blob.spec.id), SameAs(tree.spec.id)]
    assert [output.location.data for output in result.outputs[2:]] == [b"1", b"2"]
    script = f'for file in f d/a; do {sys.executable} -c "$WRITE" $file; done; cat d/s/b'
    result = executor.result(script, shell=True, inputs=inputs, env={"WRITE": WRITE_TO_INPUT}, stdout=True)
    assert data_of(result) == [b"PermissionError\n" * 2 + b"2"]


def test_input_that_is_moved_to_disk_meanwhile(executor: Executor) -> None:
    blob = executor.blob(BIG)
    executor.before = lambda runner: setattr(runner.read_only, "needed", False)
    script = (
        f"cp -p {blob.path} {executor.root}/moved; rm -f {blob.path}; ln -s {executor.root}/moved {blob.path}; cat in"
    )
    result = executor.result(script, shell=True, inputs=[("in", blob)], stdout=True)
    assert result.error is None, result.error
    assert result.outputs[0].info.size == len(BIG)


# -- failures --------------------------------------------------------------------------------------------


def test_missing_program(executor: Executor) -> None:
    message = executor.error("no-such-program", "a b", env={"PATH": "/usr/bin:/bin"})
    assert "program 'no-such-program' was not found on governor host:1; PATH is /usr/bin:/bin" in message
    assert "no-such-program 'a b'" in message
    assert "'/no/such' was not found on governor host:1" in executor.error("/no/such")


def test_files_that_are_no_programs(executor: Executor) -> None:
    files = {"plain": b"text", "broken": b"text", "lost": b"#!/no/such/interpreter\n"}
    folder = executor.root / "bin"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o644 if name == "plain" else 0o755)
    assert "is not executable" in executor.error(f"{folder}/plain")
    assert "neither a program nor a script" in executor.error(f"{folder}/broken")
    assert "interpreter" in executor.error(f"{folder}/lost")
    assert "is a directory" in executor.error(str(folder))


def test_arguments_that_cannot_be(executor: Executor) -> None:
    assert "longer than the system allows" in executor.error("true", "x" * (1 << 22))
    assert "null" in executor.error("true", "a\0b")
    assert "names no program" in executor.error("")


def test_wrong_exit_status(executor: Executor) -> None:
    result = executor.result("sh", "-c", "echo told; echo why >&2; exit 3")
    assert result.error.kind == "exit"
    lines = result.error.message.split("\n")
    assert lines[0] == "the program ended with exit status 3"
    assert lines[1] == "Command: sh -c 'echo told; echo why >&2; exit 3'"
    assert lines[2:] == ["Content of stderr (last 4 bytes):", "why"]
    assert (result.stdout, result.stderr) == (b"told\n", b"why\n")


def test_wrong_exit_status_with_captured_output(executor: Executor) -> None:
    result = executor.result("echo told; echo why >&2; exit 3", shell=True, stdout=True, stderr=True, exit_codes=[0, 4])
    assert result.error.message.startswith("the program ended with exit status 3; expected was 0 or 4\nCommand: echo")
    assert result.error.message.endswith("why")
    assert (result.stdout, result.stderr) == (b"told\n", b"why\n")
    assert result.outputs == []


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("kill -SEGV $$", "was killed by signal SIGSEGV"),
        ("kill -KILL $$", "was killed by signal SIGKILL\nNeither Rain sent this signal"),
        ("no-such-command", "exit status 127 (command not found)"),
        ("sh -c 'kill -ABRT $$'; exit $?", "exit status 134 (as a shell does after signal SIGABRT)"),
    ],
)
def test_signals_by_name(executor: Executor, command: str, text: str) -> None:
    assert text in executor.error(command, shell=True, kind="exit")


def test_missing_output(executor: Executor) -> None:
    message = executor.error("touch other; mkdir d", shell=True, outputs=[("wanted", "blob")])
    assert message == "the program made no file 'wanted' for output 'wanted' (2/0); its folder holds 'd', 'other'"
    assert "'d' holds nothing" in executor.error("mkdir d", shell=True, outputs=[("d/e/f", "blob")])
    assert "leads to 'nowhere'" in executor.error("ln -s nowhere f", shell=True, outputs=[("f", "blob")])


def test_failure_removes_the_outputs_already_taken(executor: Executor) -> None:
    outputs = [("big", "blob"), ("dddd", "dir"), ("b", "blob")]
    executor.error("head -c 100000 /dev/zero > big; mkdir dddd", shell=True, outputs=outputs, stdout=True)


@pytest.mark.parametrize(
    ("command", "path", "wanted", "text"),
    [
        ("mkdir x", "x", "blob", "should be a file, but 'x' is a directory"),
        ("touch x", "x", "dir", "should be a directory, but 'x' is a file"),
        ("mkfifo x", "x", "blob", "should be a file, but 'x' is a named pipe"),
        ("mkdir x; mkfifo x/p", "x", "dir", "neither a file, a folder nor a link"),
        ("mkdir x; ln -s /etc x/l", "x", "dir", "leads outside"),
        ("true", "/tmp/x", "blob", "must be relative"),
        ("true", "a/../../x", "blob", "leads out of the folder"),
    ],
)
def test_outputs_that_cannot_be(executor: Executor, command: str, path: str, wanted: str, text: str) -> None:
    assert text in executor.error(command, shell=True, outputs=[(path, wanted)])


@pytest.mark.parametrize("path", ["/x", "../x", "a/../../x", "a\0b"])
def test_input_paths_stay_inside(executor: Executor, path: str) -> None:
    assert "the input path" in executor.error("true", inputs=[(path, executor.blob(b""))])


def test_input_path_is_taken(executor: Executor) -> None:
    inputs = [("x", executor.blob(b"1")), ("x", executor.blob(b"2", label="second"))]
    assert "input 'second' (1/2) cannot be mapped to 'x': File exists" in executor.error("true", inputs=inputs)


def test_configs_that_do_not_fit(executor: Executor) -> None:
    task = executor.task("true", inputs=[("x", executor.blob(b""))])
    task.spec.config.inputs[0].index = 5
    assert "an input that it does not have" in executor.run(task)[0].error.message
    task = executor.task("true", stdout=True)
    task.spec.config.stdout = None
    assert "each of which must be mapped once" in executor.run(task)[0].error.message
    task.spec.config = ["true"]
    assert "not a ExecuteConfig" in executor.run(task)[0].error.message
    assert "cannot be a program's stdin" in executor.error("cat", stdin=executor.directory({}))


def test_full_disk(executor: Executor) -> None:
    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    full = executor.root / "small"
    full.mkdir()
    tmpfs = f"mount -t tmpfs -o size=200k none {full} 2>/dev/null"
    if os.system(f"unshare -m sh -c '{tmpfs}'"):
        pytest.skip("file systems cannot be mounted here")

    def shrink(runner: ProgramRunner) -> None:
        runner.read_only.protect(str(executor.store))  # enters a mount namespace
        assert os.system(tmpfs) == 0

    executor.before = shrink
    executor.setup.store_dir = executor.setup.spill_dir = str(full)
    result = executor.result("head -c 1M /dev/zero > x", shell=True, outputs=[("x", "blob")])
    assert result.error.kind == "rain"
    assert f"no space left to write {full}/" in result.error.message
    assert "bytes are free" in result.error.message
    message = executor.result("head", "-c", "1M", "/dev/zero", stdout=True).error.message
    assert "exit status 1" in message
    assert "No space left on device" in message


# -- ends -------------------------------------------------------------------------------------------------


def test_interrupt(executor: Executor) -> None:
    ready = executor.root / "ready"
    os.mkfifo(ready)
    after = executor.task("true")
    pipe = executor.start([executor.task(f"echo > {ready}; exec sleep 1000", shell=True), after])
    ready.read_bytes()
    os.killpg(executor.pid, signal.SIGINT)
    interrupted, next_one = executor.finish(pipe)
    assert interrupted.error.kind == "cancelled"
    assert interrupted.outputs == []
    assert next_one.error is None


def test_interrupt_that_the_program_survives(executor: Executor) -> None:
    ready = executor.root / "ready"
    os.mkfifo(ready)
    script = f"trap 'echo cleaning; exit 0' INT; echo > {ready}; while :; do read x < {ready}; done"
    pipe = executor.start([executor.task(script, shell=True)])
    ready.read_bytes()
    os.killpg(executor.pid, signal.SIGINT)
    (result,) = executor.finish(pipe)
    assert result.error.kind == "cancelled"
    assert result.stdout == b"cleaning\n"


def test_leftovers_are_killed(executor: Executor) -> None:
    pids = executor.root / "pids"
    script = f"setsid sleep 1000 & echo $! > {pids}; (sleep 1000 & echo $! >> {pids}) & wait $!"
    results = executor.run(executor.task(script, shell=True), executor.task("true"))
    assert [result.error for result in results] == [None, None]
    for pid in pids.read_text().split():
        assert not os.path.exists(f"/proc/{pid}")
