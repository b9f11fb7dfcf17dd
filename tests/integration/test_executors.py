"""Executors as real processes: their life and death, what is captured, what is told."""

# ruff: noqa: ASYNC110, ASYNC240  tests may block, and look again and again for what nobody tells

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest

from rain.client.functions.pickling import dumps
from rain.common.ids import ID
from rain.common.limits import INLINE_BYTES_MAX, TASK_OUTPUT_BYTES_MAX
from rain.common.location import LocalFile, SameAs
from rain.common.protocol import framing
from rain.common.protocol.messages import Damage, ExecutorInput
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.task_configs import EXECUTE, ExecuteConfig, FunctionPayload, SourceText, UserModule
from rain.governor.pools import python_executors as executors_module
from rain.governor.pools.zygotes import process as zygote_process
from rain.host import starting
from rain.host.thread_limits import THREAD_VARIABLES
from rain.objects.content_types.codecs import decode_value
from rain.objects.files import checksum, local_file
from tests.integration.executors_rig import Obj, Rig, blob, with_rig
from tests.support.commands import write_command
from tests.support.waiting import GUARD_S, until_async

# Functions of this module are pickled by value: executors need not import it.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def noop(ctx):
    return b""


# -- tasks ----------------------------------------------------------------------------------------


@with_rig
async def test_many_tasks_in_few_frames(rig: Rig) -> None:
    rig.start()
    await rig.run(noop)
    tasks = [rig.task(noop) for _ in range(500)]
    before = len(rig.batches)
    rig.executors.run(1, tasks)
    for task in tasks:
        result = await rig.result(task)
        assert result.error is None
        assert result.outputs[0].location.data == b""
        assert result.info.governor == "127.0.0.1:7"
        assert result.info.duration >= 0
    assert len(rig.batches) - before < 100
    order = [result.id for _, batch in rig.batches for result in batch.results]
    assert order == sorted(order)
    await until_async(lambda: rig.executors.seen() == {1: 0})


@with_rig
async def test_function_and_cache_live_with_the_executor(rig: Rig) -> None:
    def count(ctx):
        ctx.cache["n"] = ctx.cache.get("n", 0) + 1
        ctx.function.calls = getattr(ctx.function, "calls", 0) + 1
        return ctx.cache["n"], ctx.function.calls, os.getpid()

    rig.start(1)
    rig.start(2)
    first = await rig.value(count)
    assert (await rig.value(count)) == (2, 2, first[2])
    other = await rig.value(count, executor_id=2)
    assert other[:2] == (1, 1)
    assert other[2] != first[2]
    assert rig.executors.pid(1) == first[2]


@with_rig
async def test_async_function(rig: Rig) -> None:
    async def nap(ctx, value):
        await asyncio.sleep(0)
        return value

    async def fail(ctx):
        await asyncio.sleep(0)
        raise LookupError("nothing")

    rig.start()
    assert await rig.value(nap, 5) == 5
    error = (await rig.run(fail)).error
    assert "LookupError: nothing" in error.message
    assert "asyncio" not in error.message.replace("await asyncio.sleep", "")


@with_rig
async def test_inputs_arrive_as_instances_or_values(rig: Rig) -> None:
    def look(ctx, plain, nested, *, key):
        return [plain.get_bytes(), plain.content_type, nested["list"][0].load(), key.spec.label, plain is key]

    rig.start()
    inputs = (blob(1, b"abc"), blob(2, {"x": 1}, "json"))
    value = await rig.value(look, Obj(1), {"list": [Obj(2)]}, key=Obj(1), inputs=inputs)
    assert value == [b"abc", None, {"x": 1}, "in1", True]

    def loaded(ctx, a, b):
        return [a, type(b).__name__]

    assert await rig.value(loaded, Obj(2), Obj(1), inputs=inputs, load=[(1, 2)]) == [{"x": 1}, "DataInstance"]
    assert await rig.value(loaded, Obj(2), Obj(2), inputs=inputs, load=True) == [{"x": 1}, "dict"]
    error = (await rig.run(loaded, Obj(1), 0, inputs=inputs, load=True)).error
    assert "content type" in error.message


@with_rig
async def test_objects_inside_the_function(rig: Rig) -> None:
    hidden = Obj(7)

    def use(ctx):
        return hidden

    rig.start()
    assert await rig.value(use, inputs=(blob(7, [1], "json"),), load=True) == [1]
    assert await rig.value(use, inputs=(blob(7, [1], "json"),), load=True) == [1]


