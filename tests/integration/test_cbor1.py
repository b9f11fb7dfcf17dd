"""Foreign executors: the bytes of cbor-1, and a real executor in C that speaks it."""

# ruff: noqa: ASYNC240  tests may block

from __future__ import annotations

import asyncio
import errno
import functools
import inspect
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
import xxhash

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import CBOR_FRAME_BYTES_MAX, CBOR_MEMORY_BYTES_MAX, INLINE_BYTES_MAX, MIB
from rain.common.location import Inline, LocalFile, SameAs
from rain.common.protocol.messages import (
    Damage,
    ExecutorInput,
    ExecutorSetup,
    ExecutorTask,
    OutputResult,
    Results,
    TaskResult,
)
from rain.common.spec import ObjectInfo, ObjectSpec, TaskInfo, TaskOptions, TaskSpec, TaskSpecInput
from rain.governor.core.events import ExecutorExited
from rain.governor.pools import foreign_executors
from rain.governor.pools.cbor1 import call, calls, frames, locations, results
from rain.governor.pools.cbor1.outputs import take_outputs
from rain.governor.pools.foreign_executors import ForeignExecutors
from rain.governor.pools.foreign_states import ForeignState
from rain.governor.pools.pool import PoolEvents
from rain.host import starting
from rain.host.thread_limits import THREAD_VARIABLES
from rain.objects.files import local_file
from tests.support.waiting import GUARD_S, Changes, until_async

