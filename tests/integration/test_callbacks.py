"""An error in any callback of server or governor fails what it was about, and nothing else.

A server and a governor run on a loop of this process, so that errors can be planted; executors are real processes.
The callbacks are not listed here: `rain.net.guarded` knows the guarded ones, a look through the sources finds whatever
is given to a loop, and both must agree.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib
import inspect
import pathlib
import pkgutil
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest

import rain.governor
import rain.net
import rain.processes
import rain.server
from rain import Client, Output, RainException, Task, blob, remote
from rain import tasks as rain_tasks
from rain.common.ids import ID
from rain.common.protocol.messages import DataEnd, DataError, DataGet, ExecutorTask, TakeBack
from rain.common.spec import TaskSpec
from rain.governor.config import GovernorConfig
from rain.governor.core import GovernorCore
from rain.governor.core import effects as governor_effects
from rain.governor.core import events as governor_events
from rain.governor.shell import Governor, GovernorOptions
from rain.net import guarded
from rain.net.transport import open_data
from rain.processes.own_credentials import credentials_for
from rain.server.core import ServerCore
from rain.server.core import effects as server_effects
from rain.server.core import events as server_events
from rain.server.http.listener import pages
from rain.server.shell import Server, ServerOptions
from tests.support.waiting import GUARD_S, until_async

FOREIGN = textwrap.dedent(
    """
    import os, socket, struct, cbor2
    line = socket.socket(socket.AF_UNIX)
    line.connect(os.environ["RAIN_EXECUTOR_SOCKET"])
    def say(*message):
        item = cbor2.dumps(message)
        line.sendall(struct.pack("<I", len(item)) + item)
    def take(count):
        data = b""
        while len(data) < count:
            more = line.recv(count - len(data))
            if not more:
                raise SystemExit
            data += more
        return data
    say("register", {"protocol": "cbor-1", "executor_type": "foreign"})
    while True:
        message, data = cbor2.loads(take(*struct.unpack("<I", take(4))))
        if message != "call":
            continue
        if data["spec"]["task_type"] == "foreign/exit":
            os._exit(3)
        path = os.path.join(os.getcwd(), "made")
        open(path, "wb").write(b"foreign")
        outputs = [{"info": {}, "location": ["path", path]} for _ in data["outputs"]]
        say("result", {"task": data["spec"]["id"], "success": True, "info": {}, "outputs": outputs})
    """
)


class Planted(Exception):
    """What is raised in callbacks."""


# -- a server and a governor in this process -------------------------------------------------------


class Cluster:
    """A server and a governor on one loop, in a thread; and what may be raised there."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.file = str(folder / "connection.json")
        self.armed: str = ""
        self.raised = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.ready = threading.Event()
        self.error: BaseException | None = None
        self.thread.start()
        assert self.ready.wait(GUARD_S)
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        except BaseException as error:
            self.error = error
        finally:
            self.ready.set()
            self.loop.close()

    async def _main(self) -> None:
        self.stop = asyncio.Event()
        (self.folder / "work").mkdir()
        self.server = Server(
            ServerOptions(port=0, http_port=0, connection_file=self.file, journal=str(self.folder / "journal"))
        )
        await self.server.open()
        address = self.server.address
        credentials = credentials_for(address, "governor", connection_file=self.file)
        config = GovernorConfig(executors={"foreign": [sys.executable, "-c", FOREIGN]})
        work = str(self.folder / "work")
        options = GovernorOptions(address, credentials, 2, work, work, config=config)
        self.governor = Governor(options)
        await self.governor.open()
        serving = asyncio.create_task(self.server.run(self.stop))
        governing = asyncio.create_task(self.governor.run(self.stop))
        self.ready.set()
        try:
            await asyncio.gather(serving, governing)
        finally:
            await self.governor.close()
            self.server.close()
            await asyncio.sleep(0)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(GUARD_S)
        assert not self.thread.is_alive()
        assert self.error is None, f"the server or the governor ended: {self.error!r}"

    def do(self, work: Any) -> Any:
        """Run a coroutine, or call something, on the loop."""

        async def call() -> Any:
            return work()

        made = work if inspect.iscoroutine(work) else call()
        return asyncio.run_coroutine_threadsafe(made, self.loop).result(GUARD_S)

    # -- planting -------------------------------------------------------------------------------

    def plant(self, name: str) -> None:
        """Raise in the callback `name` before it has done anything, and when it is called next after it has."""
        self.armed, self.raised = name, 0

    def called(self, name: str, call: Callable[[], Any]) -> Any:
        """A callback is called."""
        elsewhere = threading.current_thread() is not self.thread and not name.endswith(IN_THREADS)
        if name != self.armed or elsewhere:
            return call()
        self.raised += 1
        if self.raised == 1:
            raise Planted(name)
        done = call()
        self.armed = ""
        raise Planted(name)
        return done

    # -- what must hold -------------------------------------------------------------------------

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        found = Client(self.server.address, connection_file=self.file)
        try:
            yield found
        finally:
            with contextlib.suppress(RainException):
                found.close()

    def work(self, foreign_too: bool) -> list[str]:
        """Tasks of all kinds; what their errors say. Each of them must end, or the whole session."""
        try:
            with self.client() as client, client.new_session("work") as session:
                small = [square(number) for number in range(3)]
                large, failing = big(), fails()
                users = [length(large), rain_tasks.Concat([small[0], blob("tail")])]
                foreign = [
                    Task(task_type=f"foreign/{what}", outputs=[Output("made")])
                    for what in ("make", "exit")
                    if foreign_too
                ]
                tasks = [*small, large, failing, *users, *foreign]
                large.output.keep()
                session.submit()
                said = [wrong for task in tasks if (wrong := error_of(task))]
                with contextlib.suppress(RainException):
                    large.output.fetch()
                if large.state is not None and large.state.value == "finished":
                    with contextlib.suppress(OSError, RainException):
                        self.do(self._transfer(large.output.id))
                return said
        except RainException as error:
            return [str(error)]

    async def _transfer(self, id: ID) -> None:
        """Read an object over a data connection."""
        async with asyncio.timeout(GUARD_S):
            connection = await open_data(self.governor.governor_id, self.governor.options.credentials)
            try:
                await connection.send(DataGet(id))
                while not isinstance(await connection.receive(), DataEnd | DataError):
                    pass
            finally:
                connection.close()

    async def pause(self) -> None:
        """A data connection takes no more for now."""
        connection = await open_data(self.governor.governor_id, self.governor.options.credentials)
        connection.pause_writing()
        with contextlib.suppress(OSError):
            await connection.send(DataGet(ID(1, 1)))

    def check(self) -> None:
        """Another task runs, and then nothing is held."""
        self.armed = ""
        with self.client() as client, client.new_session("check") as session:
            client.wait_for_governors(1, timeout=GUARD_S)
            task = square(4)
            task.output.keep()
            session.submit()
            task.wait(timeout=GUARD_S)
            assert task.output.fetch().load() == 16
        self.do(self._all_free())

    async def _all_free(self) -> None:
        await until_async(lambda: not any(self.held().values()))

    def held(self) -> dict[str, float]:
        """What is there of tasks."""
        governor, graph = self.governor, self.server._core.state.graph
        load = governor._turns.core.load()
        return {
            **{name: load[name] for name in ("cpus_used", "tasks", "objects", "executors", "fetches")},
            "sessions": len(graph.sessions),
            "clients": len(graph.clients),
            "builtins": governor._attempts.builtins.running,
            "processes": len(governor._attempts.pools.seen()),
        }