@with_rig
async def test_info_and_debug(rig: Rig) -> None:
    def tell(ctx):
        ctx.debug("{} of {total}", 1, total=2)
        ctx.debug("braces {} stay")
        ctx.info.user["key"] = [1, {"a": None}]
        return ctx.info.governor

    rig.start()
    result = await rig.run(tell)
    assert result.info.debug == "1 of 2\nbraces {} stay"
    assert result.info.user == {"key": [1, {"a": None}]}
    assert result.outputs[0].location.data == b"127.0.0.1:7"

    def fails(ctx):
        ctx.debug("so far")
        ctx.info.error = "not today"

    result = await rig.run(fails)
    assert result.error.message == "not today"
    assert result.info.debug == "so far"
    assert result.outputs == []

    def wrong(ctx):
        ctx.info.user["bad"] = object()
        return b""

    assert "'bad'" in (await rig.run(wrong)).error.message

    def spoil(ctx):
        ctx.info.duration = ctx.info.start_time = ctx.info.attempts = "nonsense"
        return b""

    assert (await rig.run(spoil)).error is None


# -- what functions return ------------------------------------------------------------------------


@with_rig
async def test_large_outputs_are_files(rig: Rig) -> None:
    def large(ctx, n):
        return bytes(n)

    rig.start()
    output = (await rig.run(large, 3_000_000)).outputs[0]
    assert isinstance(output.location, LocalFile)
    path = Path(output.location.path)
    assert path.parent == rig.store
    assert path.read_bytes() == bytes(3_000_000)
    seen = path.stat()
    assert (seen.st_ino, seen.st_size, seen.st_mtime_ns) == (
        output.location.inode,
        output.location.size,
        output.location.mtime_ns,
    )
    assert output.location.checksum == checksum(bytes(3_000_000))
    assert (await rig.run(large, INLINE_BYTES_MAX)).outputs[0].location.data == bytes(INLINE_BYTES_MAX)
    assert (await rig.run(large, INLINE_BYTES_MAX + 1)).outputs[0].location.size == INLINE_BYTES_MAX + 1


@with_rig
async def test_large_output_spills_and_input_file_is_mapped(rig: Rig) -> None:
    def large(ctx):
        return bytes(range(256)) * 4000

    def read(ctx, value):
        return value.get_bytes()[-3:] + str(value.reader.path()).encode()

    rig.start(store_bytes_max=100_000)
    file = (await rig.run(large)).outputs[0].location
    assert Path(file.path).parent == rig.spill
    assert list(rig.store.iterdir()) == []
    os.chmod(file.path, 0o444)  # as the store does: root's tasks see its files as others see them
    value = ExecutorInput(ObjectSpec(ID(1, 3)), ObjectInfo(size=file.size), None, local_file(file.path))
    assert (await rig.run(read, Obj(3), inputs=(value,))).outputs[
        0
    ].location.data == b"\xfd\xfe\xff" + file.path.encode()


@with_rig
async def test_inputs_that_the_store_moved(rig: Rig) -> None:
    def read(ctx, blob, tree):
        tree.write("copy")
        return blob.get_bytes()[:2] + Path("copy/f").read_bytes()

    rig.start()
    disk = rig.folder / "disk"
    (disk / "d").mkdir(parents=True)
    (disk / "d" / "f").write_text("inner")
    (disk / "b").write_bytes(b"blob")
    for name in ("b", "d"):
        (rig.store / name).symlink_to(disk / name)
    inputs = (
        ExecutorInput(ObjectSpec(ID(1, 3)), ObjectInfo(size=4), None, local_file(str(rig.store / "b"))),
        ExecutorInput(
            ObjectSpec(ID(1, 4), None, None, "dir"), ObjectInfo(size=5), "tree", local_file(str(rig.store / "d"))
        ),
    )
    assert (await rig.run(read, Obj(3), Obj(4), inputs=inputs)).outputs[0].location.data == b"blinner"
    (disk / "d" / "f").unlink()
    (disk / "d").rmdir()
    result = await rig.run(read, Obj(3), Obj(4), inputs=inputs)
    assert result.error.message == "input 'tree' (1/4) cannot be read: No such file or directory"
    assert result.damage == Damage([ID(1, 4)])


@with_rig
async def test_failed_task_leaves_no_file(rig: Rig) -> None:
    def fail(ctx):
        ctx.blob(bytes(1_000_000))
        return ctx.blob(bytes(1_000_000)), 5

    def unused(ctx):
        ctx.pickled(bytes(1_000_000))
        return b"", b""

    rig.start()
    refused = await rig.run(fail, outputs=2)
    assert refused.error is not None
    assert (await rig.run(unused, outputs=2)).error is None
    # What was returned is kept; what was not, is gone.
    assert [str(path) for path in rig.store.iterdir()] == [
        out.location.path for out in refused.outputs if isinstance(out.location, LocalFile)
    ]