FOLDER = pathlib.Path(__file__).parent.parent / "cbor1_executor"
BIG = bytes(range(256)) * (CBOR_MEMORY_BYTES_MAX // 256 + 1)


# -- the bytes ---------------------------------------------------------------------------------------------


def example_task() -> ExecutorTask:
    """The task of the transcript."""
    spec = TaskSpec(
        ID(3, 12),
        "example/hello",
        {"greeting": "Hi"},
        [TaskSpecInput(ID(3, 10), "who"), TaskSpecInput(ID(3, 11))],
        [ID(3, 13)],
        {"cpus": 1.0},
        "greet",
        {"colour": "blue"},
        function=ID(3, 1),
        options=TaskOptions(retries=3),
    )
    inputs = [
        ExecutorInput(
            ObjectSpec(ID(3, 10), "who", "text", "blob", 5, {"a": 1}), ObjectInfo(size=5), "who", Inline(b"world")
        ),
        ExecutorInput(
            ObjectSpec(ID(3, 11), data_type="dir"), ObjectInfo(size=0), None, LocalFile("/store/11", 1, 0, 1)
        ),
    ]
    return ExecutorTask(1, 1, spec, inputs, [ObjectSpec(ID(3, 13), "out", "text")])


def plain_task() -> ExecutorTask:
    """A task with nothing that may be left out."""
    return ExecutorTask(2, 1, TaskSpec(ID(3, 14), "example/nothing"), [], [])


def read_transcript() -> dict[str, bytes]:
    """name -> frame; the file's format is told at its top."""
    frames: dict[str, bytes] = {}
    name = ""
    for text in (FOLDER / "transcript.txt").read_text().splitlines():
        if text.startswith("== "):
            name = text[3:].split(":")[0]
            frames[name] = b""
        elif name and re.fullmatch(r"[0-9a-f ]+", text):
            frames[name] += bytes.fromhex(text)
    return frames


FRAMES = read_transcript()


def item_of(name: str) -> tuple[str, dict[str, Any]]:
    ((message, data),) = frames.FrameReader().feed(FRAMES[name])
    return message, data


def test_calls_are_the_bytes_of_the_transcript() -> None:
    task = example_task()
    in_memory = [locations.Memory(b"world"), locations.Path("/store/11")]
    assert calls.encode_call(task, in_memory, [False, False]) == FRAMES["call"]
    assert (
        calls.encode_call(task, [locations.Cached(), locations.Path("/store/11")], [True, False])
        == FRAMES["call, cached"]
    )
    assert calls.encode_call(plain_task(), [], []) == FRAMES["call, empty"]
    assert calls.encode_drop_cached([ID(3, 10), ID(3, 13)]) == FRAMES["drop_cached"]


def test_messages_of_executors_are_read() -> None:
    results.check_register(*item_of("register"), "example")
    message, data = item_of("result, memory")
    assert message == "result"
    result = results.decode_result(data, example_task())
    assert result.error is None
    assert result.task == ID(3, 12)
    assert result.info.start_time == pytest.approx(1577934245.678901)
    assert (result.info.duration, result.info.debug, result.info.user) == (0.25, "a line", {"key": [1, True]})
    assert result.outputs == [
        (ObjectInfo(content_type="text-utf-8", user={"of": "object"}), locations.Memory(b"Hello"))
    ]
    assert result.cached == [ID(3, 10), ID(3, 13)]
    expected = {
        "result, path": locations.Path("/folder/made"),
        "result, other_object": locations.OtherObject(ID(3, 11)),
    }
    for name, location in expected.items():
        result = results.decode_result(item_of(name)[1], example_task())
        assert result.outputs == [(ObjectInfo(), location)]
    failed = results.decode_result(item_of("result, failed")[1], example_task())
    assert failed.error == 'It said "no"'
    assert failed.outputs == []
    assert results.decode_result(item_of("result, empty")[1], plain_task()).outputs == []


def test_nothing_empty_is_sent() -> None:
    spec = TaskSpec(ID(1, 2), "x/y", config={}, name="", inputs=[TaskSpecInput(ID(1, 1), "")], resources={"cpus": 0.5})
    assert calls.task_spec_fields(spec) == {
        "id": [1, 2],
        "task_type": "x/y",
        "inputs": [{"id": [1, 1]}],
        "resources": {"cpus": 0.5},
    }
    assert calls.task_spec_fields(TaskSpec(ID(1, 2), "x/y", config=0))["config"] == 0
    assert calls.object_spec_fields(ObjectSpec(ID(1, 2), size_hint=0)) == {
        "id": [1, 2],
        "data_type": "blob",
        "size_hint": 0,
    }
    assert calls.object_info_fields(ObjectInfo()) == {}


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_in_pieces(size: int) -> None:
    whole = b"".join(FRAMES.values())
    reader = frames.FrameReader()
    found = [item for start in range(0, len(whole), size) for item in reader.feed(whole[start : start + size])]
    assert found == [item_of(name) for name in FRAMES]


def good_result(**changes: Any) -> dict[str, Any]:
    fields = {
        "task": [3, 12],
        "success": True,
        "info": {},
        "outputs": [{"info": {}, "location": ["memory", b"x"]}],
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not ...}


def test_what_may_be_missing() -> None:
    task = example_task()
    for changes in ({"info": ...}, {"info": None}, {"cached_objects": None}, {"unknown": 1}):
        assert results.decode_result(good_result(**changes), task).error is None
    assert results.decode_result(good_result(success=False, outputs=...), task).error == "the executor gave no reason"
    odd = {"start_time": "yesterday", "duration": -1, "governor": "x"}
    info = results.decode_result(good_result(info=odd), task).info
    assert (info.start_time, info.duration, info.governor) == (None, None, None)
    zulu = results.decode_result(good_result(info={"start_time": "1970-01-01T00:00:10Z"}), task).info
    naive = results.decode_result(good_result(info={"start_time": "1970-01-01T00:00:10"}), task).info
    assert zulu.start_time == naive.start_time == 10.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"task": [3, 13]}, "a result of task 3/13 while it ran task 3/12"),
        ({"task": "3/12"}, "sent '3/12' as 'task' of a result: expected an id [session, id]"),
        ({"task": [3, 1 << 31]}, "a result of task 3/2147483648 while it ran task 3/12"),
        ({"task": [3, True]}, "expected an id"),
        ({"success": 1}, "sent 1 as 'success' of a result: expected `bool`, got `int`"),
        ({"success": ...}, "as a result: map missing required field `success`"),
        ({"info": []}, "sent [] as 'info' of a result: expected `map | null`, got `array`"),
        ({"info": {"debug": 1}}, "sent 1 as 'info.debug' of a result: expected `str | null`, got `int`"),
        ({"info": {"error": {}}}, "sent {} as 'info.error' of a result: expected `str | null`, got `map`"),
        ({"info": {"user": {1: 2}}}, "in 'user', which is not JSON"),
        ({"info": {"user": {"a": b"b"}}}, "1 bytes in 'user', which is not JSON"),
        ({"info": {"user": {"a": 1 << 70}}}, "in 'user', which is not JSON"),
        ({"outputs": []}, "sent 0 outputs of a task that has 1"),
        ({"outputs": ...}, "sent 0 outputs of a task that has 1"),
        ({"outputs": {}}, "sent {} as 'outputs' of a result: expected `array`, got `map`"),
        ({"outputs": 0}, "sent 0 as 'outputs' of a result: expected `array`, got `int`"),
        ({"outputs": [1]}, "sent 1 as 'outputs[0]' of a result: expected `map`, got `int`"),
        ({"outputs": [{}]}, "sent {} as 'outputs[0]' of a result: map missing required field `location`"),
        (
            {"outputs": [{"location": "cached"}]},
            "sent 'cached' as 'outputs[0].location' of a result: expected [\"memory\", bytes]",
        ),
        ({"outputs": [{"location": ["memory", "text"]}]}, "sent ['memory', 'text'] as 'outputs[0].location'"),
        ({"outputs": [{"location": ["path", b"x"]}]}, "sent ['path', 1 bytes] as 'outputs[0].location'"),
        ({"outputs": [{"location": ["other_object", 1]}]}, "sent ['other_object', 1] as 'outputs[0].location'"),
        ({"outputs": [{"location": ["elsewhere", "x"]}]}, "sent ['elsewhere', 'x'] as 'outputs[0].location'"),
        ({"outputs": [{"location": ["memory", b"x" * 10_000_000, 1]}]}, "10000000 bytes"),
        ({"cached_objects": [1]}, "sent [1] as 'cached_objects' of a result: expected an array of ids [session, id]"),
    ],
)
def test_results_that_are_none(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(frames.Cbor1Error) as caught:
        results.decode_result(good_result(**changes), example_task())
    assert text in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "item",
    [
        b"",
        b"\x1f",
        b"\xff",
        b"\x81" * 100_000,
        b"\x9b" + struct.pack(">Q", 1 << 60),
        b"\x5b" + struct.pack(">Q", 1 << 60),
        b"\x62\xff\xff",
        cbor2.dumps(1),
        cbor2.dumps(["result"]),
        cbor2.dumps([1, {}]),
        cbor2.dumps(["result", []]),
        b"\xd8\x1c\x81\xd8\x1d\x00",  # an array that holds itself
        b"\xc2\x5a\x00\x0f\x42\x40" + b"\xff" * 1_000_000,  # a number of a million bytes
        cbor2.dumps(cbor2.CBORTag(0, "no date")),
        cbor2.dumps(cbor2.CBORTag(35, "(")),
    ],
)
def test_items_that_are_no_messages(item: bytes) -> None:
    with pytest.raises(frames.Cbor1Error) as caught:
        list(frames.FrameReader().feed(struct.pack("<I", len(item)) + item))
    assert len(str(caught.value)) < 300


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(frames.Cbor1Error, match="deeper than"):
        results.decode_result(good_result(info={"user": {"a": loop}}), example_task())


