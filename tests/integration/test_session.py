"""The client's API with a real server, governor and executors."""

from __future__ import annotations

import asyncio
import gc
import glob
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rain import (
    ID,
    Client,
    DataInstance,
    DataObjectState,
    DataType,
    Input,
    InputDir,
    Output,
    OutputDir,
    Program,
    RainException,
    RainWarning,
    Session,
    SessionException,
    TaskCancelled,
    TaskException,
    TaskState,
    blob,
    directory,
    pickled,
    remote,
    tasks,
)
from tests.support.waiting import GUARD_S, at_this_load, until


@remote(auto_load=True, auto_encode="pickle")
def same(ctx: Any, x: Any = None) -> Any:
    return x


@remote(auto_load=True, auto_encode="pickle")
def add(ctx: Any, *parts: Any) -> Any:
    return sum(parts)


@remote(auto_load=True, auto_encode="pickle")
def fail(ctx: Any, x: Any = None) -> Any:
    ctx.debug("about to fail with {}", x)
    raise ValueError("wrong", 7)


@remote()
def wait_for_file(ctx: Any, path: str) -> bytes:
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.005)
    return b"seen"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """Tasks of `wait_for_file` end when this exists."""
    return tmp_path / "gate"


# -- submits and states ---------------------------------------------------------------------------


def test_states_before_and_after(session: Session, gate: Path) -> None:
    first = wait_for_file(str(gate))
    second = tasks.Concat([first])
    second.keep_outputs()
    assert (first.state, second.output.state, second.info) == (None, None, None)
    session.submit()
    assert second.state is TaskState.WAITING
    assert second.output.state is DataObjectState.UNFINISHED
    until(lambda: first.update() or first.state is TaskState.RUNNING, "the task runs")
    gate.touch()
    assert second.output.fetch(timeout=GUARD_S).get_bytes() == b"seen"
    assert (second.state, second.output.state) == (TaskState.FINISHED, DataObjectState.FINISHED)
    first.output.update()
    assert first.output.state is DataObjectState.REMOVED


def test_several_submits(session: Session) -> None:
    constant = blob("x")
    first = same(constant)
    first.keep_outputs()
    session.submit()
    second = tasks.Concat([first, constant, blob("y")])
    assert session.task_count == 1
    assert session.dataobj_count == 2
    assert session.run(second, timeout=GUARD_S).endswith(b"xy")
    assert session.task_count == session.dataobj_count == 0


def test_a_submitted_task_runs_without_its_handle(session: Session, tmp_path: Path) -> None:
    tasks.Store(blob("stored"), tmp_path / "out")
    session.submit()
    gc.collect()
    session.wait_all(timeout=GUARD_S)
    assert (tmp_path / "out").read_text() == "stored"
    assert [task.task_type for task in session.tasks] == ["builtin/store"]


def test_run(session: Session) -> None:
    assert session.run(add(1, 2)) == 3
    assert session.run(blob("text")) == "text"
    assert session.run(add(1, 2), blob(b"raw"), same([])) == [3, b"raw", []]
    two = remote(outputs=2, auto_encode="json")(lambda ctx: (1, 2))()
    assert session.run(two) == [1, 2]
    assert session.run(two.outputs[1]) == 2
    assert session.run(remote(outputs=0)(lambda ctx: None)()) is None


def test_infos(session: Session, client: Client) -> None:
    @remote(outputs=["a"])
    def infos(ctx: Any) -> str:
        ctx.debug("one {}", 1)
        ctx.debug("two {x}", x=2)
        ctx.info.user["answer"] = [42]
        print("to stdout")
        os.system("echo from below >&2")
        return "text"

    task = infos(user_spec={"mine": 1})
    session.submit()
    task.wait(timeout=GUARD_S)
    task.update()
    info = task.info
    assert info is not None
    assert info.debug == "one 1\ntwo 2"
    assert info.user == {"answer": [42]}
    assert info.duration is not None
    assert 0 <= info.duration < GUARD_S
    assert abs((info.start_time or 0) - time.time()) < 60
    assert info.governor == client.get_server_info()["governors"][0]["governor_id"]
    assert (info.attempts, info.error) == (1, None)
    assert task.spec.user == {"mine": 1}
    assert task.stdout() == "to stdout\n"
    assert task.stderr() == "from below\n"
    assert task.output.info is not None
    assert task.output.info.size == 4
    assert task.output.content_type == "text"
    assert isinstance(task.explain(), str)


