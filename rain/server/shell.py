"""The server as a process: sockets, timers, HTTP and the event log around the server's core.

Theory of operation
-------------------
Whatever happens becomes an event; `_step` gives it to the core and carries the effects out in order. At the end of a
loop turn in which anything happened the core gets `TurnEnded`: then it schedules, and sends one batch to each peer.
Peers are conversations here: connections come and go below, in `rain.net.transport`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rain import __version__
from rain.common.errors import ProtocolError, RainException, ResourceError
from rain.common.ids import ID
from rain.common.limits import DEADLINES, UPDATES_BACKLOG_BYTES_MAX, Deadlines
from rain.common.location import Inline, Replica, replicas_of
from rain.common.protocol.address import HTTP_PORT, LOOPBACK, SERVER_PORT, is_loopback
from rain.common.protocol.messages import (
    SERVER_STOPPED,
    Assign,
    ClientToServer,
    Constant,
    DataEnd,
    DataError,
    DataGet,
    DataList,
    DataPut,
    DataView,
    Dismiss,
    Failed,
    GovernorToServer,
    Hello,
    ObjectData,
    ReadOutput,
    Register,
    Retry,
    ServerInfo,
    Submit,
    Welcome,
)
from rain.host.lifeline import lifeline_is_lost, write_ready_file
from rain.host.machine import host_id
from rain.host.signals import STAYS_AWAY
from rain.net.auth import http_bearer, pool_key, pool_role
from rain.net.guarded import guarded
from rain.net.https import fingerprint_text
from rain.net.sending import Sender
from rain.net.transfer import pass_on, serve_get, serve_put
from rain.net.transport import Conversation, DataConnection, Listener, listen
from rain.objects.held import Held
from rain.processes.connection_files import Published
from rain.processes.fate import GUARDIAN, GUARDIAN_LOG
from rain.processes.own_credentials import server_credentials
from rain.processes.scratch import MEMORY_FILES, name_others
from rain.processes.serving import run_until_asked
from rain.server.core import ServerCore
from rain.server.core import effects as do
from rain.server.core import events as ev
from rain.server.core.state import internal
from rain.server.event_log import EVENT_TYPES, EventLog
from rain.server.http import Http
from rain.server.policy_loading import choose_policy
from rain.server.uploads import constant_files

log = logging.getLogger("rain.server")

TICK_S = 0.25
EVENTS_EVERY_S = 0.5
FAILURES_MAX = 10
"""Turns in a row that may raise errors before the server ends."""


@dataclass(slots=True)
class ServerOptions:
    """What `rain server` is told.

    Attributes
    ----------
    host, port : str, int
        Where to listen; port 0 picks a free one, host ``fd`` means an inherited socket (`rain.net.transport.listen`).
    http_host, http_port : str, int
    log_dir : str
        Where the event log is kept; made if it is not there.
    ready_file : str
        Made once connections are accepted; empty for none.
    connection_file : str
        Where to write the connection file, whose keys are taken over if it is there; empty: the user's runtime folder.
    deadlines : Deadlines
    work_dir : str
        Where large constants go that are too much for memory; empty: the folder for temporary files.
    constants_bytes_max : int or None
        Bytes of large constants kept in memory; None: a share of the memory that this process may count on.
    guarded : bool
        Whether a guardian starts it again if it ends.
    policy : str
        The scheduling policy, as `rain.server.policy_loading.choose_policy` takes it; empty: Rain's own.
    """

    host: str = LOOPBACK
    port: int = SERVER_PORT
    http_host: str = LOOPBACK
    http_port: int = HTTP_PORT
    log_dir: str = ""
    ready_file: str = ""
    connection_file: str = ""
    deadlines: Deadlines = DEADLINES
    work_dir: str = ""
    constants_bytes_max: int | None = None
    policy: str = ""
    guarded: bool = False


async def serve(options: ServerOptions, stop: asyncio.Event) -> None:
    """Be a server until `stop` is set.

    Raises
    ------
    RainException
        If it cannot start: a port is taken, a folder cannot be made.
    """
    server = Server(options)
    if options.guarded:
        asyncio.get_running_loop().add_signal_handler(STAYS_AWAY, server.stay_away)
    try:
        await server.open()
        await server.run(stop)
    finally:
        server.close()


def run(options: ServerOptions) -> None:
    """Run a server in a loop of its own until SIGTERM or SIGINT.

    Raises
    ------
    RainException
        As `serve`.
    """
    run_until_asked(lambda stop: serve(options, stop))


class Server:
    """One server: its core, and everything that touches the world."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._loop = asyncio.get_running_loop()
        self._host_id = host_id()
        self._peers: dict[str, Conversation] = {}
        self._senders: dict[str, Sender] = {}
        self._stays_away = not options.guarded
        self._failures = 0  # of turns and ticks, in a row
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._pushed_s = 0.0
        self._governors: dict[Conversation, str] = {}
        self._client_count = 0
        self._behind: dict[str, bool] = {}  # clients, and whether they are to catch up before further updates
        self._sent: dict[str, set[str]] = {}  # conversation with a client -> uploads that came over data connections
        self._sweep: asyncio.Future[None] | None = None
        self._turn_due = False
        self._listener: Listener | None = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            do.ToClient: lambda effect: self._send(effect.client_id, effect.message),
            do.ToGovernor: lambda effect: self._send(effect.governor_id, effect.message),
            do.DropGovernor: self._drop_governor,
            do.AllowPool: self._allow_pool,
            do.ForbidPool: self._forbid_pool,
            do.InternalError: lambda effect: log.error("%s failed", effect.about, exc_info=effect.error),
            do.DiscardUpload: lambda effect: self._constants.discard(effect.names),
            do.Happened: self._happened,
        }

    # -- life -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen, and tell where.

        Raises
        ------
        RainException
            If a port is taken, a folder cannot be written, or the scheduling policy cannot be used.
        """
        options = self.options
        policy = choose_policy(options.policy)
        self._credentials = server_credentials(options.host, options.connection_file)
        try:
            self._log_dir = options.log_dir or tempfile.mkdtemp(prefix="rain-server-")
            os.makedirs(self._log_dir, mode=0o700, exist_ok=True)
            self._scratches, self._constants = constant_files(options.work_dir, options.constants_bytes_max)
        except OSError as error:
            raise ResourceError(f"the server cannot make its folders: {error}") from None
        self._log = EventLog(os.path.join(self._log_dir, "events.sqlite"))
        self._listener = Listener(
            options.host,
            options.port,
            self._credentials,
            self._on_conversation,
            self._serve_data,
            {"client": ClientToServer, "governor": GovernorToServer},
            self._welcome,
            options.deadlines,
        )
        self.address = self._listener.address
        bearers = {http_bearer(self._credentials.key(role)) for role in ("client", "http")}
        http = listen(options.http_host, options.http_port)
        certificate = None if is_loopback(http.getsockname()[0]) else self._credentials.certify()
        self._http = Http(http, bearers, self._log, self.info, certificate)
        self._core = ServerCore(
            self.address, self._host_id, self._http.address, __version__, self._log_dir, policy.make, policy.name
        )
        self._published = Published(
            self.address, self._http.address, self._credentials, options.connection_file, self._log_dir
        )
        self._timer = self._loop.create_task(self._tick())
        if options.ready_file:
            write_ready_file(options.ready_file)
        log.info("listening at %s, %s at %s", self.address, "HTTPS" if certificate else "HTTP", self._http.address)
        if certificate is not None:
            log.info("the certificate's SHA-256 fingerprint is %s", fingerprint_text(certificate.fingerprint))
        name_others((tempfile.gettempdir(), MEMORY_FILES))

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; an error that stays ends the server rather than leave it half alive."""
        stopped = self._loop.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopped, self._timer, self._broken}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for end in (self._broken, self._timer):
            if end.done():
                end.result()
        self._broken.cancel()

    def stay_away(self) -> None:
        """Take note that this server will not be started again."""
        self._stays_away = True

    def close(self) -> None:
        """Tell all peers, close everything, remove what is on disk but the logs; idempotent."""
        if hasattr(self, "_timer"):
            self._timer.cancel()
        if self._stays_away or lifeline_is_lost():
            for name in self._governors.values():
                self._send(name, Dismiss(SERVER_STOPPED))
        if self._listener is not None:
            self._listener.close(self._farewell())
        if hasattr(self, "_http"):
            self._http.close()
        if hasattr(self, "_published"):
            self._published.remove()
        if hasattr(self, "_log"):
            self._log.close()
        if hasattr(self, "_constants"):
            self._constants.close()
            for scratch in self._scratches:
                scratch.close()
        if hasattr(self, "_log_dir") and not self.options.log_dir:
            shutil.rmtree(self._log_dir, ignore_errors=True)

    def _farewell(self) -> str:
        if not lifeline_is_lost():
            return "the server was stopped"
        return (
            f"the server was stopped, because {GUARDIAN}, which watches over it, has ended: see "
            f"{self._log_dir}/{GUARDIAN_LOG} on {platform.node()}, and start it again with `rain start`"
        )

    def info(self) -> ServerInfo:
        """The present state, for the status page."""
        return self._core.info(0, __version__, self.address, self._http.address)

    # -- peers ----------------------------------------------------------------------------------

    def _welcome(self, hello: Hello) -> Welcome:
        welcome = Welcome("", False, 0, self._host_id, http=self._http.address, data=self.address)
        if hello.host_id == self._host_id:
            constants = self._constants
            welcome.incoming, welcome.incoming_disk = constants.incoming, constants.incoming_disk
            welcome.incoming_max = constants.bytes_max
        return welcome

    def _on_conversation(self, conversation: Conversation, hello: Hello) -> None:
        if hello.role == "client":
            self._client_count += 1
            name = f"client-{self._client_count}"
            conversation.on_messages = lambda messages: self._client_said(name, messages)
            conversation.on_gone = lambda reason: self._client_gone(name, conversation)
            self._add_peer(name, conversation)
            self._behind[name] = False
            self._sent[conversation.name] = set()
            self._step(ev.ClientJoined(name))
        else:
            conversation.on_messages = lambda messages: self._governor_said(conversation, messages)
            conversation.on_gone = lambda reason: self._governor_gone(conversation, reason)

    def _add_peer(self, name: str, conversation: Conversation) -> None:
        self._peers[name] = conversation
        self._senders[name] = Sender(
            conversation, lambda message, error: self._unsendable(name, conversation, message, error)
        )

    def _client_said(self, name: str, messages: list[Any]) -> None:
        for message in messages:
            trouble = self._claim(message.constants) if isinstance(message, Submit | Retry) else ""
            self._step(ev.ClientSaid(name, message, trouble))

    def _claim(self, constants: list[Constant]) -> str:
        """Take over what was uploaded; what is wrong with it. The core refuses the request then, of which this may be
        one piece of several."""
        trouble = ""
        for constant in constants:
            upload = constant.location
            if isinstance(upload, Inline):
                continue
            upload.file = None  # whatever the client says
            if not trouble:
                try:
                    upload.file = self._constants.claim(constant.id, upload)
                except Exception as error:
                    if not isinstance(error, RainException):
                        log.exception("constant %s cannot be taken over", constant.id)
                    trouble = str(error) or type(error).__name__
            for names in self._sent.values():
                names.discard(upload.name)
        return trouble

    def _client_gone(self, name: str, conversation: Conversation) -> None:
        self._constants.abandon(self._sent.pop(conversation.name, ()))
        if self._peers.get(name) is conversation:
            del self._peers[name], self._senders[name]
            del self._behind[name]
            self._step(ev.ClientGone(name))

    def _governor_said(self, conversation: Conversation, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, Register):
                governor_id = message.governor_id
                if governor_id in self._peers:
                    self._drop(governor_id, "another governor registered at its address")
                self._add_peer(governor_id, conversation)
                self._governors[conversation] = governor_id
                self._step(ev.GovernorJoined(governor_id, message, conversation.pool))
                continue
            name = self._governor_name(conversation)
            if name is None:
                raise ProtocolError("a governor must register first")
            self._step(ev.GovernorSaid(name, message))

    def _governor_name(self, conversation: Conversation) -> str | None:
        name = self._governors.get(conversation)
        return name if name is not None and self._peers.get(name) is conversation else None

    def _governor_gone(self, conversation: Conversation, reason: str) -> None:
        name = self._governor_name(conversation)
        self._governors.pop(conversation, None)
        if name is not None:
            del self._peers[name], self._senders[name]
            log.warning("governor %s is lost: %s", name, reason)
            self._step(ev.GovernorGone(name, reason))

    def _drop(self, governor_id: str, reason: str) -> None:
        conversation = self._peers.get(governor_id)
        if conversation is not None:
            self._governor_gone(conversation, reason)
            conversation.close(reason)

    def _send(self, name: str, message: Any) -> None:
        sender = self._senders.get(name)
        if sender is not None:
            sender.send(message)

    def _unsendable(self, name: str, conversation: Conversation, message: Any, error: Exception) -> None:
        """A message cannot be sent: what it was about fails; a peer cannot go on without the message."""
        log.error("a %s message to %s cannot be sent", type(message).__name__, name, exc_info=error)
        if self._peers.get(name) is not conversation:
            return
        why = f"a {type(message).__name__} message cannot be sent: {error}"
        request = getattr(message, "request", None)
        if isinstance(message, Assign) and message.tasks:
            task = message.tasks[0]
            self._loop.call_soon(self._step_later, ev.AssignmentFailed(name, task.spec.id, task.attempt, why))
        elif request is not None and not isinstance(message, Failed | ReadOutput):
            self._send(name, Failed(request, "rain", why))
        else:
            self._loop.call_soon(self._part, name, conversation, why)

    @guarded("_callback_failed")
    def _part(self, name: str, conversation: Conversation, why: str) -> None:
        """End the conversation with a peer."""
        if self._peers.get(name) is not conversation:
            return
        conversation.close(why)
        if conversation in self._governors:
            self._governor_gone(conversation, why)
        else:
            self._client_gone(name, conversation)

    # -- events in, effects out -----------------------------------------------------------------

    def _step(self, event: ev.Event) -> None:
        try:
            effects = self._core.step(event, time.monotonic())
        except Exception as error:
            self._core_failed(event, error)
            return
        self._carry_out(effects)
        self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn_ended)

    def _carry_out(self, effects: list[do.Effect]) -> None:
        handlers = self._handlers
        for effect in effects:
            try:
                handlers[type(effect)](effect)
            except Exception as error:
                self._effect_failed(effect, error)

    def _effect_failed(self, effect: do.Effect, error: Exception) -> None:
        log.exception("%s raised an error", type(effect).__name__, exc_info=error)
        name = getattr(effect, "client_id", None) or getattr(effect, "governor_id", None)
        if name is not None and name in self._peers:
            self._loop.call_soon(self._part, name, self._peers[name], internal(error))

    def _core_failed(self, event: ev.Event, error: Exception) -> None:
        """The core raised an error: what the event was about may be half a change, so it is given up."""
        log.exception("the core raised an error at %s", type(event).__name__, exc_info=error)
        why = internal(error)
        if isinstance(event, ev.ClientSaid):
            request = getattr(event.message, "request", None)
            session_id = getattr(event.message, "session_id", None)
            if request is not None:
                self._send(event.client_id, Failed(request, "rain", why))
            if session_id is not None:
                self._loop.call_soon(self._step_later, ev.SessionBroken(event.client_id, session_id, why))
        elif isinstance(event, ev.ClientJoined) and event.client_id in self._peers:
            self._loop.call_soon(self._part, event.client_id, self._peers[event.client_id], why)
        elif isinstance(event, ev.GovernorSaid | ev.GovernorJoined) and event.governor_id in self._peers:
            self._loop.call_soon(self._part, event.governor_id, self._peers[event.governor_id], why)
        else:  # no peer can be blamed for it: the core has to take it
            self._loop.call_soon(self._step_again, event, 1)
            return
        self._turn_soon()

    @guarded("_callback_failed")
    def _step_again(self, event: ev.Event, tries: int) -> None:
        try:
            self._carry_out(self._core.step(event, time.monotonic()))
        except Exception as error:
            log.exception("the core raised an error at %s again", type(event).__name__)
            if tries >= FAILURES_MAX:
                self._fatal(error)
            else:
                self._loop.call_soon(self._step_again, event, tries + 1)
        self._turn_soon()

    def _fatal(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    @guarded("_turn_failed")
    def _step_later(self, event: ev.Event) -> None:
        self._step(event)

    @guarded("_turn_failed")
    def _turn_ended(self) -> None:
        self._turn_due = False
        for name, was_behind in self._behind.items():
            behind = self._peers[name].backlog_bytes > UPDATES_BACKLOG_BYTES_MAX
            if behind is not was_behind:
                self._behind[name] = behind
                self._carry_out(self._core.step(ev.ClientPace(name, behind), time.monotonic()))
        self._carry_out(self._core.step(ev.TurnEnded(), time.monotonic()))
        self._failures = 0

    def _turn_failed(self, error: Exception, *_: Any) -> None:
        """The turn is tried again; an error that stays ends the server rather than leave it half alive."""
        self._failures += 1
        if self._failures > FAILURES_MAX:
            self._fatal(error)
            return
        self._turn_due = True
        self._loop.call_soon(self._turn_ended)

    def _callback_failed(self, error: Exception, *_: Any) -> None:
        """Nothing waits for what the callback should have done."""

    def _drop_governor(self, effect: do.DropGovernor) -> None:
        conversation = self._peers.get(effect.governor_id)
        if conversation is not None:
            self._loop.call_soon(self._part, effect.governor_id, conversation, effect.reason)

    def _allow_pool(self, effect: do.AllowPool) -> None:
        credentials = self._credentials
        credentials.keys[pool_role(effect.pool)] = pool_key(credentials.key("governor"), effect.salt)

    def _forbid_pool(self, effect: do.ForbidPool) -> None:
        del self._credentials.keys[pool_role(effect.pool)]

    def _happened(self, effect: do.Happened) -> None:
        if effect.type in EVENT_TYPES:
            self._log.add(effect.type, effect.session, effect.id, effect.values)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._ticked()

    @guarded("_turn_failed")
    def _ticked(self) -> None:
        self._step(ev.Tick())
        self._pushed_s += TICK_S
        if self._pushed_s >= EVENTS_EVERY_S:
            self._pushed_s = 0.0
            self._log.push()
            if self._sweep is None or self._sweep.done():
                self._sweep = self._loop.run_in_executor(None, self._sweep_constants)

    @guarded("_callback_failed")
    def _sweep_constants(self) -> None:
        self._constants.sweep()

    # -- data connections -----------------------------------------------------------------------

    async def _serve_data(self, connection: DataConnection) -> None:
        while True:
            request = await connection.receive()
            if isinstance(request, DataGet | DataList):
                await self._get(connection, request)
            elif isinstance(request, DataView):
                await self._view(connection, request)
            elif isinstance(request, DataPut):
                await self._put(connection, request)
            else:
                await connection.send(DataError("a server answers DataGet, DataList, DataView and DataPut only"))
                return

    async def _get(self, connection: DataConnection, request: DataGet | DataList) -> None:
        found = self._core.object_data(ID(*request.id))
        if found is None:
            await connection.send(DataError(f"object {request.id} is not finished, or its data are gone", missing=True))
            return
        await self._send_object(connection, request, found)

    async def _send_object(self, connection: DataConnection, request: DataGet | DataList, found: ObjectData) -> None:
        location = found.location
        replicas = replicas_of(location)
        own = next((replica.file for replica in replicas if replica.address == self.address), None)
        here = location if isinstance(location, Inline) else own
        if here is not None:
            await serve_get(connection, request, Held(here, found.spec.data_type == "dir"))
            return

        await pass_on(connection, request, replicas, self._credentials)

    async def _view(self, connection: DataConnection, request: DataView) -> None:
        request.id = ID(*request.id)
        found = self._core.places_of_view(request.id)
        if found is None:
            await connection.send(DataError(f"object {request.id} is not finished, or its data are gone", missing=True))
            return
        request.data, request.env, governors = found
        await pass_on(connection, request, [Replica(address, "") for address in governors], self._credentials)

    async def _put(self, connection: DataConnection, request: DataPut) -> None:
        try:
            checksum = await serve_put(connection, request, self._constants.sink(request.name))
            if request.conversation not in self._sent:
                self._constants.abandon([request.name])
                raise RainException("the client that sent this constant is gone")
            self._sent[request.conversation].add(request.name)
        except (RainException, OSError) as error:
            await connection.send(DataError(str(error)))
            connection.close()
            return
        await connection.send(DataEnd(checksum))
