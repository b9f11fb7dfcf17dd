"""Results of earlier runs: found, not found and why, stored beside other sessions, whatever happens to the folder."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rain
from rain import (
    Client,
    DataObjectState,
    Output,
    OutputDir,
    Program,
    RainException,
    RainWarning,
    Session,
    Task,
    TaskException,
    TaskState,
    blob,
    directory,
    pickled,
    tasks,
)
from rain.client.handles import record_of
from rain.client.reuse.folder import Folder
from tests.support.waiting import GUARD_S

CELL = """
import rain

LIMIT = 3

def helper(x):
    return x + LIMIT

@rain.task
def fit(x, log, mode="a"):
    with open(log, "a") as file:
        print("fit", file=file)
    return helper(x)
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "results")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (path := tmp_path / "log").touch()
    return path


def ran(log: Path) -> int:
    """How many tasks have run."""
    return len(log.read_text().split())


def cell(source: str = CELL) -> dict[str, Any]:
    """The names of a cell that was run; its lines can be found as those of a cell are."""
    import linecache

    name = f"<cell {hash(source)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    home: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), home)
    return home


@pytest.fixture
def again(client: Client, folder: str) -> Iterator[Callable[..., Session]]:
    """Begins a session with the folder, and closes the one before."""
    open_: list[Session] = []

    def begin(**options: Any) -> Session:
        end()
        session = client.new_session("again", cache=folder, **options)
        session.__enter__()
        open_.append(session)
        return session

    def end() -> None:
        while open_:
            open_.pop().__exit__(None, None, None)

    yield begin
    end()


Again = Callable[..., Session]


def test_a_result_is_reused_and_a_change_is_named(again: Again, log: Path) -> None:
    session = again()
    first = cell()["fit"](1, str(log))
    assert (first.result(), first.reused) == (4, False)
    assert first.reuse.startswith("computed for the first time: no result of fit is in")
    session = again()
    second = cell(CELL.replace("LIMIT = 3\n", "LIMIT = 3  # not more\n"))["fit"](1, str(log))
    assert (second.result(), second.reused, ran(log)) == (4, True, 1)
    assert second.reuse.startswith("reused: made on 20")
    assert "reused" in repr(second)
    assert "1/1 tasks finished, 1 reused" in repr(session)
    assert second.state is TaskState.FINISHED
    assert second.explain().startswith(repr(second))
    assert (second.stdout(), second.info.attempts, second.output.is_kept()) == ("", 0, True)
    for before, now, told in [
        ("return helper(x)", "return 2 * helper(x)", "line 13 of fit changed (return 2 * helper(x), before: return "),
        ("return x + LIMIT", "return x - LIMIT", "line 7 of helper changed (return x - LIMIT, before: return x + "),
        ("LIMIT = 3", "LIMIT = 5", "LIMIT (used by helper) changed (5, before: 3)"),
    ]:
        session = again()
        task = cell(CELL.replace(before, now))["fit"](1, str(log))
        task.result()
        assert task.reuse.startswith(f"recomputed because {told}")
        assert told in task.explain()
        again()
        task = cell()["fit"](1, str(log))
        task.result()  # what was stored first is still there
        assert task.reused
    other = cell()["fit"](2, str(log), mode="b")
    other.result()
    assert other.reuse == "computed for the first time with this x and this mode"


def test_a_hit_needs_none_of_its_inputs(again: Again, log: Path, folder: str) -> None:
    def chain() -> tuple[Task[Any], Task[Any], Task[Any]]:
        fit = cell()["fit"]
        one = fit(1, str(log))
        two = fit(one, str(log))
        return one, two, fit(two, str(log))

    session = again()
    one, two, last = chain()
    assert (last.result(), ran(log)) == (10, 3)
    keys = [record_of(task).reuse.key for task in (one, two)]
    session = again()
    one, two, last = chain()
    assert session.run(last) == 10
    assert [task.reused for task in (one, two, last)] == [True, True, True]
    for key in keys:  # as to make room
        Folder(folder).remove(key)
    session = again()
    one, two, last = chain()
    assert (session.run(last), ran(log)) == (10, 3)
    assert (one.state, two.state, last.reused) == (None, None, True)
    assert (two.result(), ran(log)) == (7, 5)  # asked for, it runs, and what it needs
    assert two.reuse.endswith("any more")
    session = again()
    Folder(folder).remove(keys[1])
    one, two, last = chain()
    session.submit()  # all that is new is wanted
    session.wait_all()
    assert (ran(log), one.reused, two.reused, last.reused) == (6, True, False, True)