@with_rig
async def test_staged_files_and_directories(rig: Rig) -> None:
    def stage(ctx):
        Path("sub/empty").mkdir(parents=True)
        Path("sub/a.txt").write_text("a")
        Path("big").write_bytes(bytes(200_000))
        Path("small").write_text("s")
        return ctx.stage_directory("sub"), ctx.stage_file("big"), ctx.stage_file("small", content_type="text")

    rig.start()
    outputs = [ObjectSpec(ID(0, 0), "d", None, "dir"), ObjectSpec(ID(0, 0), "b"), ObjectSpec(ID(0, 0), "s")]
    result = await rig.run(stage, outputs=outputs)
    assert result.error is None, result.error.message
    tree, big, small = result.outputs
    assert Path(tree.location.path, "a.txt").read_text() == "a"
    assert Path(tree.location.path, "empty").is_dir()
    assert tree.location.size == 1
    assert big.location.size == 200_000
    assert big.location.checksum == checksum(bytes(200_000))
    assert (small.location.data, small.info.content_type) == (b"s", "text")

    def escape(ctx):
        Path("link").symlink_to("/etc")
        for path in ("/etc/passwd", "../x", "link/passwd", "missing"):
            try:
                ctx.stage_file(path)
            except Exception as error:
                ctx.debug("{}", error)
        try:
            ctx.stage_directory("link")
        except Exception as error:
            ctx.debug("{}", error)
        return b""

    lines = (await rig.run(escape)).info.debug.splitlines()
    assert "relative" in lines[0]
    assert "leads out" in lines[1]
    assert "leads out" in lines[2]
    assert "holds 'link'" in lines[3]
    assert "leads out" in lines[4]


@with_rig
async def test_staging_leaves_alone_what_has_other_names(rig: Rig) -> None:
    mine = rig.folder / "mine"
    mine.mkdir()
    for name in "abc":
        (mine / name).write_bytes(bytes(200_000))
        (mine / name).chmod(0o600)

    def stage(ctx, folder):
        os.mkdir("d")
        for name, place in (("a", "a"), ("b", "d/b")):
            os.link(f"{folder}/{name}", place)
        os.symlink(f"{folder}/c", "c")
        try:
            ctx.stage_file("c")
        except Exception as error:
            ctx.debug("{}", error)
        return ctx.stage_file("a"), ctx.stage_directory("d")

    rig.start()
    outputs = [ObjectSpec(ID(0, 0), "f"), ObjectSpec(ID(0, 0), "d", None, "dir")]
    result = await rig.run(stage, str(mine), outputs=outputs)
    assert "is a link to" in result.info.debug
    assert "leads out" in result.info.debug
    for name in "abc":
        assert (mine / name).stat().st_mode & 0o777 == 0o600
        (mine / name).write_bytes(b"later")
    assert Path(result.outputs[0].location.path).read_bytes() == bytes(200_000)
    assert Path(result.outputs[1].location.path, "b").read_bytes() == bytes(200_000)


@with_rig
async def test_staged_directory_with_linked_inputs(rig: Rig) -> None:
    def stage(ctx, blob, tree):
        os.mkdir("d")
        blob.link("d/blob")
        tree.link("d/tree")
        return ctx.stage_directory("d")

    rig.start()
    objects = rig.folder / "objects"
    (objects / "t").mkdir(parents=True)
    (objects / "b").write_bytes(b"blob")
    (objects / "t" / "f").write_text("inner")
    inputs = (
        ExecutorInput(ObjectSpec(ID(1, 3)), ObjectInfo(size=4), None, local_file(str(objects / "b"))),
        ExecutorInput(
            ObjectSpec(ID(1, 4), None, None, "dir"), ObjectInfo(size=5), None, local_file(str(objects / "t"))
        ),
    )
    result = await rig.run(stage, Obj(3), Obj(4), inputs=inputs, outputs=[ObjectSpec(ID(0, 0), "d", None, "dir")])
    assert result.error is None, result.error.message
    tree = Path(result.outputs[0].location.path)
    assert (tree / "blob").read_bytes() == b"blob"
    assert (tree / "tree" / "f").read_text() == "inner"
    assert not (tree / "blob").is_symlink()


@with_rig
async def test_input_passes_through(rig: Rig) -> None:
    def same(ctx, value):
        value.info.user["seen"] = True
        return value

    rig.start()
    output = (await rig.run(same, Obj(4), inputs=(blob(4, {"a": 1}, "json", user={"u": 1}),))).outputs[0]
    assert output.location == SameAs(ID(1, 4))
    assert output.info.user == {"u": 1, "seen": True}
    assert output.info.content_type == "json"