def test_frames_are_bounded() -> None:
    with pytest.raises(frames.Cbor1Error, match="CBOR_FRAME_BYTES_MAX"):
        list(frames.FrameReader().feed(struct.pack("<I", CBOR_FRAME_BYTES_MAX + 1)))
    reader = frames.FrameReader(bytes_max=10)
    with pytest.raises(frames.Cbor1Error, match="11 bytes"):
        list(reader.feed(struct.pack("<I", 11)))


def test_a_config_that_has_no_cbor_form() -> None:
    task = plain_task()
    task.spec.config = object()
    with pytest.raises(frames.Cbor1Error, match="cannot be sent the call"):
        calls.encode_call(task, [], [])


@pytest.mark.parametrize(
    ("message", "fields", "text"),
    [
        ("result", {}, "sent the message 'result' before it registered"),
        ("register", {}, "speaks the protocol None"),
        ("register", {"protocol": "cbor-2"}, "speaks the protocol 'cbor-2'; this governor speaks 'cbor-1'"),
        ("register", {"protocol": "cbor-1", "executor_type": "b"}, "registered as type 'b'"),
    ],
)
def test_registrations_that_are_refused(message: str, fields: dict[str, Any], text: str) -> None:
    with pytest.raises(frames.Cbor1Error, match=re.escape(text)):
        results.check_register(message, fields, "example")


# -- the executor in C -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cbor1") / "executor"
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-o", path]
    subprocess.run([*command, FOLDER / "executor.c"], check=True)
    return str(path)