# -- waiting --------------------------------------------------------------------------------------


def test_wait_some_and_as_completed(session: Session, gate: Path) -> None:
    slow, fast = wait_for_file(str(gate)), same(1)
    session.submit()
    assert session.wait_some([slow, fast], timeout=GUARD_S) == ([fast], [])
    iterator = session.as_completed([slow, fast])
    assert next(iterator) is fast
    gate.touch()
    assert list(iterator) == [slow]


def test_waiting_asynchronously(session: Session) -> None:
    async def main() -> None:
        task = tasks.Sleep(blob("a"), 0.01)
        task.keep_outputs()
        await session.submit_async()
        assert await task is task
        assert (await task.output.fetch_async()).get_str() == "a"
        assert await session.run_async(add(1, 1)) == 2
        await asyncio.gather(*(session.run_async(add(i, 1), timeout=GUARD_S) for i in range(5)))
        with pytest.raises(TimeoutError):
            nap = tasks.Sleep(blob("a"), 60)
            await session.submit_async()
            await nap.wait_async(timeout=0.01)
        await nap.cancel_async()
        with pytest.raises(TaskCancelled):
            await nap

    asyncio.run(main())


def test_ctrl_c(session: Session) -> None:
    nap = tasks.Sleep(blob("a"), 60)
    session.submit()
    timer = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        nap.wait()
    assert time.monotonic() - begin < at_this_load(1.0)
    assert session.run(add(1, 1), timeout=GUARD_S) == 2
    nap.cancel()


def test_threads_share_a_client(client: Client) -> None:
    results: dict[int, int] = {}

    def work(number: int) -> None:
        with client.new_session(f"thread {number}") as session:
            results[number] = session.run(add(*[number] * 10), timeout=GUARD_S)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: 10 * number for number in range(4)}


# -- failure --------------------------------------------------------------------------------------