# -- output ---------------------------------------------------------------------------------------


@with_rig
async def test_output_is_captured_per_task(rig: Rig) -> None:
    def speak(ctx, word):
        import logging
        import sys

        print(word)
        sys.stderr.write(f"{word} stderr\n")
        os.write(1, b"raw\n")
        subprocess.run(["echo", "child"], check=True)
        logging.getLogger("lab").info("logged %s", word)
        return b""

    def printf(ctx):
        import ctypes

        ctypes.CDLL(None).printf(b"from C, no newline")
        return b""

    rig.start()
    tasks = [rig.task(speak, word) for word in ("one", "two")] + [rig.task(noop), rig.task(printf), rig.task(noop)]
    rig.executors.run(1, tasks)
    results = [await rig.result(task) for task in tasks]
    for result, word in zip(results, ("one", "two"), strict=False):
        assert result.stdout == f"{word}\nraw\nchild\n".encode()
        assert result.stderr == f"{word} stderr\nINFO:lab:logged {word}\n".encode()
    assert results[2].stdout == b""
    assert results[3].stdout == b"from C, no newline"
    assert results[4].stdout == b""


@with_rig
async def test_output_survives_what_tasks_do_to_it(rig: Rig) -> None:
    def vandalise(ctx):
        import io
        import sys

        sys.stdout.write("before ")
        sys.stdout = io.StringIO()
        sys.stderr.close()
        os.close(1)
        return b""

    def speak(ctx):
        import sys

        print("fine")
        print("too", file=sys.stderr)
        return b""

    rig.start()
    assert (await rig.run(vandalise)).stdout == b"before "
    result = await rig.run(speak)
    assert (result.stdout, result.stderr) == (b"fine\n", b"too\n")


@with_rig
async def test_only_the_tail_of_much_output(rig: Rig) -> None:
    def shout(ctx):
        for number in range(100_000):
            print(number)
        return b""

    rig.start()
    stdout = (await rig.run(shout)).stdout
    assert len(stdout) == TASK_OUTPUT_BYTES_MAX
    assert stdout.endswith(b"99999\n")


@with_rig
async def test_endless_output_does_not_fill_the_memory(rig: Rig) -> None:
    def shout(ctx, path):
        line = b"x" * 9_999 + b"\n"
        for _ in range(10_000):
            os.write(1, line)
        while not os.path.exists(path):
            os.write(1, b".")

    gate = rig.folder / "gate"
    rig.start()
    task = rig.task(shout, str(gate))
    rig.executors.run(1, [task])
    await rig.running(task.number)
    pid = rig.executors.pid(1)
    await until_async(lambda: os.stat(f"/proc/{pid}/fd/1").st_size > 100_000_000)
    await until_async(lambda: os.stat(f"/proc/{pid}/fd/1").st_blocks * 512 < 5_000_000)
    (tail, before), (nothing, _) = rig.executors.read(1, task.number, (0, 0)) or []
    assert len(tail) == TASK_OUTPUT_BYTES_MAX
    assert before > 90_000_000
    assert nothing == b""
    gate.touch()
    result = await rig.result(task)
    assert len(result.stdout) == TASK_OUTPUT_BYTES_MAX
    assert result.written[0] >= before + len(tail)


@with_rig
async def test_output_is_read_while_the_task_runs(rig: Rig) -> None:
    def talk(ctx, path):
        print("first")
        while not os.path.exists(path):
            time.sleep(0.001)
        print("second")

    gate = rig.folder / "gate"
    rig.start()
    task, following = rig.task(talk, str(gate)), rig.task(talk, str(gate))
    rig.executors.run(1, [task, following])
    await rig.running(task.number)
    read = rig.executors.read
    await until_async(lambda: read(1, task.number, (0, 0)) == [(b"first\n", 0), (b"", 0)])
    assert read(1, task.number, (2, 0)) == [(b"rst\n", 2), (b"", 0)]
    assert read(1, task.number, (6, 3)) == [(b"", 6), (b"", 3)]
    assert read(1, following.number, (0, 0)) is None
    assert read(2, task.number, (0, 0)) is None
    gate.touch()
    result = await rig.result(task)
    assert (result.stdout, result.written) == (b"first\nsecond\n", (13, 0))


# -- surroundings ---------------------------------------------------------------------------------