@pytest.mark.needs("gcc")
def test_the_executor_in_c_speaks_the_transcript(program: str, tmp_path: pathlib.Path) -> None:
    """Byte for byte, both ways."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        listener.settimeout(GUARD_S)
        environment = {"RAIN_EXECUTOR_SOCKET": path, "RAIN_EXECUTOR_ID": "7"}
        with subprocess.Popen([program, "example"], env=environment, cwd=tmp_path) as process:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(GUARD_S)
                assert receive(connection) == FRAMES["register"]
                for call, result in [
                    ("call", "result, hello"),
                    ("call, empty", "result, empty"),
                    ("call, same", "result, same"),
                    ("call, unknown method", "result, unknown method"),
                ]:
                    connection.sendall(FRAMES[call])
                    assert receive(connection) == FRAMES[result], call
            assert process.wait(GUARD_S) == 0


def receive(connection: socket.socket) -> bytes:
    prefix = connection.recv(4, socket.MSG_WAITALL)
    (length,) = struct.unpack("<I", prefix)
    return prefix + connection.recv(length, socket.MSG_WAITALL)


class Rig:
    """Foreign executors, and what they told."""

    def __init__(self, program: str, folder: pathlib.Path) -> None:
        self.folder = folder
        for name in ("incoming", "spill", "store"):
            (folder / name).mkdir()
        self.commands = {
            "example": [program, "example"],
            "deaf": [program, "deaf", "--deaf", "yes"],
            "mute": [program, "mute", "--mute", "yes"],
            "other": [program, "example"],
            "protocol": [program, "protocol", "--protocol", "cbor-9"],
            "first": [program, "first", "--first", "result"],
            "missing": ["/no/such/executor"],
            "unknown": ["no-such-executor"],
            "script": [str(folder)],
            "dies": [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(5)"],
        }
        self.results: dict[ID, TaskResult] = {}
        self.recalled: list[tuple[int, list[int], bool]] = []
        self.exited: dict[int, tuple[str, int, bytes, bytes]] = {}
        self._changes = Changes()
        self._number = 0
        self.executors = self.make()

    def make(self, **options: Any) -> ForeignExecutors:
        events = PoolEvents(
            self._on_results,
            lambda *news: self._tell(self.recalled.append, news),
            self._on_exited,
            lambda *_: None,
            lambda *_: None,
        )
        return ForeignExecutors(self.commands, events, str(self.folder), **options)

    def _on_results(self, executor_id: int, message: Results) -> None:
        assert executor_id not in self.exited
        for result in message.results:
            assert result.id not in self.results
            self.results[result.id] = result
        self._changes.tell()

    def _on_exited(self, event: ExecutorExited) -> None:
        assert event.executor_id not in self.exited
        self.exited[event.executor_id] = (event.reason, event.number, event.stdout, event.stderr)
        self._changes.tell()

    def _tell(self, take: Callable[[Any], None], news: Any) -> None:
        take(news)
        self._changes.tell()

    async def until(self, condition: Callable[[], Any]) -> Any:
        return await self._changes.until(condition)

    def start(self, executor_id: int = 1, kind: str = "example", **env: str) -> ExecutorSetup:
        folder = self.folder
        setup = ExecutorSetup(
            executor_id, 1, "host:1", f"{folder}/executor-{executor_id}", f"{folder}/incoming", f"{folder}/spill",
            64 * MIB, None, None, env, {"cpus": 2.0},
        )  # fmt: skip
        self.executors.start(executor_id, kind, setup)
        return setup

    def input(self, data: bytes | None, *, stored: bool | None = None) -> ExecutorInput:
        """A blob, or (None) a directory."""
        self._number += 1
        spec = ObjectSpec(ID(1, self._number), data_type="dir" if data is None else "blob")
        if data is not None and not (len(data) > INLINE_BYTES_MAX if stored is None else stored):
            return ExecutorInput(spec, ObjectInfo(size=len(data)), None, Inline(data))
        path = self.folder / "store" / str(self._number)
        if data is None:
            path.mkdir()
        else:
            path.write_bytes(data)
            path.chmod(0o444)
        return ExecutorInput(spec, ObjectInfo(size=len(data or b"")), None, local_file(str(path)))

    def task(self, method: str, *inputs: ExecutorInput, config: Any = None, outputs: str | None = "blob") -> Any:
        self._number += 1
        number = self._number
        made = [] if outputs is None else [ObjectSpec(ID(1, number + 1000), data_type=outputs)]
        spec = TaskSpec(
            ID(1, number),
            f"example/{method}",
            config,
            [TaskSpecInput(value.spec.id, value.label) for value in inputs],
            [output.id for output in made],
            {"cpus": 1.0},
        )
        return ExecutorTask(number, 1, spec, list(inputs), made)

    async def result(self, task: ExecutorTask) -> TaskResult:
        return await self.until(lambda: self.results.get(task.spec.id))

    async def run(self, *arguments: Any, executor_id: int = 1, **options: Any) -> TaskResult:
        task = self.task(*arguments, **options)
        self.executors.run(executor_id, [task])
        return await self.result(task)

    async def output(self, *arguments: Any, **options: Any) -> Any:
        result = await self.run(*arguments, **options)
        assert result.error is None, result.error
        assert result.info.governor == "host:1"
        assert result.info.start_time > 0
        assert result.info.duration >= 0
        return result.outputs[0]

    async def error(self, *arguments: Any, kind: str = "rain", **options: Any) -> str:
        result = await self.run(*arguments, **options)
        assert result.error is not None
        assert result.error.kind == kind
        assert result.info.error == result.error.message
        assert result.outputs == []
        assert os.listdir(self.folder / "incoming") == os.listdir(self.folder / "spill") == []
        return result.error.message

    async def until_state(self, executor_id: int, state: ForeignState) -> None:
        """Wait for what no event tells."""
        await until_async(lambda: self.executors._executors[executor_id].state is state)

    async def gone(self, executor_id: int = 1) -> tuple[str, int, bytes, bytes]:
        return await self.until(lambda: self.exited.get(executor_id))


def with_rig(test: Any) -> Any:
    """A test that is a coroutine function with a `Rig` as its first parameter."""

    @pytest.mark.needs("gcc")
    @functools.wraps(test)
    def run(program: str, tmp_path: pathlib.Path, **others: Any) -> None:
        async def main() -> None:
            rig = Rig(program, tmp_path)
            try:
                await test(rig, **others)
            finally:
                await rig.executors.close()
            left = {name for name in os.listdir(tmp_path) if name.startswith(("executor-", "socket"))}
            assert left == set()

        asyncio.run(main())

    names = [name for name in inspect.signature(test).parameters if name != "rig"]
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    fixed = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("program", "tmp_path")]
    run.__signature__ = inspect.Signature([*fixed, *parameters])  # type: ignore[attr-defined]
    return run


@with_rig
async def test_tasks_one_after_the_other(rig: Rig) -> None:
    rig.start()
    tasks = [rig.task("hello", rig.input(b"%d" % number)) for number in range(20)]
    rig.executors.run(1, tasks[:10])
    rig.executors.run(1, tasks[10:])
    for number, task in enumerate(tasks):
        result = await rig.result(task)
        assert result.outputs[0].location.data == b"Hello %d" % number
        assert result.outputs[0].location.checksum == xxhash.xxh3_64_intdigest(b"Hello %d" % number)
        assert result.outputs[0].info.size == len(result.outputs[0].location.data)
    assert rig.executors.seen() == {1: 0}
    assert list(rig.results) == [task.spec.id for task in tasks]
    assert (await rig.run("nothing", outputs=None)).outputs == []


@with_rig
async def test_environment_and_folder(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAIN_TOKEN", "secret")
    setup = rig.start(41)
    text = (await rig.output("where", executor_id=41)).location.data.decode()
    number, path, folder, empty, token = text.splitlines()
    assert number == "41"
    assert len(os.fsencode(path)) < 108
    assert not os.path.exists(path)  # one connection is all it is for
    assert os.path.dirname(folder) == setup.work_dir
    assert (empty, token) == ("empty", "no token")
    environment = pathlib.Path(f"/proc/{rig.executors.pid(41)}/environ").read_bytes().split(b"\0")
    assert {f"{name}=2".encode() for name in THREAD_VARIABLES} <= set(environment)


@with_rig
async def test_a_long_path_does_not_matter(rig: Rig) -> None:
    rig.folder = rig.folder / ("x" * 100)
    for name in ("incoming", "spill", "store"):
        (rig.folder / name).mkdir(parents=True)
    rig.executors = rig.make()
    setup = rig.start()
    path = (await rig.output("where")).location.data.decode().splitlines()[1]
    assert len(os.fsencode(path)) < 108
    await rig.executors.close()
    assert not os.path.exists(os.path.dirname(path))
    assert not os.path.exists(setup.work_dir)


def bytes_of(output: OutputResult) -> bytes:
    location = output.location
    assert not isinstance(location, SameAs)
    return location.data if isinstance(location, Inline) else pathlib.Path(location.path).read_bytes()


@with_rig
async def test_inputs_of_all_sizes(rig: Rig) -> None:
    rig.start()
    for data in (b"", b"few", b"x" * CBOR_MEMORY_BYTES_MAX, BIG, 4 * BIG):
        output = await rig.output("file", rig.input(data))
        assert bytes_of(output) == data
        assert output.location.checksum == xxhash.xxh3_64_intdigest(data)
        assert isinstance(output.location, Inline) == (len(data) <= INLINE_BYTES_MAX)
        if isinstance(output.location, LocalFile):
            assert output.location == local_file(output.location.path, len(data), output.location.checksum)
            assert os.path.dirname(output.location.path) == f"{rig.folder}/incoming"
            assert os.stat(output.location.path).st_mode & 0o777 == 0o444
        assert not list(rig.folder.rglob("made"))  # moved out, so that the next task finds the folder empty
    assert b"empty\n" in (await rig.output("where")).location.data


@with_rig
async def test_inputs_beyond_what_a_call_takes_along(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "CBOR_CALL_BYTES_MAX", 10)
    setup = rig.start()
    lent = pathlib.Path(setup.work_dir) / "inputs"
    for data in (b"few", b"more than ten", b"y" * (INLINE_BYTES_MAX + 1), b"few"):
        output = await rig.output("file", rig.input(data))
        assert bytes_of(output) == data
        assert not lent.exists()  # lent for the call only
    cached = rig.input(b"more than ten")
    assert (await rig.output("hello", cached)).location.data == b"Hello more than ten"


def test_infos_that_could_not_be_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULT_BYTES_MAX", 100)
    results.decode_result(good_result(info={"user": {"a": "x" * 50}}), example_task())
    with pytest.raises(frames.Cbor1Error, match="RESULT_BYTES_MAX"):
        results.decode_result(good_result(info={"user": {"a": "x" * 200}}), example_task())


@with_rig
async def test_large_result_in_memory(rig: Rig) -> None:
    rig.start()
    output = await rig.output("hello", rig.input(BIG))
    assert pathlib.Path(output.location.path).read_bytes() == b"Hello " + BIG
    large = bytes(8 * MIB)
    output = await rig.output("hello", rig.input(large))
    assert output.info.size == len(large) + 6


@with_rig
async def test_directories(rig: Rig) -> None:
    rig.start()
    output = await rig.output("folder", outputs="dir")
    root = pathlib.Path(output.location.path)
    assert (root / "link").read_bytes() == b"content"
    assert output.info.size == output.location.size == 7
    assert (root / "inner" / "file").stat().st_mode & 0o777 == 0o444
    tree = rig.input(None)
    assert (await rig.output("same", tree, outputs="dir")).location == SameAs(tree.spec.id)


@with_rig
async def test_inputs_that_pass_through(rig: Rig) -> None:
    rig.start()
    for value in (rig.input(b"few"), rig.input(BIG)):
        output = await rig.output("same", value)
        assert output.location == SameAs(value.spec.id)
        assert output.info.size == value.info.size
    assert "which is not one of the inputs" in await rig.error("other")
    assert "another data type" in await rig.error("same", rig.input(b""), outputs="dir")
    assert (await rig.output("hello")).location.data == b"Hello "  # it lives


@with_rig
async def test_infos(rig: Rig) -> None:
    rig.start()
    result = await rig.run("info")
    assert result.info.start_time == pytest.approx(1577934245.678901)
    assert (result.info.duration, result.info.debug) == (0.25, "line one\nline two")
    assert result.info.user == {"key": [1, True]}
    assert result.outputs[0].info == ObjectInfo(size=1, content_type="text", user={"of": "object"})


@with_rig
async def test_cached_objects(rig: Rig) -> None:
    rig.start()
    value = rig.input(b"kept")
    assert (await rig.output("cache", value)).location.data == b"sent"
    assert (await rig.output("cache", value)).location.data == b"cached, hinted"
    assert (await rig.output("hello", value)).location.data == b"Hello kept"
    rig.executors.drop([value.spec.id, ID(9, 9)])
    rig.executors.drop([value.spec.id])
    assert (await rig.output("holds")).location.data == b"no"
    assert (await rig.output("cache", value)).location.data == b"sent"


@with_rig
async def test_outputs_only_from_its_own_folder(rig: Rig) -> None:
    outside = rig.folder / "outside"
    outside.write_bytes(b"x")
    paths = [
        (str(outside), "is not inside of its folder"),
        ("../stdout", "is not inside of its folder"),
        ("/etc/passwd", "is not inside of its folder"),
        ("link", "is not a file"),
        ("missing", "where nothing is"),
        (".", "is not inside of its folder"),
    ]
    for executor_id, (config, text) in enumerate(paths, start=2):
        rig.start(executor_id)
        assert text in await rig.error("path", config=config, executor_id=executor_id)
    assert outside.read_bytes() == b"x"
    rig.start()
    assert (await rig.output("path", config="made")).location.data == b"x"


@with_rig
async def test_data_types(rig: Rig) -> None:
    rig.start()
    assert "a directory is always a path" in await rig.error("hello", outputs="dir")
    assert "which is not a directory" in await rig.error("file", rig.input(b"x"), outputs="dir")
    assert "which is not a file" in await rig.error("folder")
    assert (await rig.run("nothing")).error.message.startswith("executor 'example' sent 0 outputs")


@with_rig
async def test_changed_input_is_noticed(rig: Rig) -> None:
    rig.start()
    value = rig.input(BIG)
    result = await rig.run("write", value)
    assert "executor 'example' changed one of its inputs" in result.error.message
    assert result.damage == Damage([value.spec.id], ran=True, suspect=True)


@pytest.mark.parametrize("data_type", ["blob", "dir"])
def test_outputs_that_have_other_names_are_copied(tmp_path: pathlib.Path, data_type: str) -> None:
    for name in ("folder", "store", "spill"):
        (tmp_path / name).mkdir()
    mine, made = tmp_path / "mine", tmp_path / "folder" / "made"
    mine.write_bytes(BIG)
    mine.chmod(0o600)
    if data_type == "dir":
        made.mkdir()
    os.link(mine, made / "f" if data_type == "dir" else made)
    setup = ExecutorSetup(
        1, 1, "g", str(tmp_path), f"{tmp_path}/store", f"{tmp_path}/spill", 1 << 30, None, None, {}, {}
    )
    task = ExecutorTask(1, 1, TaskSpec(ID(1, 1), "x/y"), [], [ObjectSpec(ID(1, 2), "made", None, data_type)])
    result = results.ForeignResult(ID(1, 1), None, TaskInfo(), [(ObjectInfo(), locations.Path(str(made)))], [])
    (output,) = take_outputs(setup, f"{tmp_path}/folder", task, result, [])
    mine.write_bytes(b"later")
    assert mine.stat().st_mode & 0o777 == 0o600
    kept = pathlib.Path(output.location.path)
    assert (kept / "f" if data_type == "dir" else kept).read_bytes() == BIG
    assert not made.exists()


@with_rig
async def test_input_that_is_gone(rig: Rig) -> None:
    rig.start()
    value = rig.input(BIG)
    os.unlink(value.path)
    assert "No such file" in await rig.error("hello", value, kind="input")
    value.location = None
    assert "no longer in the store" in await rig.error("hello", value, kind="input")
    assert (await rig.run("hello", value)).damage == Damage([value.spec.id])
    assert (await rig.output("hello")).location.data == b"Hello "


# -- failures ----------------------------------------------------------------------------------------------


@with_rig
async def test_failed_tasks(rig: Rig) -> None:
    rig.start()
    message = await rig.error("fail", config="It broke", kind="exception")
    assert message == "It broke\nContent of stdout (last 14 bytes):\ntold It broke"
    result = await rig.run("fail", config="Again")
    assert result.stdout == b"told Again\n"
    assert (await rig.error("nonsense", kind="exception")).startswith('Method "nonsense" is not known')
    assert (await rig.output("hello")).location.data == b"Hello "


@with_rig
async def test_death_by_signal(rig: Rig) -> None:
    rig.start()
    await rig.output("hello")
    task, waiting = rig.task("crash"), rig.task("hello")
    rig.executors.run(1, [task, waiting])
    reason, number, stdout, stderr = await rig.gone()
    assert reason == "was killed by signal SIGSEGV (Segmentation fault) (Lost connection to executor 'example')"
    assert number == task.number
    assert (stdout, stderr) == (b"last words\n", b"why\n")
    assert waiting.spec.id not in rig.results
    assert rig.executors.seen() == {}


@with_rig
async def test_other_deaths(rig: Rig) -> None:
    for executor_id, (method, text) in enumerate(
        [("exit", "exited with status 3"), ("close", "closed its connection")], start=1
    ):
        rig.start(executor_id)
        task = rig.task(method)
        rig.executors.run(executor_id, [task])
        reason, number, _, _ = await rig.gone(executor_id)
        assert reason.startswith(text)
        assert number == task.number


@with_rig
async def test_death_while_idle(rig: Rig) -> None:
    rig.start()
    await rig.output("hello")
    os.kill(rig.executors.pid(1), signal.SIGTERM)
    reason, number, _, _ = await rig.gone()
    assert reason.startswith("was killed by signal SIGTERM")
    assert number == 0


PLAY = """
import os, signal, socket, struct, sys, cbor2
line = socket.socket(socket.AF_UNIX)
line.connect(os.environ["RAIN_EXECUTOR_SOCKET"])
if sys.argv[1] != "silent":
    item = cbor2.dumps(["register", {"protocol": "cbor-1", "executor_type": sys.argv[1]}])
    line.sendall(struct.pack("<I", len(item)) + item)
