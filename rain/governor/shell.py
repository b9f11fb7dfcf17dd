"""The governor as a process: sockets, timers, processes and files around `GovernorCore`.

Theory of operation
-------------------
Whatever happens becomes an event; `_step` gives it to the core and carries the effects out in order. At the end of a
loop turn in which anything happened the core gets `TurnEnded` and the conversation is flushed, so that all results of
one turn leave as one packet. Nothing here decides anything about tasks.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from rain.common.errors import RainException
from rain.common.ids import ID
from rain.common.limits import DEADLINES, HEARTBEAT_S, LEAVE_S, Deadlines
from rain.common.location import replicas_of
from rain.common.protocol.address import format_address, is_wildcard, parse_address
from rain.common.protocol.messages import (
    DataError,
    DataGet,
    DataList,
    DataView,
    Draining,
    Finished,
    GovernorToServer,
    Hello,
    Libraries,
    Load,
    ModuleFound,
    ObjectData,
    Register,
    ServerToGovernor,
)
from rain.common.spec import Transfer
from rain.governor.attempts import Attempts
from rain.governor.config import GovernorConfig, declared
from rain.governor.core import GovernorCore
from rain.governor.core import effects as do
from rain.governor.core import events as ev
from rain.governor.fetch import fetch
from rain.governor.finding import RECONNECT_PAUSE_S, find_server, once_answered, own_address_towards
from rain.governor.inheritance.index_format import About
from rain.governor.inheritance.taking import Inheritance, cluster_of, left_over, take_over
from rain.governor.pools.zygotes.process import ZygoteProcess
from rain.governor.results import failed, only_good, results_in
from rain.governor.store import Held, Store
from rain.governor.surroundings.host_load import HostLoad
from rain.governor.surroundings.leaving import Departures, End
from rain.governor.turns import Turns
from rain.governor.views.viewing import Viewing
from rain.host.cgroup import memory_left, memory_limit
from rain.host.libraries import installed_versions
from rain.host.lifeline import write_ready_file
from rain.host.machine import host_id
from rain.net.auth import Credentials
from rain.net.guarded import guarded
from rain.net.sending import Sender
from rain.net.transfer import in_thread, serve_get, serve_view
from rain.net.transfer.outages import through_outages
from rain.net.transport import Conversation, DataConnection, Listener, converse, open_data
from rain.processes.serving import run_until_asked, unless_stopped

log = logging.getLogger("rain.governor")

TICK_S = 0.05
_LOOK_S = 0.01


@dataclass(slots=True)
class GovernorOptions:
    """What `rain governor` is told.

    Attributes
    ----------
    server : str
        ``host:port``; several, with commas between them, are tried in turn.
    credentials : Credentials
        With the governor's key.
    cpus : float
    work_dir : str
        A private folder for executors; removed at the end.
    store_dir : str
        In which the part of the store that is on disk makes a folder.
    listen : str
        Address of the data listener; empty: the address by which the server is reached, any port.
    advertise : str
        Host that peers are told; empty: the one listened at.
    config : GovernorConfig
    ready_file : str
        Made once the governor is registered; empty for none.
    id_file : str
        Made before it, with the governor's id; empty for none.
    store_bytes_max : int or None
        Bytes of objects kept in memory before they are spilled to disk; None: a share of what the machine has.
    deadlines : Deadlines
    end : End or None
        When its time is over: it has left before.
    leave_s : float
        How long it may take to leave after SIGTERM.
    here : str
        What this process has of its host and what says so, for the log.
    gpus : tuple of str
        GPUs that tasks get, as ``CUDA_VISIBLE_DEVICES`` names them.
    returns : bool
        Whether a guardian starts another governor in the place of this one, should it die, and hands on what it had.
    zygote : ZygoteProcess or None
        The process from which executors are forked, if it was started before; it is the governor's to end.
    """

    server: str
    credentials: Credentials
    cpus: float
    work_dir: str
    store_dir: str
    listen: str = ""
    advertise: str = ""
    config: GovernorConfig = field(default_factory=GovernorConfig)
    ready_file: str = ""
    id_file: str = ""
    store_bytes_max: int | None = None
    deadlines: Deadlines = DEADLINES
    end: End | None = None
    leave_s: float = LEAVE_S
    here: str = ""
    gpus: tuple[str, ...] = ()
    returns: bool = False
    zygote: ZygoteProcess | None = None


class Left(NamedTuple):
    """How a governor left.

    Attributes
    ----------
    reason : str
        `rain.common.protocol.messages.SERVER_STOPPED` if its server ended for good.
    by_signal : bool
        Whether a signal asked it to.
    """

    reason: str
    by_signal: bool


class ServerGone(RainException):
    """The server was lost, and did not come back."""


async def govern(options: GovernorOptions, stop: asyncio.Event) -> Left:
    """Be a governor until `stop` is set, or it has left.

    Raises
    ------
    ServerGone
        If the server is gone for `SERVER_SOUGHT_S`.
    RainException
        If the server cannot be reached at the start, or refuses the governor.
    """
    governor = Governor(options)
    departures = Departures(partial(governor.leave, stop), stop, options.end, options.leave_s)
    governor.on_tick = departures.look
    try:
        if await unless_stopped(governor.open(), stop):
            departures.heed_signals(asyncio.get_running_loop())
            await governor.run(stop)
    finally:
        await governor.close()
    return Left(governor.left_because, departures.by_signal)


def run(options: GovernorOptions) -> Left:
    """Run a governor in a loop of its own until SIGINT, or until it has left.

    Raises
    ------
    RainException
        As `govern`.
    """
    return run_until_asked(lambda stop: govern(options, stop))


class Governor:
    """One governor: its core, and everything that touches the world."""

    def __init__(self, options: GovernorOptions) -> None:
        self.options = options
        self._loop = asyncio.get_running_loop()
        self._host_id = host_id()
        self._addresses = options.server.split(",")
        self._conversation: Conversation | None = None
        self._sender: Sender | None = None
        self._gone: asyncio.Future[str] = self._loop.create_future()
        self._handlers: dict[type, Callable[[Any], None]] = {
            do.ToServer: lambda effect: self._say(effect.message),
            do.Leave: lambda effect: self._left_because(effect.reason),
            do.Fetch: self._fetch,
            do.CancelFetch: self._cancel_fetch,
            do.NoteObject: lambda effect: self._store.note(effect.known),
            do.KeepNoted: lambda effect: self._store.keep_noted(effect.but),
            do.PutInStore: self._put_in_store,
            do.DropFromStore: self._drop_from_store,
            do.EndSessionStore: self._end_session_store,
            do.KeepPreview: lambda effect: self._viewing.keep(effect.id, effect.data),
        }
        self._instead: dict[type, Callable[[Any, str], ev.AnyEvent | None]] = {
            do.Fetch: lambda effect, why: ev.FetchFailed(effect.data.spec.id, why),
            do.PutInStore: lambda effect, why: ev.ObjectLost(effect.data.spec.id, why),
            **dict.fromkeys(
                (do.CancelFetch, do.DropFromStore, do.EndSessionStore, do.KeepNoted, do.KillExecutor, do.CancelBuiltin),
                lambda effect, why: self._handlers[type(effect)](effect),  # twice does no harm, and not at all does
            ),
            do.KeepPreview: lambda effect, why: None,  # it is made when it is looked at
            do.NoteObject: lambda effect, why: None,  # should this governor die, it is made again
            do.ToServer: lambda effect, why: self._start_anew(f"a message to the server was not sent: {why}"),
        }
        self._fetches: dict[ID, asyncio.Task[None]] = {}
        self._host_load = HostLoad()
        self._measured: dict[str, float] = {}
        self._load_age_s = 0.0
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._server_behind = False
        self._inheritance: Inheritance | None = None
        self._left: asyncio.Future[str] = self._loop.create_future()
        self._stopped = False
        self.on_tick: Callable[[], None] = lambda: None

    # -- life -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen, connect to the server and register.

        Raises
        ------
        RainException
            If one of these cannot be done.
        """
        options = self.options
        find = partial(find_server, self._addresses, options.credentials, options.deadlines)
        self._server = await once_answered(find, options.deadlines)
        if options.listen:
            host, port = parse_address(options.listen, default_port=0)
        else:
            host, port = own_address_towards(self._server), 0
        self._listener = Listener(
            host, port, options.credentials, self._no_conversation, self._serve_data, {}, _no_peer
        )
        self.governor_id = format_address(options.advertise or self._listener.host, self._listener.port)
        self._store = Store(
            options.store_dir,
            memory_bytes_max=options.store_bytes_max,
            on_moved=lambda id, file: self._step(ev.ObjectMoved(id, file)),
            on_lost=self._object_lost,
        )
        about = About(cluster_of(options.credentials.key("governor")), self._host_id, options.returns)
        self._inheritance = take_over(self._store, options.store_dir, about, options.deadlines.store_kept_s)
        self._attempts = Attempts(
            self.governor_id,
            self._host_id,
            options.work_dir,
            self._store,
            options.config.executors,
            options.gpus,
            options.zygote,
            step=lambda event: self._step(event),
            step_later=lambda event: self._turns.step_later(event),
        )
        self._viewing = Viewing(
            self.governor_id, self._host_id, options.work_dir, self._store, options.config.executors, self._say
        )
        self._handlers.update(self._attempts.handlers())
        self._instead.update(self._attempts.instead())
        self.resources = declared(options.cpus, options.gpus, options.config.resources)
        self._turns = Turns(
            GovernorCore(self.governor_id, self.resources, self._attempts.extra_kinds),
            self._handlers,
            self._instead,
            on_ended=self._turn_ended,
            on_spoiled=self._start_anew,
            on_fatal=self._fatal,
        )
        self._step = self._turns.step
        await once_answered(self._connect, options.deadlines)
        log.info("governor %s of %s; here: %s", self.governor_id, self._server, options.here)
        self._timer = self._loop.create_task(self._tick())
        write_ready_file(options.id_file, self.governor_id)
        write_ready_file(options.ready_file)

    async def _connect(self) -> None:
        hello = Hello("governor", "", host_id=self._host_id, python=".".join(platform.python_version_tuple()[:2]))
        self._gone = self._loop.create_future()
        self._conversation = await converse(
            self._server,
            self.options.credentials,
            hello,
            ServerToGovernor,
            self._on_messages,
            self._on_gone,
            deadlines=self.options.deadlines,
        )
        self._conversation.soon, self._sender = self._turns.soon, Sender(self._conversation, self._unsendable)
        own, first, self._inheritance = self._inheritance or left_over(self._store), self._inheritance, None
        register = Register(self.governor_id, self._host_id, self.resources, self._attempts.extra_kinds, hello.python)
        register.host, register.store, register.before = platform.node(), own.store, own.before
        register.returns_s = self.options.deadlines.governor_return_s if self.options.returns else 0.0
        self._sender.send(register)
        log.info("registers with %d objects", len(own.objects))
        if first is None or own.before:
            self._step(ev.Inherited(own.objects))
        self._conversation.flush()  # before it is told that this governor is ready
        self._loop.run_in_executor(None, installed_versions).add_done_callback(self._tell_libraries)

    def _tell_libraries(self, reading: asyncio.Future[dict[str, str]]) -> None:
        if reading.cancelled():
            return
        try:
            self._say(Libraries(reading.result()))
        except Exception:
            log.exception("the versions of libraries are not told")

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, or the governor has left.

        Raises
        ------
        RainException
            If the server is gone and does not come back.
        """
        stopped = self._loop.create_task(stop.wait())
        try:
            while True:
                ends: set[asyncio.Future[Any]] = {stopped, self._broken, self._timer, self._left}
                await asyncio.wait({*ends, self._gone}, return_when=asyncio.FIRST_COMPLETED)
                self._stopped = stopped.done()
                if self._stopped or self._left.done():
                    return
                for end in (self._broken, self._timer):
                    if end.done():
                        end.result()
                finding = self._loop.create_task(self._find_server(self._gone.result()))
                await asyncio.wait({*ends, finding}, return_when=asyncio.FIRST_COMPLETED)
                if not finding.done():
                    finding.cancel()
                    continue
                finding.result()
        finally:
            stopped.cancel()
            self._broken.cancel()

    async def _find_server(self, reason: str) -> None:
        log.warning("the conversation with the server is over: %s", reason)
        deadline = self._loop.time() + self.options.deadlines.server_sought_s
        while True:
            try:
                if self._turns.spoiled:
                    await self._renew_core()
                order = sorted(self._addresses, key=lambda address: address != self._server)
                self._server = await find_server(order, self.options.credentials, self.options.deadlines)
                await self._connect()
                return
            except RainException as error:
                if self._loop.time() > deadline:
                    raise ServerGone(f"the server {self._server} is gone ({reason}): {error}") from None
                await asyncio.sleep(RECONNECT_PAUSE_S)

    @property
    def left_because(self) -> str:
        """Why it left."""
        return self._left.result() if self._left.done() else "the governor was stopped"

    def leave(self, stop: asyncio.Event, reason: str, within_s: float) -> None:
        """Begin to leave; at once if there is no server, because nothing can be handed over then."""
        log.info("leaving within %.0f s: %s", within_s, reason)
        if self._conversation is None:
            stop.set()
        else:
            self._step(ev.LeaveAsked(reason, within_s))

    def _left_because(self, reason: str) -> None:
        if not self._left.done():
            log.info("leaving now: %s", reason)
            self._left.set_result(reason)

    async def close(self) -> None:
        """Kill all executors, delete all objects, tell the server; idempotent."""
        if self._conversation is not None:
            reason = self.left_because
            if not self._left.done() and self._stopped and self._sender is not None:
                self._sender.send(Draining(reason, 0.0))  # so that no task is charged with it
            self._conversation.close(reason)
        if hasattr(self, "_timer"):
            self._timer.cancel()
        for task in self._fetches.values():
            task.cancel()
        if hasattr(self, "_attempts"):
            await asyncio.gather(self._attempts.close(), self._viewing.close())
        if hasattr(self, "_listener"):
            self._listener.close()
        if hasattr(self, "_store"):
            self._store.close()

    # -- talking to the server ------------------------------------------------------------------

    def _turn_ended(self) -> None:
        self._store.flush_notes()
        if self._conversation is not None:
            self._conversation.flush()
        self._heed_backlog()

    def _heed_backlog(self) -> None:
        """Start nothing while the server takes nothing and much waits for it: it may be away for minutes."""
        behind = self._sender is not None and self._sender.is_full
        if behind is not self._server_behind:
            self._server_behind = behind
            self._turns.step_later(ev.ServerBehind(behind))

    def _on_messages(self, messages: list[Any]) -> None:
        for message in messages:
            if self._conversation is None:  # it was ended meanwhile
                return
            if isinstance(message, ModuleFound):
                self._viewing.module_found(message)
            self._step(ev.ServerSaid(message))

    def _on_gone(self, reason: str) -> None:
        sender, self._conversation, self._sender = self._sender, None, None
        unheard = results_in([] if sender is None else sender.unheard(GovernorToServer))
        self._step(ev.ServerGone(sender is None or sender.conversation.ended == "unreachable", unheard))
        self._viewing.server_gone()
        if not self._gone.done():
            self._gone.set_result(reason)

    def _start_anew(self, reason: str) -> None:
        """End the conversation, as if the server had; `run` opens another one."""
        conversation = self._conversation
        if conversation is not None:
            conversation.close(reason)
            self._on_gone(reason)

    def _fatal(self, error: Exception) -> None:
        """End the governor; its guardian starts another."""
        if not self._broken.done():
            self._broken.set_exception(error)

    def _say(self, message: GovernorToServer) -> None:
        if self._sender is not None:
            self._sender.send(message)

    def _unsendable(self, message: Any, error: Exception) -> None:
        """A message cannot be sent: a result goes as a failure, any other message ends the conversation."""
        log.error("a %s message cannot be sent", type(message).__name__, exc_info=error)
        if isinstance(message, Finished) and (result := only_good(message)) is not None and self._sender is not None:
            self._store.drop([output.id for output in result.outputs])
            text = f"the task's result cannot be sent: {error}"
            self._sender.send(Finished([failed(result.id, result.attempt, text, self.governor_id)]))
            return
        self._start_anew(f"a {type(message).__name__} message cannot be sent: {error}")

    async def _renew_core(self) -> None:
        """After an error of the core, which may not even have told to end what runs: let nothing be left."""
        for task in self._fetches.values():
            task.cancel()
        self._attempts.end_all()
        while self._attempts.any or self._fetches:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        self._store.clear()
        self._turns.renew()

    # -- time -----------------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._ticked()

    @guarded("_tick_failed")
    def _ticked(self) -> None:
        self.on_tick()
        self._attempts.look()
        self._heed_backlog()
        self._step(ev.Tick())
        self._load_age_s += TICK_S
        if self._load_age_s >= HEARTBEAT_S and self._sender is not None:
            self._load_age_s = 0.0
            self._sender.send(Load({**self._turns.core.load(), **self._store.statistics(), **self._measured}))
            self._loop.run_in_executor(None, self._measure)
            self._viewing.look()
            self._attempts.pools.note_oom_kills()

    def _tick_failed(self, error: Exception) -> None:
        """The next tick comes soon."""

    @guarded("_tick_failed")
    def _measure(self) -> None:
        self._measured = self._host_load.read()
        self._store.heed(memory_left(), memory_limit())
        self._store.touch()

    # -- objects --------------------------------------------------------------------------------

    def _fetch(self, effect: do.Fetch) -> None:
        self._fetches[effect.data.spec.id] = self._loop.create_task(self._bring(effect.data))

    async def _bring(self, data: ObjectData) -> None:
        object_id = data.spec.id
        event: ev.AnyEvent
        began, since = time.time(), time.perf_counter()
        try:
            fetching = partial(fetch, data, self._store, self._host_id, self._open_data)
            conversation = self._conversation
            if conversation is not None and conversation.peer.data in [
                place.address for place in replicas_of(data.location)
            ]:
                _, source = await through_outages(conversation, fetching)
            else:
                _, source = await fetching()
            took = time.perf_counter() - since
            moved = Transfer(object_id, source, data.info.size or 0, began, took) if source else None
            event = ev.FetchDone(object_id, moved)
        except asyncio.CancelledError:
            event = ev.FetchFailed(object_id, "the fetch was cancelled")
        except RainException as error:
            event = ev.FetchFailed(object_id, str(error))
        except Exception as error:
            log.exception("fetching %s failed", object_id)
            event = ev.FetchFailed(object_id, f"{type(error).__name__}: {error}")
        self._fetches.pop(object_id, None)
        self._step(event)

    async def _open_data(self, address: str) -> DataConnection:
        # A server that listens at all addresses of its host gives none that leads to it from elsewhere.
        here = self._server if is_wildcard(parse_address(address)[0]) else address
        return await open_data(here, self.options.credentials)

    def _cancel_fetch(self, effect: do.CancelFetch) -> None:
        task = self._fetches.get(effect.id)
        if task is not None:
            task.cancel()

    def _put_in_store(self, effect: do.PutInStore) -> None:
        try:
            self._store.put_bytes(effect.spec.id, effect.location, is_dir=effect.spec.data_type == "dir")
        except (RainException, OSError) as error:
            self._turns.step_later(ev.ObjectLost(effect.spec.id, str(error)))

    def _object_lost(self, id: ID, reason: str) -> None:
        self._viewing.drop([id])  # what is made anew may be another value
        self._step(ev.ObjectLost(id, reason))

    def _drop_from_store(self, effect: do.DropFromStore) -> None:
        self._store.drop(effect.ids)
        self._attempts.pools.drop(effect.ids)
        self._viewing.drop(effect.ids)

    def _end_session_store(self, effect: do.EndSessionStore) -> None:
        self._store.drop_session(effect.session_id)
        self._viewing.end_session(effect.session_id)

    def _no_conversation(self, conversation: Conversation, hello: Hello) -> None:
        raise AssertionError("a governor's listener takes data connections only")

    async def _serve_data(self, connection: DataConnection) -> None:
        while True:
            request = await connection.receive()
            if isinstance(request, DataGet | DataList | DataView) and self._store.is_unread(request.id):
                await in_thread(self._store.check, request.id)
            if isinstance(request, DataView):
                await self._serve_view(connection, request)
                continue
            if not isinstance(request, DataGet | DataList):
                await connection.send(DataError("a governor answers DataGet, DataList and DataView only"))
                return
            held = self._store.get(request.id)
            if held is None:
                await connection.send(DataError(f"{self.governor_id} does not hold object {request.id}", missing=True))
                continue

            def lose(reason: str, id: ID = request.id, held: Held = held) -> Held | None:
                return self._store.lose(id, reason, held)

            await serve_get(connection, request, held, lose)

    async def _serve_view(self, connection: DataConnection, request: DataView) -> None:
        if self._viewing.has(request):
            await serve_view(connection, request, self._viewing.view(request))
        else:
            await connection.send(DataError(f"{self.governor_id} does not hold object {request.id}", missing=True))


def _no_peer(hello: Hello) -> Any:
    raise RainException("this is a governor's data port; connect to the server")