@with_rig
async def test_private_empty_folder(rig: Rig) -> None:
    def mess(ctx):
        found = os.listdir()
        Path("file").write_text("x")
        os.mkdir("locked")
        Path("locked/in").write_text("x")
        os.chmod("locked", 0)
        os.chdir("/")
        return found

    def remove(ctx):
        os.rmdir(os.getcwd())
        return []

    rig.start()
    for function in (mess, mess, remove, mess, remove, remove):
        assert await rig.value(function) == []


@with_rig
async def test_environment_and_imports(rig: Rig) -> None:
    home = rig.folder / "client"
    home.mkdir()
    (home / "helper_module.py").write_text("VALUE = 41\n")

    def look(ctx):
        import helper_module

        threads = {os.environ[name] for name in names}
        return (
            helper_module.VALUE,
            os.environ["MINE"],
            threads,
            os.environ["OMP_NUM_THREADS"],
            "RAIN_TOKEN" in os.environ,
        )

    names = [name for name in THREAD_VARIABLES if name != "OMP_NUM_THREADS"]
    env = {"MINE": "yes", "OMP_NUM_THREADS": "1"}
    rig.start(sys_path=["", *sys.path], cwd=str(home), env=env, resources={"cpus": 3.0})
    assert await rig.value(look) == (41, "yes", {"3"}, "1", False)


@with_rig
async def test_random_numbers_differ(rig: Rig) -> None:
    def draw(ctx):
        import random

        import numpy as np

        return random.random(), float(np.random.random())

    for executor_id in (1, 2, 3):
        rig.start(executor_id)
    drawn = [await rig.value(draw, executor_id=executor_id) for executor_id in (1, 2, 3)]
    assert len({a for a, _ in drawn}) == len({b for _, b in drawn}) == 3


@with_rig
async def test_changed_module_makes_the_executor_stale(rig: Rig) -> None:
    home = rig.folder / "client"
    home.mkdir()
    path = home / "changing.py"
    path.write_text("def value():\n    return 1\n")

    def payload() -> FunctionPayload:
        seen = path.stat()
        return FunctionPayload(
            cloudpickle.dumps(look), "look", [], [UserModule("changing", str(path), seen.st_mtime_ns, seen.st_size)]
        )

    def look(ctx):
        import changing

        return changing.value()

    rig.start(1, sys_path=[str(home), *sys.path])
    await rig.value(look, payload=payload())
    assert await rig.value(look, payload=payload()) == 1
    path.write_text("def value():\n    return 22\n")
    task, behind = rig.task(look, payload=payload(), encode="pickle"), rig.task(noop)
    rig.executors.run(1, [task, behind])
    await rig.until(lambda: rig.recalled)
    assert rig.recalled == [(1, [task.number, behind.number])]
    assert rig.batches[-1][1].stale
    late = rig.task(noop)
    rig.executors.run(1, [late])
    await rig.until(lambda: len(rig.recalled) == 2)
    assert rig.recalled[1] == (1, [late.number])
    rig.start(2, sys_path=[str(home), *sys.path])
    assert await rig.value(look, payload=payload(), executor_id=2) == 22


@with_rig
async def test_shipped_modules(rig: Rig) -> None:
    source = b"def value():\n    raise KeyError('from afar')\n"

    def look(ctx):
        import shipped_module

        return shipped_module.value()

    payload = FunctionPayload(
        cloudpickle.dumps(look), "look", [], [UserModule("shipped_module", "/far/away.py", 1, len(source), source)]
    )
    rig.start(sys_path=None)
    error = (await rig.run(look, payload=payload)).error
    assert '"/far/away.py", line 2' in error.message
    assert "raise KeyError('from afar')" in error.message


# -- failures -------------------------------------------------------------------------------------


@with_rig
async def test_remote_traceback(rig: Rig) -> None:
    def inner(x):
        return 1 / x

    def outer(ctx, x):
        try:
            return inner(x)
        except ZeroDivisionError as error:
            raise ValueError("no inverse") from error

    rig.start()
    error = (await rig.run(outer, 0)).error
    assert error.kind == "exception"
    assert "return 1 / x" in error.message
    assert "~~^~~" in error.message
    assert "The above exception was the direct cause" in error.message
    assert error.message.endswith("ValueError: no inverse")
    assert "python_task" not in error.message
    assert error.classes[:2] == ["builtins.ValueError", "ValueError"]
    rebuilt = cloudpickle.loads(error.exception)
    assert isinstance(rebuilt, ValueError)