if sys.argv[1] != "parent":
    line.close()
elif os.fork():
    os._exit(6)
signal.pause()
"""


@with_rig
async def test_exit_while_a_child_holds_the_connection(rig: Rig) -> None:
    rig.commands["parent"] = [sys.executable, "-c", PLAY, "parent"]
    rig.start(1, "parent")
    assert (await rig.gone())[0].startswith("exited with status 6")


@pytest.mark.parametrize("kind", ["silent", "registered"])
@with_rig
async def test_kill_of_one_that_closed_its_connection(rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(foreign_executors, "_EXIT_GRACE_S", GUARD_S)
    rig.commands[kind] = [sys.executable, "-c", PLAY, kind]
    rig.start(1, kind)
    await rig.until_state(1, ForeignState.CLOSED)
    rig.executors.kill(1)
    assert (await rig.gone())[0].startswith("was killed by signal SIGKILL")


@with_rig
async def test_children_end_with_it(rig: Rig) -> None:
    fifo = rig.folder / "fifo"
    os.mkfifo(fifo)
    rig.start()
    task = rig.task("child", config=str(fifo))
    rig.executors.run(1, [task])
    reading = asyncio.get_running_loop().run_in_executor(None, fifo.read_bytes)
    assert (await rig.gone())[0].startswith("exited with status 4")
    assert await asyncio.wait_for(reading, GUARD_S) == b""  # nobody holds the other end any more


async def waiting_task(rig: Rig) -> ExecutorTask:
    """A task that is known to run and does not end."""
    fifo = rig.folder / "fifo"
    os.mkfifo(fifo)
    task = rig.task("wait", config=str(fifo))
    rig.executors.run(1, [task])
    await asyncio.get_running_loop().run_in_executor(None, lambda: os.close(os.open(fifo, os.O_RDONLY)))
    assert rig.executors.seen() == {1: task.number}
    return task


@with_rig
async def test_kill(rig: Rig) -> None:
    rig.start()
    task = await waiting_task(rig)
    rig.executors.kill(1)
    reason, number, _, _ = await rig.gone()
    assert reason.startswith("was killed by signal SIGKILL")
    assert number == task.number
    rig.executors.kill(1)
    rig.executors.run(1, [rig.task("hello")])
    rig.executors.recall(1, [1])
    rig.executors.interrupt(1)


@with_rig
async def test_output_is_read_while_the_task_runs(rig: Rig) -> None:
    setup = rig.start()
    await rig.run("fail", config="before")
    task = await waiting_task(rig)
    read = rig.executors.read
    assert read(1, task.number, (0, 0)) == [(b"", 0), (b"", 0)]
    with open(f"{setup.work_dir}/stdout", "ab") as log:
        log.write(b"so far")
    assert read(1, task.number, (0, 0)) == [(b"so far", 0), (b"", 0)]
    assert read(1, task.number, (3, 0)) == [(b"far", 3), (b"", 0)]
    assert read(1, task.number + 1, (0, 0)) is None
    assert read(2, task.number, (0, 0)) is None
    rig.executors.kill(1)
    assert (await rig.gone())[2] == b"so far"


@with_rig
async def test_interrupt(rig: Rig) -> None:
    rig.start()
    task = await waiting_task(rig)
    rig.executors.interrupt(1, task.number + 1)
    rig.executors.interrupt(1, task.number)
    assert (await rig.gone())[:2] == (
        "was killed by signal SIGINT (Interrupt) (Lost connection to executor 'example')",
        task.number,
    )


@with_rig
async def test_recall(rig: Rig) -> None:
    rig.start()
    running = await waiting_task(rig)
    tasks = [rig.task("hello") for _ in range(3)]
    rig.executors.run(1, tasks)
    rig.executors.recall(1, [running.number, tasks[0].number, tasks[2].number, 999])
    await rig.until(lambda: rig.recalled)
    assert rig.recalled == [(1, [tasks[0].number, tasks[2].number], False)]


@with_rig
async def test_close_while_tasks_run(rig: Rig) -> None:
    rig.start()
    await waiting_task(rig)
    pid = rig.executors.pid(1)
    rig.start(2)
    rig.start(3, "deaf")
    await rig.executors.close()
    assert rig.exited == {}
    assert not os.path.exists(f"/proc/{pid}")
    await rig.executors.close()


# -- executors that do not come up, or go wrong ------------------------------------------------------------


@with_rig
async def test_refused_registrations(rig: Rig) -> None:
    for executor_id, (kind, text) in enumerate(
        [
            ("other", "executor 'other' registered as type 'example'"),
            ("protocol", "executor 'protocol' speaks the protocol 'cbor-9'"),
            ("first", "executor 'first' sent the message 'result' before it registered"),
        ],
        start=1,
    ):
        rig.start(executor_id, kind)
        waiting = rig.task("hello")
        message = await rig.error("hello", executor_id=executor_id)
        rig.executors.run(executor_id, [waiting])
        assert message.startswith(text)
        assert "Content of stdout (last " in message
        assert "starting as" in message
        _, number, _, _ = await rig.gone(executor_id)
        assert number == 0
        assert waiting.spec.id not in rig.results


@with_rig
async def test_executors_that_cannot_be_started(rig: Rig) -> None:
    for executor_id, (kind, text) in enumerate(
        [
            ("missing", "could not be started: its program '/no/such/executor' was not found"),
            ("unknown", "could not be started: its program 'no-such-executor' was not found; PATH is /bin"),
            ("script", "could not be started: cannot start"),
        ],
        start=1,
    ):
        rig.start(executor_id, kind, PATH="/bin")
        assert text in await rig.error("hello", executor_id=executor_id)
        reason, number, _, _ = await rig.gone(executor_id)
        assert reason.startswith("could not be started: ")
        assert number == 0


@with_rig
@pytest.mark.parametrize("step", ["pidfd_open", "add_reader"])
async def test_a_start_that_fails_after_the_spawn_leaves_no_process(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    started: list[subprocess.Popen[bytes]] = []

    def spawn(*args: Any, **kwargs: Any) -> subprocess.Popen[bytes]:
        started.append(starting.spawn(*args, **kwargs))
        monkeypatch.setattr(*((os, step) if step == "pidfd_open" else (asyncio.get_running_loop(), step)), refuse)
        return started[-1]

    monkeypatch.setattr(foreign_executors, "spawn", spawn)
    before = set(os.listdir("/proc/self/fd"))
    rig.start()
    monkeypatch.undo()
    reason, _, _, _ = await rig.gone()
    assert reason.startswith("could not be started: the governor has as many open files as it may have (RLIMIT_NOFILE,")
    assert [process.returncode for process in started] == [-signal.SIGKILL]
    await rig.executors.close()
    assert set(os.listdir("/proc/self/fd")) <= before


@with_rig
async def test_executor_that_dies_at_once(rig: Rig) -> None:
    rig.start(1, "dies")
    rig.executors.run(1, [rig.task("hello")])
    reason, number, stdout, stderr = await rig.gone()
    kept = rig.folder / "ended-executors" / "executor-1"
    assert reason == (
        "exited with status 5 (Lost connection to executor 'dies'); it had not registered, "
        f"its stdout and stderr are {kept}/stdout and {kept}/stderr on the governor's host"
    )
    assert (number, stdout, stderr) == (0, b"out\n", b"err\n")
    assert rig.results == {}
    assert [(kept / name).read_bytes() for name in ("stdout", "stderr")] == [b"out\n", b"err\n"]


@with_rig
async def test_what_the_last_executors_wrote_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.governor.pools.ended_logs.ENDED_EXECUTORS_KEPT_MAX", 2)
    for executor_id in range(1, 5):
        rig.start(executor_id, "dies")
        await rig.gone(executor_id)
    assert sorted(os.listdir(rig.folder / "ended-executors")) == ["executor-3", "executor-4"]
    rig.start(5)  # one that registers leaves nothing, nor one whose end was asked for
    await rig.output("hello", executor_id=5)
    rig.executors.kill(5)
    assert "registered" not in (await rig.gone(5))[0]
    rig.start(6, "mute")
    rig.executors.kill(6)
    assert "registered" not in (await rig.gone(6))[0]
    assert sorted(os.listdir(rig.folder / "ended-executors")) == ["executor-3", "executor-4"]


@with_rig
async def test_executors_that_keep_silent(rig: Rig) -> None:
    rig.executors = rig.make(start_s=0.2)
    for executor_id, (kind, what) in enumerate([("deaf", "connect"), ("mute", "register")], start=1):
        rig.start(executor_id, kind)
        message = await rig.error("hello", executor_id=executor_id)
        assert message.startswith(f"executor {kind!r} did not {what} within 0.2 s (EXECUTOR_START_S); it had not")
        await rig.gone(executor_id)
        kept = rig.folder / "ended-executors" / f"executor-{executor_id}" / "stderr"
        assert str(kept) in message
        assert kept.exists()


@with_rig
async def test_broken_protocol(rig: Rig) -> None:
    for executor_id, (method, text) in enumerate(
        [
            ("garbage", "sent a frame of 3 bytes that is not CBOR"),
            ("huge", "announced a frame of 4294967295 bytes; CBOR_FRAME_BYTES_MAX is"),
            ("unknown", "sent the unknown message 'surprise'"),
            ("wrong", "sent a result of task 77/77 while it ran task"),
        ],
        start=1,
    ):
        rig.start(executor_id)
        message = await rig.error(method, executor_id=executor_id)
        assert message.startswith(f"executor 'example' {text}")
        assert (await rig.gone(executor_id))[1] == 0


@with_rig
async def test_result_without_a_task(rig: Rig) -> None:
    rig.start()
    assert (await rig.error("twice", kind="exception")).startswith("once")
    reason, number, _, _ = await rig.gone()
    assert reason.startswith("sent a result while it had no task")
    assert number == 0


@with_rig
async def test_config_that_cannot_be_sent(rig: Rig) -> None:
    rig.start()
    assert "cannot be sent the call" in await rig.error("hello", config=object())
    assert (await rig.output("hello")).location.data == b"Hello "


@with_rig
async def test_long_logs_are_cut_between_tasks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain.governor.pools.foreign_executors.CBOR_LOG_BYTES_MAX", 10)
    setup = rig.start()
    for number in range(3):
        result = await rig.run("fail", config=f"time {number}")
        assert result.stdout.endswith(b"told time %d\n" % number)
    assert os.stat(f"{setup.work_dir}/stdout").st_size < 40


def test_text_of_errors_is_a_rain_exception() -> None:
    assert issubclass(frames.Cbor1Error, RainException)