def error_of(task: Task) -> str:
    """Wait until a task has ended; what its error says."""
    try:
        task.wait(timeout=GUARD_S)
    except RainException as error:
        return str(error)
    return ""


@remote(auto_encode="pickle")
def square(ctx: Any, number: int) -> Any:
    print("square of", number)
    return number * number


@remote()
def big(ctx: Any) -> bytes:
    return b"x" * 300_000


@remote(auto_encode="pickle")
def length(ctx: Any, data: Any) -> Any:
    return len(data.get_bytes())


@remote()
def fails(ctx: Any) -> bytes:
    raise KeyError("as it should")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    plain = guarded._call

    def stepping(core: type, whose: str) -> None:
        step = core.step

        def stepped(self: Any, event: Any, now: float) -> Any:
            return made.called(f"{whose} event {type(event).__name__}", lambda: step(self, event, now))

        patch.setattr(core, "step", stepped)

    def carrying_out(handlers: dict[type, Callable[[Any], None]], whose: str) -> None:
        for kind, handler in list(handlers.items()):
            name = f"{whose} effect {kind.__name__}"
            handlers[kind] = lambda effect, name=name, handler=handler: made.called(name, lambda: handler(effect))

    def call(method: Callable[..., None], owner: Any, *args: Any) -> None:
        name = f"{method.__module__}.{method.__qualname__}"
        made.called(name, lambda: plain(method, owner, *args))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guarded, "_call", call)
        stepping(GovernorCore, "governor")
        stepping(ServerCore, "server")
        carrying_out(made.governor._handlers, "governor")
        carrying_out(made.server._peers.machine.effects, "server")
        yield made
        made.armed = ""
        made.close()