@with_rig
async def test_traceback_of_a_cell(rig: Rig) -> None:
    text = "def cell_function(ctx, x):\n    y = x + 1\n    return y / 0\n"
    scope: dict = {"__name__": "__main__"}
    exec(compile(text, "/tmp/ipykernel_9/123.py", "exec"), scope)
    function = scope["cell_function"]
    payload = FunctionPayload(
        dumps(function), "cell_function", [SourceText("/tmp/ipykernel_9/123.py", text, "Cell In[3]")]
    )
    rig.start()
    message = (await rig.run(function, 1, payload=payload)).error.message
    assert "  Cell In[3], line 3, in cell_function\n    return y / 0\n           ~~^~~" in message
    assert "ipykernel" not in message


@with_rig
async def test_exit_and_odd_exceptions(rig: Rig) -> None:
    class Unpicklable(Exception):
        def __init__(self, a, b):
            super().__init__(a)
            self.lock = __import__("threading").Lock()

    def leave(ctx):
        raise SystemExit(3)

    def odd(ctx):
        raise Unpicklable("odd", 2)

    def deep(ctx):
        return deep(ctx)

    rig.start()
    assert "SystemExit: 3" in (await rig.run(leave)).error.message
    error = (await rig.run(odd)).error
    assert "odd" in error.message
    assert error.exception is None
    assert "RecursionError" in (await rig.run(deep)).error.message
    assert (await rig.run(noop)).error is None


@with_rig
async def test_what_cannot_be_unpickled(rig: Rig) -> None:
    rig.start()
    payload = FunctionPayload(b"cno_such_module\nfunction\n.", "far.function")
    error = (await rig.run(noop, payload=payload)).error
    assert "no_such_module" in error.message
    assert "far.function could not be unpickled" in error.message


@with_rig
async def test_results_that_are_too_large_to_tell(rig: Rig) -> None:
    def tell(ctx):
        ctx.info.user["x"] = "x" * 100_000_000
        return b""

    rig.start()
    assert "RESULT_BYTES_MAX" in (await rig.run(tell)).error.message
    assert (await rig.run(noop)).error is None


@pytest.mark.parametrize("function_first", [True, False])
def test_a_task_that_is_larger_than_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function_first: bool
) -> None:
    monkeypatch.setattr(framing, "FRAME_BYTES_MAX", 200_000)
    monkeypatch.setattr(executors_module, "BATCH_BYTES_TARGET", 100_000)

    @with_rig
    async def test(rig: Rig) -> None:
        def total(ctx, *parts):
            return sum(len(part.get_bytes()) for part in parts)

        rig.start()
        if not function_first:
            await rig.value(total)
        inputs = tuple(blob(number, bytes([number]) * 50_000) for number in range(10, 20))
        objects = [Obj(number) for number in range(10, 20)]
        # Behind others, of which the batch has to be cut first.
        tasks = [rig.task(noop), rig.task(total, *objects, inputs=inputs, encode="pickle"), rig.task(noop)]
        rig.executors.run(1, tasks)
        results = [await rig.result(task, 1) for task in tasks]
        assert [result.error for result in results] == [None] * 3
        assert decode_value(results[1].outputs[0].location.data, "pickle") == 500_000

    test(tmp_path)


@with_rig
async def test_a_task_that_cannot_be_sent(rig: Rig) -> None:
    """It fails alone: others of its batch run, also those that count on the function that came with it."""
    rig.start()
    first, bad, last = rig.task(noop), rig.task(noop), rig.task(noop)
    bad.spec.user = {"not": object()}
    rig.executors.run(1, [first, bad, last])
    assert "cannot be given to an executor" in (await rig.result(bad, 1)).error.message
    assert (await rig.result(first, 1)).error is None
    assert (await rig.result(last, 1)).error is None


@with_rig
async def test_programs_and_unknown_tasks(rig: Rig) -> None:
    rig.start()
    task = rig.task(noop)
    task.spec.task_type = EXECUTE
    task.spec.config = ExecuteConfig(["sh", "-c", "echo out; echo err >&2; pwd > where"], stdout=0)
    rig.executors.run(1, [task])
    result = await rig.result(task)
    assert result.error is None, result.error.message
    assert result.outputs[0].location.data == b"out\n"
    assert result.stderr == b"err\n"
    strange = rig.task(noop)
    strange.spec.task_type = "strange/method"
    rig.executors.run(1, [strange])
    assert "strange/method" in (await rig.result(strange)).error.message


# -- death ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("os._exit(3)", "exited with status 3"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("__import__('ctypes').string_at(0)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
    ],
)
def test_death_is_told(tmp_path: Path, how: str, reason: str) -> None:
    @with_rig
    async def check(rig: Rig) -> None:
        def die(ctx, how):
            print("last words", flush=True)
            os.write(2, b"error words\n")
            eval(how)

        rig.start()
        before = [rig.task(noop) for _ in range(3)]
        fatal = rig.task(die, how)
        after = rig.task(noop)
        rig.executors.run(1, [*before, fatal, after])
        text, number, stdout, stderr = await rig.until(lambda: rig.exited.get(1))
        assert reason in text
        assert number == fatal.number
        assert stdout == b"last words\n"
        assert stderr.startswith(b"error words\n")
        assert all((1, task.spec.id.id) in rig.results for task in before)
        assert (1, after.spec.id.id) not in rig.results
        assert rig.executors.seen() == {}

    check(tmp_path)


