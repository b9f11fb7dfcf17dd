"""A user's script that names everything that Rain offers, for type checkers: they must find it without a mistake.

It is not run: what it does would take long. `tests/test_public_names.py` sees that no public name is missing here.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, assert_type

import rain
import rain.client
import rain.client.tasks
import rain.common
import rain.notebook.magics as magics
from rain import (
    ID,
    Client,
    Context,
    DataInstance,
    DataObject,
    DataObjectState,
    DataType,
    Input,
    InputBase,
    InputDir,
    LabeledList,
    Output,
    OutputBase,
    OutputDir,
    PlainFunction,
    Program,
    ProtocolError,
    RainException,
    RainWarning,
    Remote,
    ResourceError,
    Session,
    SessionException,
    Task,
    TaskCancelled,
    TaskException,
    TaskState,
    blob,
    current_task,
    dask_get,
    directory,
    files,
    get_active_session,
    pickled,
    remote,
    rng,
    task,
    tasks,
)
from rain.client.session import get_active_session as also_active_session
from rain.client.tasks import Concat, Execute, Load, LoadDir, MakeDirectory, Sleep, SliceDirectory, Store
from rain.common import Attempt, ObjectInfo, ObjectSpec, ProcessEnd, TaskInfo, TaskSpec, TaskSpecInput
from rain.common.content_type import (
    check_content_type,
    decode_value,
    encode_value,
    is_subtype,
    merge_content_types,
    text_encoding,
)
from rain.interfaces.executor import RainFuture
from rain.notebook import load_ipython_extension, unload_ipython_extension, widget_of

assert_type(rain.__version__, str)
assert_type(rain.client.Client.local(), Client)
assert_type(rain.client.tasks.Concat([]), Concat)
assert_type(rain.common.ID(1, 2), ID)


# -- remote functions ------------------------------------------------------------------------------


@remote
def bare(ctx: Context) -> bytes:
    return b""


@remote(outputs=["even", Output("odd", encode="json")], inputs={"numbers": Input(load=True)}, cpus=2, retries=1)
def split(ctx: Context, numbers: list[int], folder: DataInstance) -> dict[str, Any]:
    ctx.debug("{} numbers of {}", len(numbers), ctx.spec.name)
    ctx.info.user["numbers"] = len(numbers)
    ctx.progress(1, len(numbers), note="half way")
    ctx.show(numbers, title="numbers")
    if ctx.nodes:
        assert_type(ctx.nodes[0].governor, str)
        ctx.launch(["./solve", "--all"], env={"SEED": "1"})
        ctx.launch(["./solve"], launcher="srun")
    ctx.cache.setdefault("model", ctx.function)
    assert_type(ctx.debug_text(), str)
    assert_type(ctx.blob("text", content_type="text"), DataInstance)
    assert_type(ctx.pickled(numbers), DataInstance)
    assert_type(ctx.stage_directory(Path("made")), DataInstance)
    return {"even": numbers[::2], "odd": ctx.stage_file("odd.json", "json")}


assert_type(bare, Remote)
assert_type(split, Remote)


def calls(numbers: DataObject, folder: DataObject) -> None:
    assert_type(split(numbers, folder, outputs=[None, "rest"]), Task)
    assert_type(split.options(name="split", priority=1), Remote)
    assert_type(split.map([numbers], [folder], name="many"), list[Task])
    assert_type(Remote(lambda ctx, n: n, auto_encode="json")(1), Task)
    plain: dict[str, Any] = split.local([1, 2], folder)
    again: dict[str, Any] = split.function(None, **plain)
    assert again


# -- plain functions -------------------------------------------------------------------------------


@task
def halved(number: int, by: int = 2) -> float:
    assert_type(current_task(), Context)
    return number / by


@task(cpus=2, retries=1, encode="json")
def listed(numbers: list[float]) -> list[float]:
    return numbers


class Model:
    @task
    def fit(self, data: list[float]) -> str:
        return f"{data}"


def plain(session: Session) -> None:
    assert_type(halved(3), Task[float])
    assert_type(halved(3, by=4).result(timeout=1), float)
    assert_type(listed([halved(1), 2]).result(), list[float])
    assert_type(halved.options(name="half")(1), Task[float])
    assert_type(halved.map([1, 2], by=3), list[Task[float]])
    assert_type(halved.local(3), float)
    assert_type(halved.function, Callable[..., Any])
    assert_type(session.call(len, "abc").result(), int)
    assert_type(session.call(halved.function, 1).exception(), BaseException | None)
    assert_type(files(["a/*.fits", Path("b.fits")], content_type="user/fits"), list[DataObject])
    assert_type(halved.reduce([1, 2, 3], width=2), Task[float])
    assert_type(split.reduce([1, 2]), Task)
    assert_type(halved(1).args, dict[str, Any])
    session.seed = assert_type(session.seed, int | None)
    assert_type(session.check(halved, raise_on_failure=True, timeout=5).failures[0].task, Task | None)
    if session.client is not None:
        assert_type(session.client.new_session("drawn", seed=42, echo=False), Session)
    print(rng().normal(), session.run([halved(1), halved(2)]))
    assert_type(PlainFunction(len, cpus=0)("abc").result(), int)


# -- values and programs ---------------------------------------------------------------------------


def values(session: Session) -> list[DataObject]:
    promise = DataObject("made", session, content_type="json", data_type=DataType.BLOB, size_hint=1e6)
    return [blob(b"raw"), blob([1], encode="json"), pickled({1}), directory(Path("data")), promise]


def programs(text: DataObject, folder: DataObject) -> list[Task]:
    grep = Program(
        ["grep", "-c", Input("pattern"), Input("text", path="t.txt")], stdout=Output("count"), exit_codes=[0, 1]
    )
    assert_type(grep(pattern=text, text=text, output="lines"), Task)
    assert_type(grep.options(cpus=2, env={"LANG": "C"}), Program)
    return [
        Concat([text, ("label", text)], output="all"),
        Execute("sort", stdin=text, stdout=True, name="sort"),
        Execute(["ls", InputDir("f", dataobj=folder), OutputDir("made", path="out")], shell=False),
        Load("/data/table.csv", Output("table", content_type="text")),
        LoadDir(Path("/data")),
        MakeDirectory({"a/b": text, "c": folder}),
        Sleep(text, 0.5),
        SliceDirectory(folder, "a/b"),
        Store(text, "/tmp/stored"),
        tasks.Concat.options(name="joined", cpus=0)([text]),
    ]


def described(given: InputBase, made: OutputBase, obj: DataObject) -> None:
    given.check(obj)
    assert_type((given.label, given.path, given.content_type), tuple[str | None, str | None, str | None])
    assert_type((given.dataobj, given.data_type), tuple[DataObject | None, DataType])
    assert_type((given.load, given.write, given.writable), tuple[bool | None, bool, bool])
    assert_type(made.merge("best"), OutputBase)
    assert_type((made.label, made.path, made.encode), tuple[str | None, str | None, str | None])
    assert_type((made.content_type, made.declared_type), tuple[str | None, str | None])
    assert_type((made.size_hint, made.data_type), tuple[int | None, DataType])


class Double(Task):
    TASK_TYPE = "mine/double"


# -- clients and sessions --------------------------------------------------------------------------


def clients() -> None:
    with Client.local(cpus=2, governors=1, memory="1G") as client:
        assert_type((client.address, client.http_address, client.http_url), tuple[str, str, str])
        assert_type(client.http_headers, dict[str, str])
        assert_type(client.http_context(), ssl.SSLContext | None)
        assert_type(client.get_server_info(timeout=1), dict[str, Any])
        client.wait_for_governors(1, 10.0)
        client.drain_governors(["127.0.0.1:7211"], within=60)
        with client.executor(cpus=2, retries=1) as executor:
            assert_type(executor.submit(pow, 2, 5), RainFuture)
            assert_type(executor.map(pow, [2], [5], chunksize=10, buffersize=2, timeout=5.0), Iterator[Any])
        with client.pool("slurm", 2, cpus=4, time="1:00:00") as pool:
            pool.scale(3)
            pool.wait(1, timeout=60.0)
            pool.adapt(0, 50, idle="5m", core_hours=1000)
            assert_type(pool.used_core_s + pool.used_before_core_s, float)
            assert_type((pool.most, pool.resources), tuple[int, dict[str, float]])
            assert_type(len(client.pools), int)
            assert_type(len(pool.places), int)
            assert_type([place.ends_at for place in pool.places], list[float | None])
            assert_type([place.cause + place.printed for place in pool.places], list[str])
            pool.give_up([place.number for place in pool.places[1:]])
            pool.watch(lambda: print(pool.trouble))()
        assert_type(Client.on("slurm", nodes=2, cpus=4, timeout=60.0), Client)
        assert_type(Client.on("slurm", minimum=0, maximum=5, idle="5m", core_hours=10.0), Client)
        assert_type(Client.on(object(), wait=2), Client)
        assert_type(Client.on(["n1", "me@n2:22"], key="~/.ssh/id", wait=2), Client)
        print([(summary.session_id, summary.name) for summary in client.sessions()])
        with client.new_session(
            "first", default=True, on_failure="stop", timeout=5, cache="results", cache_bytes_max=1e9
        ) as session:
            sessions(client, session)
        client.update(session.tasks)
    Client("host", 7210, token="t", connection_file=Path("file"), timeout=1).close()


def sessions(client: Client, session: Session) -> None:
    assert_type(get_active_session(), Session)
    assert_type(also_active_session(), Session)
    assert_type(client.attach("first"), Session)
    assert_type(session.client, Client | None)
    assert_type((session.session_id, session.name), tuple[int, str])
    assert_type((session.persistent, session.active, session.echo), tuple[bool, bool, bool])
    session.echo = True
    session.previews = assert_type(session.previews, bool)
    assert_type((session.tasks, session.objects), tuple[list[Task], list[DataObject]])
    assert_type((session.task_count, session.dataobj_count), tuple[int, int])
    assert_type(session.find("name"), Task | DataObject)
    session.set_as_default()
    with session.bind_only() as bound:
        assert_type(bound, Session)
        task = Double([blob(b"2")], ["result"], config={"n": 1})
        obj = task.output
    session.submit(timeout=10)
    total: int = session.run(task, obj, timeout=10)
    data: DataInstance = session.fetch(task)
    print(total, data)
    session.wait([task, obj], 1)
    assert_type(session.wait_some(task, timeout=1), tuple[list[Task], list[DataObject]])
    assert_type(session.wait_all(raise_on_failure=False, progress=True), list[Task])
    for item in session.as_completed([task, obj], timeout=1):
        assert_type(item, Task | DataObject)
    session.keep(obj)
    session.keep_all()
    session.unkeep([obj])
    session.update(task)
    session.cancel()
    session.retry([task])
    assert_type(session.rerun_stale([task]), dict[Task, Task])
    assert_type(session.stale, list[Task])
    assert_type(task.renewed.stale, bool)
    assert_type(task.reused, bool)
    assert_type(task.reuse, str | None)
    session.forget(task)
    graph = session.make_graph(show_ids=False)
    assert_type(session.report(Path("run.html"), packages=["numpy"]), str)
    assert_type(session.trace("trace.json"), None)
    graph.write("graph.svg")
    session.close()
    Session(None, 1, "detached", persistent=True)


async def sessions_async(client: Client) -> None:
    async with await client.new_session_async("first", persistent=True) as session:
        assert_type(bool(await session.check_async()), bool)
        task = bare()
        assert_type(await client.attach_async(1, timeout=1), Session)
        assert_type(await client.get_server_info_async(), dict[str, Any])
        print((await client.sessions_async())[0].name)
        await client.wait_for_governors_async(1)
        await client.drain_governors_async("127.0.0.1:7211", timeout=5.0)
        assert_type(await halved(1).result_async(timeout=1), float)
        assert_type(await halved(1).exception_async(), BaseException | None)
        await client.update_async(task)
        await session.submit_async()
        await session.keep_async(task)
        await session.keep_all_async()
        await session.wait_async(task, timeout=1)
        assert_type(await session.wait_some_async([task]), tuple[list[Task], list[DataObject]])
        assert_type(await session.wait_all_async(progress=True), list[Task])
        async for item in session.as_completed(task):
            assert_type(item, Task | DataObject)
        total: int = await session.run_async(task)
        data: DataInstance = await session.fetch_async(task)
        print(total, data)
        await session.unkeep_async(task)
        await session.update_async(task)
        await session.cancel_async(task)
        await session.retry_async(task)
        assert_type(await session.rerun_stale_async(), dict[Task, Task])
        await session.forget_async(task)
        await session.close_async()


# -- tasks and objects -----------------------------------------------------------------------------


def items(task: Task, obj: DataObject) -> None:
    assert_type((task.id, task.name, task.task_type), tuple[ID, str | None, str])
    assert_type((task.state, task.stack), tuple[TaskState | None, str])
    assert_type((task.inputs, task.outputs), tuple[LabeledList[DataObject], LabeledList[DataObject]])
    assert_type(task.output, DataObject)
    task.keep_outputs()
    task.unkeep_outputs(timeout=1)
    task.wait(1)
    task.update()
    task.cancel()
    assert_type((task.stdout(), task.stderr(), task.explain()), tuple[str, str, str])
    assert_type(task.fetch_outputs(), list[DataInstance])
    assert_type(task.fetch_refused(), LabeledList[DataInstance])
    assert_type(task.capsule(Path("capsule"), timeout=10), str)
    assert_type((obj.id, obj.label, obj.state), tuple[ID, str | None, DataObjectState | None])
    assert_type((obj.content_type, obj.data_type), tuple[str | None, DataType])
    obj.expect_dir()
    obj.keep()
    assert_type(obj.is_kept(), bool)
    obj.unkeep()
    obj.wait()
    obj.update()
    assert_type(obj.fetch(timeout=1), DataInstance)


async def items_async(task: Task, obj: DataObject) -> None:
    assert_type(await task, Task)
    assert_type(await obj, DataObject)
    await task.keep_outputs_async()
    await task.unkeep_outputs_async()
    await task.wait_async(timeout=1)
    await task.update_async()
    await task.cancel_async()
    assert_type(await task.stdout_async(), str)
    assert_type(await task.stderr_async(), str)
    assert_type(await task.explain_async(), str)
    assert_type(await task.fetch_outputs_async(), list[DataInstance])
    assert_type(await task.fetch_refused_async(), LabeledList[DataInstance])
    assert_type(await task.capsule_async("capsule"), str)
    await obj.keep_async()
    await obj.unkeep_async()
    await obj.wait_async()
    await obj.update_async()
    assert_type(await obj.fetch_async(1), DataInstance)


def told(task: Task, obj: DataObject, data: DataInstance) -> None:
    spec, made = task.spec, obj.spec
    assert_type((spec, made), tuple[TaskSpec, ObjectSpec])
    assert_type((spec.id, spec.task_type, spec.inputs, spec.outputs), tuple[ID, str, list[TaskSpecInput], list[ID]])
    assert_type((spec.resources, spec.name, spec.user), tuple[dict[str, float], str | None, dict[str, Any]])
    print(spec.config, spec.function, spec.options, spec.environment, spec.inputs[0].id, spec.inputs[0].label)
    assert_type((made.id, made.label, made.content_type, made.data_type), tuple[ID, str | None, str | None, str])
    print(made.size_hint, made.user)
    assert_type(task.info, TaskInfo | None)
    if task.info is not None:
        info = task.info
        print(
            info.error,
            info.start_time,
            info.duration,
            info.governor,
            info.debug,
            info.user,
            info.attempts,
            info.transfer,
            info.transfers,
            info.host,
            info.earlier,
        )
    assert_type(task.attempts, list[Attempt])
    for attempt in task.attempts:
        end = attempt.end
        assert_type(end, ProcessEnd | None)
        print(attempt.number, attempt.governor, attempt.host, attempt.kind, attempt.reason, attempt.line())
        assert_type((attempt.start_time, attempt.duration), tuple[float | None, float | None])
        if end is not None:
            assert_type((end.executor, end.process, end.signal, end.sender), tuple[str, int, str, str])
            assert_type((end.status, end.peak_bytes, end.oom_kills), tuple[int | None, int, int | None])
            print(end.disk_left_bytes, end.memory_left_bytes)
    assert_type(obj.info, ObjectInfo | None)
    if obj.info is not None:
        print(obj.info.error, obj.info.size, obj.info.content_type, obj.info.debug, obj.info.user, obj.info.encoded)
    assert_type((data.data_type, data.content_type), tuple[DataType, str | None])
    assert_type((data.size, data.get_bytes(), data.get_str()), tuple[int, bytes, str])
    print(data.spec, data.info, data.reader, data.load(cache=True, writable=False))
    data.write("copy")
    data.link(Path("link"))
    assert_type(ID.parse("1/2"), ID)
    print(spec.id.session_id, spec.id.id)


def labelled() -> None:
    numbers = LabeledList([1, 2], labels=["a", None])
    numbers.append(3, label="c")
    numbers.insert(0, 0, label="z")
    numbers.set("a", 4, label="b")
    numbers.set_label(1, "x")
    numbers.reverse()
    assert_type([value for _, value in numbers.items()], list[int])
    label: object = "c"  # the labels are what `in` looks at
    print(numbers.data, numbers.labels, numbers.get_label(0), label in numbers, len(numbers), list(numbers))
    numbers.clear()


def states(task: Task, obj: DataObject) -> bool:
    if task.state in (TaskState.WAITING, TaskState.READY, TaskState.RUNNING):
        return False
    if task.state in (TaskState.FAILED, TaskState.CANCELLED) or obj.state is DataObjectState.FAILED:
        return True
    if obj.state in (DataObjectState.UNFINISHED, DataObjectState.REMOVED) or obj.data_type is DataType.DIRECTORY:
        return False
    return task.state is TaskState.FINISHED and obj.state is DataObjectState.FINISHED


def collections(client: Client) -> None:
    assert_type(dask_get({"one": 1}, ["one"], client=client, cpus=2), Any)


def failures(session: Session) -> None:
    try:
        session.wait_all()
    except TaskCancelled as error:
        print(error.task)
    except TaskException as error:
        print(error.task, error.attempts)
    except rain.common.errors.NoRoom:
        print("free some disk space")
    except (SessionException, ProtocolError, ResourceError):
        raise
    except OSError as error:
        raise rain.common.errors.of_system("the folder cannot be made", error) from None
    except RainException as other:
        raise RainWarning(str(other)) from None


def content_types() -> None:
    assert_type((check_content_type("json"), merge_content_types("text", None)), tuple[str | None, str | None])
    assert_type((is_subtype("text-utf-8", "text"), text_encoding("text")), tuple[bool, str])
    assert_type(encode_value([1], "json"), bytes)
    numbers: list[int] = decode_value(b"[1]", "json")
    print(numbers)


# -- notebooks -------------------------------------------------------------------------------------


def notebooks(session: Session, shell: Any) -> None:
    load_ipython_extension(shell)
    unload_ipython_extension(shell)
    print(widget_of(session).selected)
    magics.load(shell)
    assert_type(magics.connect(local=2, session="first"), Session)
    assert_type(magics.submit(), tuple[int, int])
    magics.wait()
    assert_type(magics.fetch("counts"), DataInstance | list[DataInstance])
    magics.graph()
    assert_type(magics.tasks(), str)
    magics.status()
    magics.inspect("counts")
    print(magics.remote_cell("count(text)", "len(text)"), magics.remote_cell_async("count(text)", "len(text)"))
    magics.disconnect()
    magics.unload(shell)