def test_failures_carry_everything(session: Session) -> None:
    bad = fail(3, name="culprit")
    after = same(bad, name="victim")
    good = add(1, 2)
    good.keep_outputs()
    session.submit()
    with pytest.raises(TaskException) as caught:
        session.wait_all(timeout=GUARD_S)
    text = str(caught.value)
    order = ["'culprit'", 'raise ValueError("wrong", 7)', "ValueError: ('wrong', 7)", "was made at", "about to fail"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert "test_session.py" in text
    assert str(bad.id) in text
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.__cause__.args == ("wrong", 7)
    with pytest.raises(TaskException) as of_victim:
        after.wait()
    assert text in str(of_victim.value)
    assert set(session.wait_all(raise_on_failure=False, timeout=GUARD_S)) == {bad, after}
    assert good.output.fetch().load() == 3
    after.update()
    session.update([bad, after.output])
    session.unkeep([after.output])
    assert bad.info is not None
    assert "ValueError" in (bad.info.error or "")


def test_a_session_that_stops(client: Client) -> None:
    with client.new_session("strict", on_failure="stop") as session:
        nap, bad = tasks.Sleep(blob("a"), 60), fail(1)
        session.submit()
        with pytest.raises(TaskException, match="ValueError"):
            session.wait_all(timeout=GUARD_S)
        for access in (nap.wait, session.submit, lambda: session.update([bad]), lambda: session.unkeep([bad.output])):
            with pytest.raises(TaskException, match="ValueError"):
                access()
    with client.new_session("other") as other:
        assert other.run(add(1, 1), timeout=GUARD_S) == 2


def test_cancel(session: Session, gate: Path) -> None:
    running = wait_for_file(str(gate))
    waiting = tasks.Concat([running])
    session.submit()
    until(lambda: running.update() or running.state is TaskState.RUNNING, "the task runs")
    running.cancel()
    for task in (running, waiting):
        with pytest.raises(TaskException):
            task.wait(timeout=GUARD_S)
    assert running.state is TaskState.CANCELLED
    session.cancel()
    assert session.run(add(1, 1), timeout=GUARD_S) == 2


def test_what_a_cancelled_task_wrote_stays(session: Session, tmp_path: Path) -> None:
    @remote()
    def talk(ctx: Any, ready: str) -> None:
        print("from Python")
        os.write(2, b"trouble\n")
        Path(ready).touch()
        time.sleep(600)

    ready = [tmp_path / "python", tmp_path / "program"]
    python = talk(str(ready[0]))
    program = tasks.Execute(f"echo from a program; echo trouble >&2; touch {ready[1]}; exec sleep 600", shell=True)
    session.submit()
    until(lambda: all(path.exists() for path in ready), "both tasks run")
    session.cancel(timeout=GUARD_S)
    assert (python.stdout(), python.stderr()) == ("from Python\n", "trouble\n")
    assert (program.stdout(), program.stderr()) == ("from a program\n", "trouble\n")
    assert len(session.wait_all(raise_on_failure=False)) == 2


def test_retries(session: Session, tmp_path: Path) -> None:
    @remote()
    def third_time(ctx: Any, path: str) -> bytes:
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise KeyError("not yet")
        return b"done"

    task = third_time(str(tmp_path / "a"), retries=5)
    assert session.run(task, timeout=GUARD_S) == b"done"
    assert task.info is not None
    assert task.info.attempts == 3
    other = third_time(str(tmp_path / "b"), retries=5, retry_on=ValueError)
    session.submit()
    with pytest.raises(TaskException, match="KeyError"):
        other.wait(timeout=GUARD_S)
    assert session.run(third_time(str(tmp_path / "c"), retries=5, retry_on=LookupError), timeout=GUARD_S) == b"done"


def test_task_timeout_and_env(session: Session) -> None:
    @remote(auto_encode="json")
    def env(ctx: Any) -> Any:
        return [os.environ.get("ANSWER"), os.environ.get("RAIN_TOKEN"), os.environ.get("OMP_NUM_THREADS")]

    assert session.run(env(env={"ANSWER": "42"}), timeout=GUARD_S) == ["42", None, "1"]
    assert session.run(env(), timeout=GUARD_S)[0] is None
    slow = remote()(lambda ctx: time.sleep(60))(timeout=0.2)
    session.submit()
    with pytest.raises(TaskException, match=r"0\.2 s"):
        slow.wait(timeout=GUARD_S)


# -- data -----------------------------------------------------------------------------------------


def test_keep_and_release(client: Client, session: Session) -> None:
    def held() -> set[ID]:
        return {id for governor in client.get_server_info()["governors"] for id in governor["objects"]}

    kept, dropped = add(1), add(2)
    kept.keep_outputs()
    dropped.keep_outputs()
    session.submit()
    session.wait_all(timeout=GUARD_S)
    assert {kept.output.id, dropped.output.id} <= held()
    number = dropped.output.id
    del dropped
    gc.collect()
    until(lambda: number not in held(), "the object is released")
    kept.unkeep_outputs()
    until(lambda: kept.output.id not in held(), "the object is gone")
    with pytest.raises(RainException, match="not kept"):
        kept.output.fetch()
    with pytest.raises(RainException):
        kept.output.keep()


def test_large_values(session: Session) -> None:
    np = pytest.importorskip("numpy")
    array = np.arange(300_000)
    doubled = remote(auto_load=True, auto_encode="pickle")(lambda ctx, x: x + x)
    made = doubled(pickled(array))
    made.keep_outputs()
    session.submit()
    array = array + array
    found = made.output.fetch(timeout=GUARD_S)
    assert found.size > array.nbytes
    local = found.load()
    assert (local == array).all()
    assert not found.load(writable=False).flags.writeable
    local[0] = 9
    assert found.load()[0] == 0
    assert (pickle.loads(found.get_bytes()) == array).all()


def test_large_arguments(session: Session) -> None:
    data = os.urandom(400_000)
    with pytest.warns(RainWarning, match="Pickled object x length"):
        task = same(data)
    assert session.run(task, timeout=GUARD_S) == data
    with pytest.warns(RainWarning, match="Pickled object x length"):
        nested = same([blob("a"), data])
    assert session.run(nested, timeout=GUARD_S) == ["a", data]


def test_objects_anywhere_in_arguments(session: Session) -> None:
    class Holder:
        def __init__(self, inside: Any) -> None:
            self.inside = inside

    a, b = pickled(1), pickled(2)
    in_closure = pickled(3)

    @remote(auto_encode="json", auto_load=True)
    def gather(ctx: Any, listed: Any, holder: Any, lazy: Any, default: Any = b) -> Any:
        return [listed[0]["k"], holder.inside, list(lazy), in_closure, default]

    task = gather([{"k": a}], Holder(b), (item for item in (a, 7)))
    assert session.run(task, timeout=GUARD_S) == [1, 2, [1, 7], 3, 2]
    assert set(task.inputs) == {a, b, in_closure}


def test_instances_and_loaded_values(session: Session) -> None:
    @remote(inputs={"x": Input(load=True, content_type="json")}, auto_encode="json")
    def kinds(ctx: Any, x: Any, y: Any) -> Any:
        return [x, type(y).__name__, y.get_str(), y.content_type, y.size, ctx.function is not None]

    assert session.run(kinds(blob(b"[1]"), blob("ä")), timeout=GUARD_S) == [[1], "DataInstance", "ä", "text", 2, True]


def test_inputs_pass_through_without_a_copy(session: Session) -> None:
    @remote()
    def through(ctx: Any, x: Any) -> DataInstance:
        x.info.user["seen"] = True
        return x  # type: ignore[no-any-return]

    data = os.urandom(200_000)
    task = through(blob(data))
    assert session.run(task, timeout=GUARD_S) == data
    assert task.output.info is not None
    assert task.output.info.user == {"seen": True}


def test_directories(session: Session, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub" / "empty").mkdir(parents=True)
    (source / "sub" / "a.txt").write_text("a")

    @remote(outputs=[OutputDir("d")])
    def stage(ctx: Any, given: Any) -> Any:
        given.write("copy")
        os.mkdir("copy/new")
        with open("copy/new/b", "w") as file:
            file.write("b")
        return ctx.stage_directory("copy")

    folder = directory(source)
    staged = stage(folder)
    staged.keep_outputs()
    sliced = tasks.SliceDirectory(staged, "new/b")
    part = tasks.SliceDirectory(folder, "sub/")
    part.keep_outputs()
    made = tasks.MakeDirectory({"x/y": sliced, "z": part})
    made.keep_outputs()
    assert session.run(sliced, timeout=GUARD_S) == b"b"
    whole = session.run(made, timeout=GUARD_S)
    assert whole.data_type is DataType.DIRECTORY
    whole.write(tmp_path / "whole")
    assert (tmp_path / "whole" / "x" / "y").read_text() == "b"
    assert (tmp_path / "whole" / "z" / "a.txt").read_text() == "a"
    assert (tmp_path / "whole" / "z" / "empty").is_dir()
    staged.output.fetch().write(tmp_path / "staged")
    assert sorted(path.name for path in (tmp_path / "staged").rglob("*")) == ["a.txt", "b", "empty", "new", "sub"]
    found = session.run(folder, timeout=GUARD_S)
    found.write(tmp_path / "folder")
    assert (tmp_path / "folder" / "sub" / "a.txt").read_text() == "a"


def test_a_large_directory(session: Session, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "data").write_bytes(os.urandom(300_000))
    folder = directory(tmp_path / "big")
    assert session.run(tasks.SliceDirectory(folder, "data"), timeout=GUARD_S) == (tmp_path / "big/data").read_bytes()
    again = session.run(folder, timeout=GUARD_S)
    assert again.size == 300_000
    again.link(tmp_path / "linked")
    assert (tmp_path / "linked" / "data").stat().st_size == 300_000


def test_programs(session: Session, tmp_path: Path) -> None:
    lines = blob("b\na\nc\n")
    ordered = tasks.Execute(["sort", "-r", lines], stdout=Output("sorted", content_type="text"))
    head = Program(["head", "-n", "1"], stdin=Input("text"), stdout=True)
    first = head(text=ordered)
    assert session.run(ordered, first, timeout=GUARD_S) == ["c\nb\na\n", b"c\n"]
    piped = tasks.Execute(["cat", lines, "|", "wc", "-l", ">", Output("n", content_type="text")], shell=True)
    assert session.run(piped, timeout=GUARD_S).strip() == "3"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("x")
    mapped = tasks.Execute(
        "test -d in -a ! -L in && mkdir out && cat in/x > out/y && find . | sort",
        shell=True,
        stdout=Output("names", content_type="text"),
        input_paths=[InputDir("in", dataobj=directory(tmp_path / "d"))],
        output_paths=[Output("y", path="out/y")],
    )
    copied, names = session.run(mapped, timeout=GUARD_S)
    assert (copied, names.split()) == (b"x", [".", "./in", "./in/x", "./out", "./out/y"])
    wrong = tasks.Execute(["sh", "-c", "echo oops >&2; exit 3"])
    fine = tasks.Execute(["sh", "-c", "exit 3"], exit_codes=[3])
    session.submit()
    fine.wait(timeout=GUARD_S)
    with pytest.raises(TaskException, match=r"(?s)3.*oops"):
        wrong.wait(timeout=GUARD_S)


def test_results_of_several_kinds(session: Session) -> None:
    @remote(outputs=["a", Output("b", encode="json"), "c"])
    def several(ctx: Any, how: str) -> Any:
        values = [b"raw", {"k": 1}, ctx.blob("text")]
        return dict(zip("abc", values, strict=True)) if how == "dict" else tuple(values)

    for how in ("dict", "tuple"):
        assert session.run(several(how), timeout=GUARD_S) == [b"raw", {"k": 1}, "text"]
    wrong = remote(outputs=2)(lambda ctx: [b"one"])()
    session.submit()
    with pytest.raises(TaskException, match="outputs"):
        wrong.wait(timeout=GUARD_S)


def test_an_executor_is_reused(session: Session) -> None:
    @remote(auto_encode="json")
    def who(ctx: Any) -> Any:
        ctx.cache["count"] = ctx.cache.get("count", 0) + 1
        return [os.getpid(), id(ctx.function), ctx.cache["count"]]

    first = session.run(who(), timeout=GUARD_S)
    pids = {first[0]}
    seen = [first]
    for _ in range(5):
        seen.append(session.run(who(), timeout=GUARD_S))
        pids.add(seen[-1][0])
    assert len(pids) <= 2
    again = [item for item in seen if item[0] == first[0]]
    assert len({item[1] for item in again}) == 1
    assert [item[2] for item in again] == list(range(1, len(again) + 1))
    assert session.run(who(fresh=True), timeout=GUARD_S)[2] == 1


def test_a_changed_global_travels(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scaled(2)
    monkeypatch.setitem(globals(), "FACTOR", [10])
    second = scaled(2)
    FACTOR.append(5)
    third = scaled(2)
    assert session.run(first, second, third, timeout=GUARD_S) == [6, 20, 30]


FACTOR = [3]


@remote(auto_encode="json")
def scaled(ctx: Any, x: int) -> int:
    return x * sum(FACTOR)


# -- sessions -------------------------------------------------------------------------------------


def test_closing_kills_what_runs(client: Client, gate: Path) -> None:
    session = client.new_session("short")
    with session.bind_only():
        task = wait_for_file(str(gate))
        session.submit()
        until(lambda: task.update() or task.state is TaskState.RUNNING, "the task runs")
    begin = time.monotonic()
    session.close()
    assert time.monotonic() - begin < at_this_load(5)
    with pytest.raises(SessionException):
        task.wait()
    info = client.get_server_info()
    assert all(id.session_id != session.session_id for governor in info["governors"] for id in governor["objects"])
    assert session.session_id not in [summary.session_id for summary in client.sessions()]


def test_retry(session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = same(5)
    bad = broken(first)
    after = add(bad, 1)
    after.keep_outputs()
    session.submit()
    with pytest.raises(TaskException, match="not yet"):
        session.wait_all(timeout=GUARD_S)
    session.wait_all(raise_on_failure=False, timeout=GUARD_S)
    repaired = remote(auto_load=True, auto_encode="pickle")(mended)
    mended.__qualname__ = "broken"
    monkeypatch.setitem(globals(), "broken", repaired)
    session.retry()
    assert session.wait_all(timeout=GUARD_S) == []
    assert after.output.fetch().load() == 11


@remote(auto_load=True, auto_encode="pickle")
def broken(ctx: Any, x: int) -> int:
    raise ValueError("not yet")


def mended(ctx: Any, x: int) -> int:
    return 2 * x


def test_a_persistent_session_lives_on(client: Client) -> None:
    first = Client(client.address, connection_file=client._cluster.connection_file)
    kept = first.new_session("long", persistent=True)
    with kept.bind_only():
        task = add(1, 2, name="sum")
        task.keep_outputs()
        kept.submit()
    number = task.output.id
    first.close()
    session = client.attach("long")
    assert (session.session_id, session.name) == (kept.session_id, "long")
    again = session.find("sum")
    assert again.id == task.id
    again.wait(timeout=GUARD_S)
    assert again.output.id == number
    assert again.output.fetch(timeout=GUARD_S).load() == 3
    with session.bind_only():
        assert session.run(add(again, 4), timeout=GUARD_S) == 7
    session.close()
    with pytest.raises(RainException, match="no persistent session"):
        client.attach("long")


def test_server_info(client: Client, session: Session, gate: Path) -> None:
    task = wait_for_file(str(gate))
    session.submit()
    until(lambda: task.update() or task.state is TaskState.RUNNING, "the task runs")
    info = client.get_server_info()
    (governor,) = info["governors"]
    assert governor["resources"]["cpus"] == 2
    assert task.id in governor["tasks"]
    assert task.output.id in governor["objects"]
    assert isinstance(governor["objects_to_delete"], list)
    assert session.session_id in [summary["session_id"] for summary in info["sessions"]]
    gate.touch()
    task.wait(timeout=GUARD_S)


def test_what_fits_nowhere(client: Client, session: Session) -> None:
    task = same(1, resources={"unobtainium": 1})
    session.submit()
    with pytest.raises(TaskException, match="unobtainium"):
        task.wait(timeout=GUARD_S)


def test_many_small_tasks(session: Session) -> None:
    made = add.map(range(2000), range(2000))
    total = add(*made)
    assert session.run(total, timeout=GUARD_S) == 2 * sum(range(2000))
    assert session.wait_all() == []


def test_chains(session: Session) -> None:
    task = add(0)
    for _ in range(200):
        task = add(task, 1)
    assert session.run(task, timeout=GUARD_S) == 200


def test_large_arguments_go_with_their_task(client):
    """Also those that the server has as files: it would fill the memory else, one call after the other."""

    @remote(auto_load=True, auto_encode="json")
    def length(ctx, data):
        return len(data)

    def held(session):
        files = glob.glob("/dev/shm/rain-constants-*/constants/*") + glob.glob("/tmp/rain-constants-*/constants/*")
        return [path for path in files if os.path.getsize(path) > 1_000_000]

    with client.new_session("large") as session:
        before = held(session)
        with pytest.warns(RainWarning, match="travels as a blob"):
            assert session.run(length(bytes(1_500_000))) == 1_500_000
        session.update(session.tasks)
        assert held(session) == before