@with_rig
async def test_kill_takes_the_whole_family(rig: Rig) -> None:
    def breed(ctx, path):
        daemon = (
            "import os, sys, time; os.setsid(); os.fork(); os.setsid; "
            "open(sys.argv[1], 'a').write(f'{os.getpid()} '); time.sleep(1000)"
        )
        subprocess.Popen([sys.executable, "-c", daemon, path])
        subprocess.Popen(["sleep", "1000"]).wait()

    path = rig.folder / "pids"
    rig.start()
    task = rig.task(breed, str(path))
    rig.executors.run(1, [task])
    await until_async(lambda: path.exists() and len(path.read_text().split()) == 2)
    await until_async(lambda: len(psutil.Process(rig.executors.pid(1)).children(recursive=True)) == 3)
    family = psutil.Process(rig.executors.pid(1)).children(recursive=True)
    rig.executors.kill(1)
    reason, number, _, _ = await rig.until(lambda: rig.exited.get(1))
    assert "SIGKILL" in reason
    assert "memory" not in reason
    assert number == task.number
    assert not any(process.is_running() for process in family)
    assert not (rig.folder / "executor-1").exists() or await until_async(
        lambda: not (rig.folder / "executor-1").exists()
    )


@with_rig
async def test_kill_before_the_fork(rig: Rig) -> None:
    rig.start(1)
    rig.executors.run(1, [rig.task(noop)])
    rig.executors.kill(1)
    await rig.until(lambda: rig.exited.get(1))
    rig.start(2)
    assert (await rig.run(noop, executor_id=2)).error is None


@with_rig
async def test_interrupt(rig: Rig) -> None:
    def wait(ctx):
        print("waiting", flush=True)
        subprocess.run(["sleep", "1000"], check=False)

    rig.start()
    tasks = [rig.task(wait), rig.task(noop)]
    rig.executors.run(1, tasks)
    await rig.running(tasks[0].number)
    # Not for a task that is not running, and not for the next one.
    rig.executors.interrupt(1, tasks[1].number)
    rig.executors.interrupt(1, tasks[0].number)
    result = await rig.result(tasks[0])
    assert result.error.kind == "cancelled"
    assert (await rig.result(tasks[1])).error is None
    rig.executors.interrupt(1)
    assert (await rig.run(noop)).error is None
    assert rig.exited == {}


@with_rig
async def test_recall_while_user_code_runs(rig: Rig) -> None:
    def wait_for(ctx, path):
        import time

        while not os.path.exists(path):
            time.sleep(0.001)
        return b"done"

    gate = rig.folder / "gate"
    rig.start()
    await rig.run(noop)
    quick, slow, first, second = rig.task(noop), rig.task(wait_for, str(gate)), rig.task(noop), rig.task(noop)
    rig.executors.run(1, [quick, slow, first, second])
    # The quick one's result is not kept back by the slow task behind it.
    await rig.result(quick)
    await rig.running(slow.number)
    rig.executors.recall(1, [quick.number, slow.number, first.number])
    await rig.until(lambda: rig.recalled)
    assert rig.recalled == [(1, [first.number])]
    gate.touch()
    await rig.result(second)
    assert (1, first.spec.id.id) not in rig.results


@with_rig
async def test_memory(rig: Rig) -> None:
    def hold(ctx, path):
        import time

        block = bytearray(b"x") * 100_000_000
        while not os.path.exists(path):
            time.sleep(0.001)
        return str(len(block))

    gate = rig.folder / "gate"
    rig.start()
    task = rig.task(hold, str(gate))
    rig.executors.run(1, [task])
    await until_async(lambda: rig.executors.memory(1) > 100_000_000)
    gate.touch()
    await rig.result(task)
    assert rig.executors.memory(99) == 0


@with_rig
async def test_task_that_forks(rig: Rig) -> None:
    def fork(ctx):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return b"parent"
        return b"child"

    def pool(ctx):
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            return sum(pool.map(abs, range(10)))

    rig.start()
    assert (await rig.run(fork)).outputs[0].location.data == b"parent"
    assert await rig.value(pool) == 45
    assert (await rig.run(noop)).error is None