def test_what_a_reused_task_made_is_sent_where_it_is_needed(again: Again) -> None:
    def values() -> tuple[Any, Any, Any]:
        make = rain.task(np.arange)
        return make(5), make(100_000), make(200_000.0)

    again()
    for task in values():
        task.result()
    session = again()
    small, large, other = values()
    total = rain.task(lambda *arrays: sum(float(array.sum()) for array in arrays), cache=False)
    assert total(small, large).result() == 10 + sum(range(100_000))
    assert (small.reused, large.reused) == (True, True)
    assert total(large, other).result() == sum(range(100_000)) + sum(range(200_000))  # in a later submit
    assert np.array_equal(large.result(), np.arange(100_000))
    writable = other.result()
    writable[0] = 7
    assert other.result()[0] == 0
    session.update([small, large, other])
    session.keep([large.output])
    large.unkeep_outputs()
    other.cancel()
    assert session.retry() is None
    del small
    assert total(other).result() == sum(range(200_000))


def test_all_kinds_of_outputs(again: Again, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("alpha")

    @rain.remote(outputs=["text", "frame", "data"], auto_encode=None)
    def several(ctx: Any) -> Any:
        ctx.debug("said")
        ctx.info.user["n"] = 1
        return {"text": "é", "frame": ctx.pickled({1}), "data": bytes(200_000)}

    @rain.remote(outputs=[OutputDir("made")])
    def folder_of(ctx: Any, given: Any) -> Any:
        os.makedirs("new/sub")
        given.write("new/copy")
        Path("new/sub/b.txt").write_text("beta")
        return ctx.stage_directory("new")

    def run() -> list[Any]:
        task, made = several(), folder_of(directory(tmp_path / "in"))
        upper = Program(["tr", "a-z", "A-Z"], stdin="text", stdout=Output("loud", content_type="text"))
        loud = upper(text=blob("some text"))
        session = rain.get_active_session()
        found = [session.run(one) for one in (task, made, loud)]
        target = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        found[1].write(target)
        files = sorted((str(path.relative_to(target)), path.read_text()) for path in target.rglob("*.txt"))
        inner = session.run(tasks.SliceDirectory(made, "sub/b.txt"))
        kinds = [one.content_type for one in (*task.outputs, *made.outputs, *loud.outputs)]
        return [found[0], files, found[2], inner, kinds, task.info.debug, dict(task.info.user),
                [task.reused, made.reused, loud.reused]]  # fmt: skip

    again()
    first = run()
    again()
    second = run()
    assert (first.pop(), second.pop()) == ([False] * 3, [True] * 3)
    assert first == second
    assert first[1] == [("copy/a.txt", "alpha"), ("sub/b.txt", "beta")]
    (tmp_path / "in" / "a.txt").write_text("other")
    again()
    assert run()[-1] == [True, False, True]


def test_a_thousand_members_of_a_family(again: Again) -> None:
    square = rain.task(lambda x: x * x)
    session = again()
    assert session.run(square.map(range(300))) == [x * x for x in range(300)]
    session = again()
    listed = square.map(range(5, 310))
    assert session.run(listed) == [x * x for x in range(5, 310)]
    assert sum(task.reused for task in listed) == 295
    session = again()
    looped = [square(x) for x in range(310)]
    assert session.run(looped) == [x * x for x in range(310)]
    assert all(task.reused for task in looped)


def test_arguments_of_all_kinds(again: Again) -> None:
    source = """
import dataclasses, rain, numpy as np
@dataclasses.dataclass
class Point:
    x: int
    def norm(self):
        return abs(self.x)
@rain.task
def fit(point, words, array, shared, by):
    return by(point.norm()) + len(words) + int(array.sum()) + shared
def call(shared):
    return fit(Point(-2), {"b", "a", "c"}, np.ones(400_000, int), shared, by=lambda x: x * 10)
"""
    results = []
    for text in (source, source, source.replace("abs(self.x)", "-self.x"), source.replace("x * 10", "x * 11")):
        again()
        with pytest.warns(RainWarning, match="travels as a blob"):
            task = cell(text)["call"](pickled(5))
        results.append((task.result(), task.reused, task.reuse))
    assert [one[:2] for one in results] == [(400_028, False), (400_028, True), (400_028, False), (400_030, False)]
    assert results[2][2] == "computed for the first time with this point"
    assert results[3][2] == "computed for the first time with this by"


def test_what_cannot_be_told_is_computed_and_says_why(again: Again, log: Path) -> None:
    fit = cell()["fit"]

    @rain.task(cache=False)
    def load() -> int:
        return 1

    @rain.task
    def draw() -> float:
        return float(rain.rng().random())

    @rain.task
    def listed(items: Any) -> list[int]:
        return list(items)

    for _ in range(2):
        session = again()
        task = fit(load(), str(log))
        task.result()
        assert task.reuse == (
            "computed, and not stored: its input x comes from load, which has no cache=True and has not finished"
        )
        drawn = draw()
        drawn.result()
        assert drawn.reuse.endswith("it draws random numbers by rain.rng(), and the session has no seed")
        task = listed(x for x in range(3))
        assert task.result() == [0, 1, 2]
        assert "used up when it is looked at" in task.reuse
    session = again(seed=1)
    loaded, first = load(), draw()
    assert session.run(loaded) == 1
    values = [first.result(), draw().result()]
    task = fit(loaded, str(log))  # by now it is there, and its bytes tell what it is
    task.result()
    assert task.reuse.startswith("computed for the first time")
    session = again(seed=1)
    loaded, first = load(), draw()
    assert session.run(loaded) == 1
    assert [first.result(), draw().result()] == values
    assert first.reused
    task = fit(loaded, str(log))
    task.result()
    assert task.reused
    again(seed=2)
    load()
    assert draw().result() not in values


def test_only_what_has_cache_is_reused_in_other_sessions(client: Client, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = CELL.replace("@rain.task", "@rain.task(cache=True)")
    with client.new_session("one"):
        task, other = cell(source)["fit"](1, os.devnull), cell()["fit"](1, os.devnull)
        assert [task.result(), other.result()] == [4, 4]
        assert (task.reused, other.reuse) == (False, None)
    assert os.listdir(tmp_path / "cache" / "rain") == ["results"]
    with client.new_session("two"):
        task = cell(source)["fit"](1, os.devnull)
        assert (task.result(), task.reused) == (4, True)
        never = cell(source)["fit"].options(cache=False)(1, os.devnull)
        assert (never.result(), never.reuse) == (4, None)
    with client.new_session("three", cache=True):
        task = cell()["fit"](1, os.devnull)
        assert (task.result(), task.reused) == (4, True)


def test_failures_are_never_stored(again: Again, log: Path) -> None:
    source = CELL.replace("return helper(x)", "raise ValueError(x)")
    for _ in range(2):
        again()
        with pytest.raises(TaskException, match="ValueError"):
            cell(source)["fit"](1, str(log)).result()
    assert ran(log) == 2


def test_a_retry_with_an_edited_function_is_stored_as_what_that_makes(
    again: Again, log: Path, monkeypatch: Any
) -> None:
    """So is what follows from it: neither is taken for a result of the function before."""
    import __main__

    broken = CELL.replace("return helper(x)", "return helper(x) // 0")

    def more(text: bytes) -> bytes:
        return text + b"!"

    def define(source: str) -> Any:
        fit = cell(source)["fit"]
        fit.function.__module__ = "__main__"
        monkeypatch.setattr(__main__, "fit", fit, raising=False)
        return fit

    def chain(source: str) -> tuple[Task[Any], Task[Any]]:
        first = define(source)(1, str(log))
        return first, rain.task(more)(tasks.Concat([rain.task(str)(first)]))

    session = again()
    first, last = chain(broken)
    with pytest.raises(TaskException):
        session.run(last)
    define(CELL)
    session.retry()
    assert (first.result(), ran(log)) == (4, 2)
    assert first.reuse.endswith(
        "; retried with an edited function: line 13 of fit changed (return helper(x), before: return helper(x) // 0)"
    )
    session.wait_all()
    session = again()
    first, last = chain(broken)
    with pytest.raises(TaskException):
        session.run(last)
    assert (last.reused, ran(log)) == (False, 3)
    session = again()
    first, last = chain(CELL)
    session.submit()
    session.wait_all()
    assert (first.reused, last.reused, ran(log)) == (True, True, 3)
    assert first.result() == 4


def test_what_could_not_be_told_before_a_retry_is_stored_after_it(again: Again, log: Path, monkeypatch: Any) -> None:
    import __main__

    draws = CELL.replace("return helper(x)", "return rain.rng() and 1 // 0")

    def define(source: str) -> Any:
        fit = cell(source)["fit"]
        fit.function.__module__ = "__main__"
        monkeypatch.setattr(__main__, "fit", fit, raising=False)
        return fit

    session = again()
    task = define(draws)(1, str(log))
    with pytest.raises(TaskException):
        task.result()
    assert "draws random numbers" in task.reuse
    define(CELL)
    session.retry()
    assert task.result() == 4
    again()
    task = define(CELL)(1, str(log))
    assert (task.result(), task.reused) == (4, True)


def test_environment_variables_and_programs(again: Again, tmp_path: Path) -> None:
    script = tmp_path / "tool.sh"
    script.write_text("#!/bin/sh\necho one $MODE\n")
    script.chmod(0o755)

    def run(mode: str) -> tuple[bytes, str]:
        task = Program([str(script)], stdout="out", env={"MODE": mode})()
        return task.result(), task.reuse

    again()
    assert run("a")[0] == b"one a\n"
    again()
    assert run("a")[1].startswith("reused")
    again()
    assert run("b")[1] == "recomputed because environment variable MODE is another one"
    script.write_text("#!/bin/sh\necho two $MODE\n")
    again()
    found = run("a")
    assert found[0] == b"two a\n"
    assert f"file {script} changed" in found[1]
    with pytest.raises(RainException, match="cache=True has no meaning for builtin/sleep"):
        tasks.Sleep(blob("x"), 0.1, cache=True)


def test_async(client: Client, folder: str, log: Path) -> None:
    async def run() -> tuple[int, bool]:
        async with await client.new_session_async("async", cache=folder):
            task = cell()["fit"](1, str(log))
            return await task.result_async(), task.reused

    assert asyncio.run(run()) == (4, False)
    assert asyncio.run(run()) == (4, True)


def test_executors_take_reused_tasks_as_arguments(client: Client, folder: str, log: Path) -> None:
    for reused in (False, True):
        with client.new_session("executor", cache=folder) as session, client.executor(session=session) as executor:
            task = cell()["fit"](1, str(log))
            assert executor.submit(lambda x: x * 10, task).result(GUARD_S) == 40
            assert task.reused is reused
    assert ran(log) == 1
    with pytest.raises(RainException, match="an executor computes each call: cache=True is an option of"):
        client.executor(cache=True)


def test_a_client_that_closes_without_its_session_stores_the_rest(folder: str, log: Path) -> None:
    for reused in (False, True):
        with Client.local(cpus=1) as client:
            session = client.new_session("left", cache=folder)
            with session.bind_only():
                task = cell()["fit"](1, str(log))
                assert (task.result(), task.reused) == (4, reused)


def test_a_persistent_session(client: Client, folder: str, log: Path) -> None:
    with client.new_session("first", cache=folder):
        cell()["fit"](1, str(log)).result()
    assert client._cluster is not None
    file = client._cluster.connection_file
    with Client(client.address, connection_file=file) as first:
        session = first.new_session("kept", persistent=True, cache=folder)
        with session.bind_only():
            one = cell()["fit"](1, str(log))
            two = cell()["fit"].options(cache=False)(one, str(log))
            assert (two.result(), one.reused) == (7, True)
    with client.attach("kept") as attached:  # of the reused task it has what the other one needed
        (found,) = attached.tasks
        assert found.output.fetch().load() == 7
        assert found.inputs[0].state is DataObjectState.FINISHED


# -- the folder ----------------------------------------------------------------------------------------


def test_what_is_damaged_is_computed_again(again: Again, folder: str, log: Path) -> None:
    source = CELL.replace("return helper(x)", "return bytes(100_000 * x)")
    for damage in (lambda path: path.write_bytes(path.read_bytes()[:-1]), lambda path: path.unlink()):
        again()
        cell(source)["fit"](1, str(log)).result()
        again()  # which closes the session before: all is stored
        (large,) = (path for path in Path(folder, "results").rglob("*.*"))
        damage(large)
        task = cell(source)["fit"](1, str(log))
        assert task.result() == bytes(100_000)
        assert "removed" in task.reuse
        again()
        task = cell(source)["fit"](1, str(log))
        assert (task.result(), task.reused) == (bytes(100_000), True)
        shutil.rmtree(Path(folder, "results"))


def test_the_limit_of_the_folder(again: Again, folder: str) -> None:
    make = rain.task(lambda size: bytes(size))
    again(cache_bytes_max=400_000)
    make(300_000).result()
    with pytest.warns(RainWarning, match="1 result was not stored in .* has 300000 bytes, more than half of what"):
        again(cache_bytes_max=400_000)
    make(150_000).result()
    again()
    task = make(150_000)
    task.result()
    assert task.reused
    with pytest.raises(RainException, match="cache_bytes_max is a number of bytes, not 0"):
        again(cache_bytes_max=0)


def test_a_full_disk_loses_nothing_of_the_run(client: Client, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", disk], check=True)
    try:
        make = rain.task(lambda size: bytes(size), cpus=0.1)
        session = client.new_session("full", cache=disk)
        with session.bind_only():
            assert list(map(len, session.run([make(400_000 + n) for n in range(8)]))) == [400_000 + n for n in range(8)]
        with pytest.warns(RainWarning, match="not stored in .*No space left on device"):
            session.close()
        session = client.new_session("full", cache=disk)
        with session.bind_only():
            tasks = [make(400_000 + n) for n in range(8)]
            assert list(map(len, session.run(tasks))) == [400_000 + n for n in range(8)]
            assert sum(task.reused for task in tasks) == 2, "those that ended first, which may be any"
        with pytest.warns(RainWarning, match="not stored in .*No space left on device"):
            session.close()
        assert os.listdir(disk / "parts") == []
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_folder_that_can_only_be_read(client: Client, folder: str, log: Path) -> None:
    with client.new_session("first", cache=folder):
        cell()["fit"](1, str(log)).result()
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    try:
        session = client.new_session("ro", cache=folder)
        with session.bind_only():
            one, two = cell()["fit"](1, str(log)), cell()["fit"](2, str(log))
            assert (one.result(), two.result(), one.reused) == (4, 5, True)
        with pytest.warns(RainWarning, match="not stored in .*Read-only file system"):
            session.close()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_folder_of_something_else_is_refused_before_anything_runs(client: Client, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    with pytest.raises(RainException, match="holds something else than results"):
        client.new_session("wrong", cache=tmp_path / "mine")
    with pytest.raises(RainException, match="cache= is a folder"):
        client.new_session("wrong", cache=5)  # type: ignore[arg-type]
    with pytest.raises(RainException, match="cache= of a task is True or False"):
        rain.task(len, cache="folder")


SCRIPT = """
import json, os, sys
import rain
folder, count = sys.argv[1], int(sys.argv[2])
def helper(x):
    return [x] * 20_000
@rain.task
def fit(x):
    return helper(x)
if __name__ == "__main__":
    with rain.Client.local(cpus=2) as client, client.new_session("script", cache=folder) as session:
        tasks = fit.map(range(count))
        assert session.run(tasks) == [[x] * 20_000 for x in range(count)]
        if sys.argv[3:]:
            os.kill(os.getpid(), 9)
        print(json.dumps([sum(task.reused for task in tasks), tasks[0].reuse]))
"""


def told(process: subprocess.Popen[str]) -> Any:
    """What a script said at its end."""
    text = process.communicate(timeout=GUARD_S)[0]
    assert process.returncode == 0, text
    return json.loads(text.splitlines()[-1])


@pytest.fixture
def script(tmp_path: Path, folder: str) -> Callable[..., subprocess.Popen[str]]:
    path = tmp_path / "script.py"

    def start(count: int, *more: str, text: str = SCRIPT) -> subprocess.Popen[str]:
        if not path.exists() or path.read_text() != text:  # another process may be reading it
            path.write_text(text)
        command = [sys.executable, str(path), folder, str(count), *more]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def test_scripts_one_after_the_other_and_at_once(script: Callable[..., subprocess.Popen[str]]) -> None:
    for one in [script(60) for _ in range(2)]:
        told(one)
    assert told(script(60))[0] == 60
    edited = script(3, text=SCRIPT.replace("[x] * 20_000\n@", "20_000 * [x]\n@"))
    assert told(edited) == [
        0, "recomputed because line 6 of helper changed (return 20_000 * [x], before: return [x] * 20_000)"
    ]  # fmt: skip


def test_a_script_that_is_killed_leaves_what_was_stored(
    script: Callable[..., subprocess.Popen[str]], folder: str
) -> None:
    killed = script(200, "killed")
    assert killed.wait(GUARD_S) == -signal.SIGKILL
    killed.communicate()
    stored = len(Folder(folder).kept())
    found, _ = told(script(200))
    assert found == stored
    assert len(Folder(folder).kept()) == 200


def test_small_results_lie_together(again: Again, folder: str) -> None:
    """In bursts, one by one, and beside large ones; each is found again."""
    add = rain.task(lambda a, b: a + b)

    def run() -> tuple[list[Any], int]:
        session = again()
        tasks = add.map(range(300), range(300))
        values = session.run(tasks)
        values += [add(n, 1000).result() for n in range(5)]
        large = add("x" * 100_000, "y")
        values.append(large.result())
        return values, sum(task.reused for task in [*tasks, large])

    first, none = run()
    second, reused = run()
    assert (none, reused) == (0, 301)
    assert first == second
    assert len(Folder(folder).kept()) == 306
    again()
    files = [path for path in Path(folder).rglob("*") if path.is_file() and path.parent.name != "functions"]
    assert len(files) <= 3 + 2 + 5, files  # the mark, packs, the large result, and those that came one by one


def test_a_stale_rerun_uses_what_reused_tasks_made(again: Again, monkeypatch: Any) -> None:
    import __main__

    source = (
        "import rain\n@rain.task\ndef base(n):\n    return [n] * 50_000\n"
        "@rain.task(cache=False)\ndef size(x):\n    return len(x) + {}\n"
    )

    def define(more: int) -> dict[str, Any]:
        names = cell(source.format(more))
        for name in ("base", "size"):
            monkeypatch.setattr(__main__, name, names[name], raising=False)
        return names

    again()
    define(0)["base"](1).result()
    session = again()
    names = define(0)
    made = names["base"](1)
    session.run(made)
    assert made.reused
    task = names["size"](made)
    assert task.result() == 50_000
    define(1)
    renewed = session.rerun_stale()
    assert renewed[task].result() == 50_001


def test_what_was_let_go_is_gone(again: Again) -> None:
    make = rain.task(lambda n: [n] * n)
    again()
    make(100).result()
    session = again()
    task = make(100)
    session.run(task)
    assert task.reused
    task.unkeep_outputs()
    assert task.output.state is DataObjectState.REMOVED
    with pytest.raises(RainException, match="cannot be fetched because it is not kept"):
        task.output.fetch()
    with pytest.raises(RainException, match="removed when nothing needed them"):
        task.output.keep()
    session.keep_all()
    with pytest.raises(RainException, match="is not kept"):
        make(task).result()