# -- what there is ----------------------------------------------------------------------------------

REGISTER = {
    "call_soon": 0,
    "call_soon_threadsafe": 0,
    "call_later": 1,
    "call_at": 1,
    "add_done_callback": 0,
    "add_reader": 1,
    "add_writer": 1,
    "add_callback": 0,
    "add_signal_handler": 1,
    "create_task": 0,
    "ensure_future": 0,
    "run_in_executor": 1,
}
"""Methods that register a callback, and which of their arguments it is."""

PROTOCOL = ("data_received", "eof_received", "connection_made", "connection_lost", "buffer_updated", "pause_writing",
            "resume_writing")  # fmt: skip

NOT_GUARDED = {
    "rain.server.shell": {
        "self._tick()": "the end of it ends the server, in `run`",
        "stop.wait()": "awaited in `run`",
        "server.stay_away": "sets a flag",
    },
    "rain.server.recovery.handing_over": {"self._events.flush": "awaited in `step`"},
    "rain.server.peers": {"self._flush": "calls what conversations guard"},
    "rain.server.http.listener": {"pages": "its error is taken by `_serve`"},
    "rain.server.http.pages": {"answer": "awaited by its handler, and Tornado answers 500"},
    "rain.governor.shell": {
        "self._tick()": "the end of it ends the governor, in `run`",
        "stop.wait()": "awaited in `run`",
        "self._find_server(self._gone.result())": "awaited in `run`",
        "self._bring(effect.data)": "catches everything itself: a fetch is always answered",
        "installed_versions": "its error is logged, in `_tell_libraries`",
        "self._tell_libraries": "catches everything itself",
    },
    "rain.governor.turns": {"flush": "of a conversation, which guards it"},
    "rain.governor.surroundings.leaving": {"self._asked": "steps the core, whose errors `Turns` takes"},
    "rain.governor.pools.builtin_threads": {"self._work": "its error is the task's, in `_ended`"},
    "rain.governor.pools.process_pool": {
        "_removed": "catches everything itself",
        "self._removals.discard": "of a set",
    },
    "rain.governor.pools.foreign_executors": {"take_outputs": "its error is the task's, in `_on_taken`"},
    "rain.governor.store": {"callback": "methods of `Governor`, which step the core"},
    "rain.net.conversation": {
        "link.abort": "of a transport",
        "call": "guarded or given in the class itself: `_beat`, the end of a grace",
    },
    "rain.net.connection": {"connection_made": "calls the transport only"},
    "rain.net.listener": {
        "self._admit(connection, format_address(address[0], address[1]))": "catches everything itself",
        "self._data(DataConnection(link))": "catches everything itself",
        "self._serving.discard": "of a set",
        "self._secure": "awaited in `_secured`",
        "link.abort": "of a transport",
    },
    "rain.processes.serving": {
        "stop.set": "of an event",
        "work": "awaited in `unless_stopped`",
        "stop.wait()": "awaited in `unless_stopped`",
    },
    "rain.net.transfer.giving": {"view": "its error is the answer"},
    "rain.net.transfer.exchange": {"function": "awaited by the caller of `in_thread`"},
    "rain.net.transport": {"self._dial_again(reason)": "catches everything itself"},
}
"""Callbacks that need no guard, by module, and why."""