@with_rig
async def test_lost_zygote(rig: Rig) -> None:
    def wait(ctx):
        import time

        time.sleep(1000)

    rig.start()
    task = rig.task(wait)
    rig.executors.run(1, [task])
    await rig.running(task.number)
    pid = rig.executors.pid(1)
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    reason, number, _, _ = await rig.until(lambda: rig.exited.get(1))
    assert "forked from" in reason
    assert number == task.number
    await until_async(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    rig.start(2)
    assert (await rig.run(noop, executor_id=2)).error is None


@with_rig
async def test_an_interpreter_that_cannot_be_listened_to_is_ended(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def spawn(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(starting.spawn(*args, **kwargs))
        return started[-1]

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zygote_process, "spawn", spawn)
    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
    before = set(os.listdir("/proc/self/fd"))
    rig.start(1)
    monkeypatch.undo()
    reason, _, _, _ = await rig.until(lambda: rig.exited.get(1))
    assert reason == "could not be started: [Errno 28] No space left on device"
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    assert set(os.listdir("/proc/self/fd")) <= before
    rig.start(2)
    assert (await rig.run(noop, executor_id=2)).error is None


@with_rig
async def test_wrong_interpreter(rig: Rig) -> None:
    rig.start(1, python="/no/such/python")
    reason, _, _, _ = await rig.until(lambda: rig.exited.get(1))
    assert "could not be started" in reason
    assert "/no/such/python" in reason
    rig.start(2, python="/bin/false")
    task = rig.task(noop, executor_id=2)
    rig.executors.run(2, [task])
    reason, number, _, _ = await rig.until(lambda: rig.exited.get(2))
    assert "/bin/false ended with status 1" in reason
    assert number == task.number
    talker = rig.folder / "talker"
    write_command(talker, "#!/bin/sh\necho out\necho err >&2\nexit 4\n")
    rig.start(3, python=str(talker))
    reason, _, _, _ = await rig.until(lambda: rig.exited.get(3))
    assert f"{talker} ended with status 4; its stdout and stderr are {rig.folder}/ended-executors/python-" in reason
    assert reason.endswith("out\nerr")
    stderr = Path(re.search(r"and (\S+/stderr) on", reason).group(1))
    assert (stderr.read_text(), (stderr.parent / "stdout").read_text()) == ("err\n", "out\n")


@with_rig
async def test_folder_that_cannot_be_made(rig: Rig) -> None:
    (rig.folder / "file").write_text("")
    rig.start(work_dir=str(rig.folder / "file" / "executor"))
    error = (await rig.run(noop)).error
    assert error.kind == "rain"
    assert "Not a directory" in error.message


def test_nothing_is_left_when_the_governor_dies(tmp_path: Path) -> None:
    script = tmp_path / "governor.py"
    script.write_text(
        "import asyncio, os, pathlib, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.integration.executors_rig import Rig\n"
        "from tests.support.waiting import GUARD_S, until_async\n"
        "def spin(ctx):\n"
        "    while True: pass\n"
        "async def main():\n"
        "    rig = Rig(pathlib.Path(sys.argv[1]))\n"
        "    for number in (1, 2):\n"
        "        rig.start(number)\n"
        "    task = rig.task(spin)\n"
        "    rig.executors.run(1, [task])\n"
        "    await rig.running(task.number)\n"
        "    await until_async(lambda: rig.executors.pid(2))\n"
        "    print(rig.executors.pid(1), rig.executors.pid(2), flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, script, tmp_path], stdout=subprocess.PIPE, timeout=GUARD_S, check=False)
    pids = [int(word) for word in ended.stdout.split()]
    assert len(pids) == 2

    async def gone() -> None:
        async with asyncio.timeout(10):
            while any(_runs(pid) for pid in pids):
                await asyncio.sleep(0.01)

    asyncio.run(gone())


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_nothing_is_left_open(tmp_path: Path) -> None:
    async def main() -> None:
        for round_ in range(3):
            if round_ == 1:  # what a library opens at its first use, and what multiprocessing starts, stays
                before, children = set(os.listdir("/proc/self/fd")), psutil.Process().children()
            rig_folder = tmp_path / str(round_)
            rig_folder.mkdir()
            rig = Rig(rig_folder)
            for executor_id in (1, 2):
                rig.start(executor_id)
                await rig.run(noop, executor_id=executor_id)
            rig.executors.kill(1)
            await rig.until(lambda rig=rig: rig.exited)
            await rig.executors.close()
            assert not (rig_folder / "executor-2").exists()
        assert set(os.listdir("/proc/self/fd")) == before
        assert psutil.Process().children() == children

    asyncio.run(main())