def modules() -> Iterator[Any]:
    for package in (rain.server, rain.governor, rain.net, rain.processes):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def registered(tree: ast.AST) -> Iterator[ast.expr]:
    """What a module gives to loops, futures and transports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REGISTER:
            place = REGISTER[node.func.attr]
            if len(node.args) > place:
                yield node.args[place]


def test_each_callback_is_guarded() -> None:
    guarded_names = {name.rpartition(".")[2] for name in guarded.GUARDED}
    loose: list[str] = []
    used: set[tuple[str, str]] = set()
    for module in modules():
        tree = ast.parse(inspect.getsource(module))
        excused = NOT_GUARDED.get(module.__name__, {})
        given = [ast.unparse(callback) for callback in registered(tree)]
        for kind in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            if any("Protocol" in ast.unparse(base) for base in kind.bases):
                given += [
                    item.name for item in kind.body if isinstance(item, ast.FunctionDef) and item.name in PROTOCOL
                ]
        for text in given:
            if text in excused:
                used.add((module.__name__, text))
                continue
            called = text.removeprefix("lambda done: ").partition("(")[0].rpartition(".")[2]
            own = {name for name in guarded.GUARDED if name.startswith(f"{module.__name__}.")}
            if called not in guarded_names or not any(name.endswith(f".{called}") for name in own):
                loose.append(f"{module.__name__}: {text}")
    assert not loose, "callbacks that are neither guarded nor excused"
    stale = {(name, text) for name, texts in NOT_GUARDED.items() for text in texts} - used
    assert not stale, "excuses for callbacks that do not exist"


# -- errors in callbacks ---------------------------------------------------------------------------

IN_THREADS = ("_measure", "_sweep_constants")
"""Callbacks that a loop calls in threads of its own."""

ALWAYS = [
    "rain.governor.pools.builtin_threads.Builtins._ended",
    "rain.governor.pools.executor_listener.ExecutorListener._accept",
    "rain.governor.pools.executor_socket.ExecutorSocket._readable",
    "rain.governor.pools.executor_socket.ExecutorSocket._writable",
    "rain.governor.pools.foreign_executors.ForeignExecutors._bury_if_gone",
    "rain.governor.pools.foreign_executors.ForeignExecutors._next",
    "rain.governor.pools.foreign_executors.ForeignExecutors._on_exit",
    "rain.governor.pools.foreign_executors.ForeignExecutors._on_taken",
    "rain.governor.pools.python_executors.PythonExecutors._on_zygote",
    "rain.governor.turns.Turns._end",
    "rain.governor.pools.zygotes.zygote.Zygote._readable",
    "rain.governor.pools.zygotes.zygote.Zygote._writable",
    "rain.net.conversation.Conversation._turn_ended",
    "rain.net.data_connection.DataConnection.buffer_updated",
    "rain.net.data_connection.DataConnection.connection_lost",
    "rain.net.data_connection.DataConnection.resume_writing",
    "rain.net.connection.Link.connection_lost",
    "rain.net.connection.Link.data_received",
    "rain.net.listener.Listener._accept",
    "rain.net.listener.Listener._admitted",
    "rain.server.peers.Peers._turn_ended",
]
"""Callbacks that each work meets."""


def a_task() -> ExecutorTask:
    return ExecutorTask(1, 1, TaskSpec(ID(99, 1), "py/"), [], [])


def python(cluster: Cluster) -> Any:
    return cluster.governor._attempts.pools._by_kind["py"]


def foreign(cluster: Cluster) -> Any:
    return cluster.governor._attempts.pools._by_kind["foreign"]


def late(cluster: Cluster) -> None:
    """An executor is too slow to register."""
    pool = foreign(cluster)
    for executor in list(pool._executors.values()):
        pool._on_late(executor)


def some_conversation(cluster: Cluster) -> Any:
    return cluster.server._peers._conversations[governor_number(cluster)]


def governor_number(cluster: Cluster) -> int:
    """Number of the conversation with the governor."""
    return int(cluster.server._peers.machine.peers[cluster.governor.governor_id])


def clog(cluster: Cluster) -> None:
    """The server has much to say to its governor."""
    sender = cluster.server._peers._senders[governor_number(cluster)]
    sender._waiting.append(TakeBack([]))
    cluster.loop.call_soon(sender._pump)


SELDOM: dict[str, Callable[[Cluster], Any]] = {
    "rain.governor.pools.foreign_executors.ForeignExecutors._fail": late,
    "rain.governor.pools.foreign_executors.ForeignExecutors._on_late": late,
    "rain.governor.pools.foreign_executors.ForeignExecutors._lives_on": lambda c: [
        c.loop.call_soon(foreign(c)._lives_on, executor) for executor in foreign(c)._executors.values()
    ],
    "rain.governor.pools.foreign_executors.ForeignExecutors._trim": lambda c: c.loop.call_soon(foreign(c)._trim),
    "rain.governor.pools.python_executors.PythonExecutors._deaf": lambda c: [
        c.loop.call_soon(python(c)._deaf, executor) for executor in list(python(c)._executors.values())[:1]
    ],
    "rain.server.shell.Server._sweep_constants": lambda c: None,
    "rain.governor.pools.foreign_executors.ForeignExecutors._recalled": lambda c: [
        c.loop.call_soon(foreign(c)._recalled, executor, []) for executor in foreign(c)._executors.values()
    ],
    "rain.governor.pools.python_executors.PythonExecutors._on_zygote_gone": lambda c: [
        zygote._process.kill() for zygote in python(c)._zygotes.values()
    ],
    "rain.governor.pools.python_executors.PythonExecutors._start_failed": lambda c: c.loop.call_soon(
        python(c)._start_failed, 999, "could not be started"
    ),
    "rain.governor.pools.python_executors.PythonExecutors._unsent": lambda c: [
        c.loop.call_soon(python(c)._unsent, executor, a_task(), Planted("too large"))
        for executor in list(python(c)._executors.values())[:1]
    ],
    "rain.governor.shell.Governor._ticked": lambda c: None,
    "rain.server.shell.Server._ticked": lambda c: None,
    "rain.server.peers.Peers._follow": lambda c: [
        c.loop.call_soon(c.server._peers._follow, server_events.Tick(), tries) for tries in (0, 1)
    ],
    "rain.net.data_connection.DataConnection.pause_writing": lambda c: c.loop.create_task(c.pause()),
    "rain.governor.shell.Governor._measure": lambda c: c.loop.run_in_executor(None, c.governor._measure),
    "rain.governor.turns.Turns._step": lambda c: c.governor._turns.step_later(governor_events.Tick()),
    "rain.net.conversation.Conversation._beat": lambda c: c.loop.call_soon(some_conversation(c)._beat),
    "rain.net.listener.Listener._accept_again": lambda c: c.loop.call_soon(c.server._listener._accept_again),
    "rain.net.sending.Sender._pump": clog,
    "rain.net.transport._Connected._tell_back": lambda c: c.loop.call_soon(c.governor._conversation._tell_back),
    "rain.server.shell.Server._make_image": lambda c: c.loop.call_soon(c.server._make_image),
    "rain.server.recovery.snapshots.Snapshots._child_ended": lambda c: c.loop.call_soon(c.server._snapshots.make),
    "rain.server.http.listener.Http._first_came": lambda c: c.loop.call_soon(c.server._http._first_came),
    "rain.server.http.listener.Http._serve": lambda c: c.loop.run_in_executor(None, pages).add_done_callback(
        c.server._http._serve
    ),
    "rain.server.peers.Peers._part": lambda c: c.loop.call_soon(c.server._peers._part, governor_number(c), "parted"),
}
"""What leads to a callback that a usual work does not meet."""


def is_foreign(name: str) -> bool:
    return "foreign_executors" in name or "pools.executor_" in name


def test_all_callbacks_are_tried() -> None:
    list(modules())
    assert set(ALWAYS) | set(SELDOM) == set(guarded.GUARDED)
    assert not set(ALWAYS) & set(SELDOM)


def test_work_without_errors(cluster: Cluster) -> None:
    said = cluster.work(foreign_too=True)
    assert len(said) == 2, said
    assert "as it should" in said[0]
    assert "exited with status 3" in said[1]
    cluster.check()


@pytest.mark.parametrize("name", ALWAYS)
def test_an_error_in_a_callback(cluster: Cluster, name: str) -> None:
    cluster.plant(name)
    said = cluster.work(foreign_too=is_foreign(name))
    cluster.do(until_async(lambda: cluster.raised))  # some callbacks follow the client's departure
    cluster.check()
    for text in said:
        assert any(known in text for known in KNOWN), text


KNOWN = ("as it should", "exited with status 3", "Planted", "internal error", "lost", "closed")


@pytest.mark.parametrize("name", SELDOM)
def test_an_error_in_a_callback_that_is_seldom_called(cluster: Cluster, name: str) -> None:
    with contextlib.suppress(RainException), cluster.client() as client, client.new_session("seldom") as session:
        client.wait_for_governors(1, timeout=GUARD_S)
        for round_ in range(2):
            tasks = [square(round_)]
            if is_foreign(name):
                tasks.append(Task(task_type="foreign/make", outputs=[Output("made")]))
            session.submit()
            for task in tasks:
                error_of(task)
            if not round_:  # the executors of both kinds are there, and idle
                cluster.plant(name)
                cluster.do(lambda: SELDOM[name](cluster) and None)
                cluster.do(until_async(lambda: cluster.raised))
    cluster.check()


INSIDE = [
    f"{whose} {what} {kind.__name__}"
    for whose, what, kinds in (
        ("governor", "event", governor_events.AnyEvent),
        ("governor", "effect", governor_effects.AnyEffect),
        ("server", "event", server_events.Event),
        ("server", "effect", server_effects.Effect),
    )
    for kind in get_args(kinds)
]
"""What callbacks lead to: everything that the cores take, and what is done for them."""

NOT_MET = {
    f"{where} {name}"
    for where, names in {
        "governor event": "ServerGone FetchDone FetchFailed ExecutorRecalled OutputsRead ObjectMoved ObjectLost "
        "OverMemory",
        "governor effect": "Fetch CancelFetch RecallFromExecutor InterruptExecutor ReadOutputs CancelBuiltin",
        "server event": "GovernorJoined GovernorGone AssignmentFailed SessionBroken",
        "server effect": "DropGovernor InternalError DiscardUpload",
    }.items()
    for name in names.split()
}
"""What the work does not lead to."""

PREVIEWS = ["governor event PreviewMade", "governor effect MakePreview", "governor effect KeepPreview"]
"""What follows when there is no work."""


@pytest.mark.parametrize("name", PREVIEWS)
def test_an_error_about_a_preview(cluster: Cluster, name: str) -> None:
    cluster.plant(name)
    with cluster.client() as client, client.new_session("preview") as session:
        client.wait_for_governors(1, timeout=GUARD_S)
        task = square(3)
        task.output.keep()
        session.submit()
        task.wait(timeout=GUARD_S)
        cluster.do(until_async(lambda: cluster.raised))
        assert task.output.fetch().load() == 9
    cluster.check()


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in INSIDE if name not in {*NOT_MET, *PREVIEWS}])
def test_an_error_inside(cluster: Cluster, name: str) -> None:
    cluster.plant(name)
    cluster.work(foreign_too=True)
    cluster.do(until_async(lambda: cluster.raised))
    cluster.check()
