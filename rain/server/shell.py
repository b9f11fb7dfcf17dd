"""The server as a process: sockets, timers, HTTP and the event log around the server's core.

The parts: `peers` (what peers say becomes records, and what the machine says leaves), `recovery` (the records, the
machine that they drive), `data_service` (data connections), `http`, `event_log`, `uploads`. Here they are put together,
opened and closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from rain import __version__
from rain.common.errors import NoRoom, of_system
from rain.common.limits import DEADLINES, Deadlines
from rain.common.protocol.address import HTTP_PORT, LOOPBACK, SERVER_PORT, format_address, is_loopback
from rain.common.protocol.messages import (
    SERVER_STOPPED,
    ClientToServer,
    Dismiss,
    GovernorToServer,
    Hello,
    ServerInfo,
    Welcome,
)
from rain.host import process_table
from rain.host.lifeline import lifeline_is_lost, write_ready_file
from rain.host.machine import host_id
from rain.host.signals import STAYS_AWAY
from rain.net.auth import http_bearer
from rain.net.guarded import guarded
from rain.net.https import fingerprint_text
from rain.net.transport import Listener, listen
from rain.processes.connection_files import KEYS, Published, default_path, write_copy
from rain.processes.fate import GUARDIAN, GUARDIAN_LOG
from rain.processes.own_credentials import server_credentials
from rain.processes.scratch import MEMORY_FILES, name_others
from rain.processes.serving import run_until_asked
from rain.server.core import ServerCore
from rain.server.data_service import DataService
from rain.server.event_log.event_log import EventLog
from rain.server.http.listener import Http
from rain.server.journal.files import remove_journal
from rain.server.journal.journal import Journal
from rain.server.metrics import Own, exposition
from rain.server.peers import Peers
from rain.server.policy_loading import choose_policy
from rain.server.recovery.fingerprint import fingerprint
from rain.server.recovery.handing_over import HandingOver
from rain.server.recovery.images import image_pieces
from rain.server.recovery.recorder import Recorder
from rain.server.recovery.records import Begun
from rain.server.recovery.snapshots import Snapshots
from rain.server.restoring import Replay
from rain.server.uploads import constant_files

log = logging.getLogger("rain.server")

TICK_S = 0.25
EVENTS_EVERY_S = 0.5


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
    journal : str
        The folder of the journal, from which a server comes back after its death; empty: none is kept.
    private : bool
        Whether no server comes after this one when its guardian has ended.
    durable : bool
        Whether what is acknowledged is also on the disk, so that it survives a loss of power.
    metrics : bool
        Whether Prometheus finds its figures at ``/metrics``.
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
    journal: str = ""
    private: bool = False
    durable: bool = False
    metrics: bool = False


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
        self._stays_away = not options.guarded
        self._parent = os.getppid()
        self._asked = False  # to stop
        self._returned_at = 0.0
        self._snapshots: Snapshots | None = None
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._handed_over: asyncio.Future[None] = self._loop.create_future()
        self._pushed_s = 0.0
        self._started_at = time.time()
        self._sweep: asyncio.Future[None] | None = None
        self._recorder = Recorder()
        self._listener: Listener | None = None

    # -- life -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen, be again what the server before was that kept the journal, and tell where.

        Raises
        ------
        RainException
            If a port is taken, a folder cannot be written, the scheduling policy cannot be used, or the journal cannot
            be read.
        """
        options = self.options
        policy = choose_policy(options.policy)
        if options.journal:
            self._recorder.journal = Journal(options.journal, fingerprint(policy.name), options.durable)
        self._credentials = server_credentials(options.host, self._keys())
        try:
            self._log_dir = options.log_dir or tempfile.mkdtemp(prefix="rain-server-")
            os.makedirs(self._log_dir, mode=0o700, exist_ok=True)
        except OSError as error:
            raise of_system(f"the server cannot make its folders: {error}", error) from None
        journal = self._recorder.journal
        self._log = EventLog(
            os.path.join(self._log_dir, "events.sqlite"),
            commit=self._recorder.commit,
            numbered=journal is not None and not journal.empty,
        )
        self._listener = Listener(
            options.host,
            options.port,
            self._credentials,
            lambda conversation, hello: self._peers.opened(conversation, hello),
            lambda connection: self._data.serve(connection),
            {"client": ClientToServer, "governor": GovernorToServer},
            self._welcome,
            options.deadlines,
            self._recorder.commit,
        )
        self.address = self._listener.address
        bearers = {http_bearer(self._credentials.key(role)) for role in ("client", "http")}
        http = listen(options.http_host, options.http_port)
        certificate = None if is_loopback(http.getsockname()[0]) else self._credentials.certify()
        self._http = Http(
            http, bearers, self._log, self.info, certificate, self._metrics if options.metrics else None, self._restart
        )
        self._core = ServerCore(
            self.address, self._host_id, self._http.address, __version__, self._log_dir, policy.make, policy.name
        )
        self._peers = Peers(self._core, self._credentials, self._log, self._recorder, self._fatal)
        self._come_back()
        self._data = DataService(
            self._core, self.address, self._credentials, self._constants, self._recorder, self._peers.uploaded
        )
        self._published = Published(
            self.address, self._http.address, self._credentials, options.connection_file, self._log_dir
        )
        if self._recorder.journal is not None and options.durable:
            write_copy(self._published.path, os.path.join(self._recorder.journal.path, KEYS))
        self._timer = self._loop.create_task(self._tick())
        if options.ready_file:
            write_ready_file(options.ready_file)
        log.info("listening at %s, %s at %s", self.address, "HTTPS" if certificate else "HTTP", self._http.address)
        if certificate is not None:
            log.info("the certificate's SHA-256 fingerprint is %s", fingerprint_text(certificate.fingerprint))
        name_others((tempfile.gettempdir(), MEMORY_FILES))

    def _keys(self) -> str:
        """The connection file whose keys are taken over, if it is there: what knew the server before comes back."""
        if self._recorder.journal is not None and not self._recorder.journal.empty:
            kept = os.path.join(self._recorder.journal.path, KEYS)
            if os.path.lexists(kept):
                return kept
            if not self.options.connection_file and self.options.port:
                return str(default_path(format_address(self.options.host, self.options.port)))
        return self.options.connection_file

    def _come_back(self) -> None:
        """Take the folders for constants; with a journal, first be what the server before was."""
        options, journal, listener = self.options, self._recorder.journal, self._listener
        assert listener is not None
        replay = Replay(self._peers, listener, self._log, self.address)
        began = time.monotonic()
        if journal is not None:
            replay.run(journal)
            self._recorder.begin(self._peers.machine.now)
        try:
            self._scratches, self._constants = constant_files(
                journal.path if journal is not None and options.durable else options.work_dir,
                options.constants_bytes_max,
                durable=options.durable,
                before=replay.folders,
                needed_by="" if journal is None else journal.path,
            )
        except OSError as error:
            raise of_system(f"the server cannot make its folders: {error}", error) from None
        self._peers.constants = self._constants
        if journal is None:
            return
        if replay.count:
            self._constants.discard(replay.discarded)
            self._constants.take_over(replay.uploads())
            self._returned_at = time.monotonic()
            log.info(
                "came back with %d sessions: %d records in %.2f s%s",
                len(self._core.state.graph.sessions), replay.count, self._returned_at - began,
                "" if replay.exact else "; it may differ (another version or policy): what ran is run again",
            )  # fmt: skip
        now, folders = self._recorder.now(), [scratch.path for scratch in self._scratches]
        self._peers.record(Begun(now, time.time(), self._log.next, self.address, folders))
        self._snapshots = Snapshots(
            journal, lambda: image_pieces(self._peers.image(self._log.next, self.address, folders))
        )
        if replay.count:
            self._snapshots.returned(replay.exact and journal.same_code)
        listener.replayed()
        replay.finish()
        if not self._recorder.commit() and not replay.count:  # else it waits for room as it does at any other time
            raise NoRoom(f"the journal cannot be written: {self._recorder.full}")

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set; an error that stays ends the server rather than leave it half alive."""
        stopped = self._loop.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopped, self._timer, self._broken, self._handed_over}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._asked = stop.is_set()
        stopped.cancel()
        for end in (self._broken, self._timer):
            if end.done():
                end.result()
        self._broken.cancel()

    async def _restart(self, step: str) -> dict[str, Any]:
        """Take a step of `rain restart`."""
        peers = self._peers
        handing_over = HandingOver(
            self._recorder, lambda: peers.settled, self._log, self._snapshots, self.options.guarded, self._give_way
        )
        return await handing_over.step(step)

    def _give_way(self) -> None:
        """Another server has all that this one was."""
        assert self._listener is not None
        try:
            self._listener.leave()
        finally:
            self._handed_over.set_result(None)

    def _fatal(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    def stay_away(self) -> None:
        """Take note that this server will not be started again."""
        self._stays_away = True

    def close(self) -> None:
        """Close everything. A server that does not come back tells all peers, and removes what is on disk but the
        logs; one that does, or can be started again by hand, leaves them waiting, and what the next one needs.
        Idempotent."""
        if hasattr(self, "_timer"):
            self._timer.cancel()
        journal = self._recorder.journal
        for_good = (self._stays_away and self._asked) or (self.options.private and lifeline_is_lost())
        returns = journal is not None and not for_good
        if not returns and (self._stays_away or lifeline_is_lost()) and hasattr(self, "_peers"):
            self._peers.tell_governors(Dismiss(SERVER_STOPPED))
        if self._listener is not None:
            if returns:
                self._listener.leave()
            else:
                self._listener.close(self._farewell())
        if hasattr(self, "_http"):
            self._http.close()
        if hasattr(self, "_published") and not returns:
            self._published.remove()
        if hasattr(self, "_log"):
            self._log.close()
        if hasattr(self, "_constants") and not returns:
            self._constants.close()
            for scratch in self._scratches:
                scratch.close()
        if self._snapshots is not None:
            self._snapshots.close()
        if journal is not None:
            if for_good:  # while its lock is held
                remove_journal(journal.path, KEYS)
            journal.close()
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
        self._recorder.commit()
        return self._core.info(0, __version__, self.address, self._http.address)

    def _metrics(self) -> str:
        """The text for Prometheus."""
        self._recorder.commit()
        journal, pid = self._recorder.journal, os.getpid()
        own = Own(
            process_table.cpu_seconds(pid) or 0.0,
            process_table.own_memory(pid),
            self._started_at,
            None if journal is None else journal.tail_bytes,
        )
        return exposition(self._core.brief(), own)

    def _welcome(self, hello: Hello) -> Welcome:
        welcome = Welcome("", False, 0, self._host_id, http=self._http.address, data=self.address)
        if hello.host_id == self._host_id:
            constants = self._constants
            welcome.incoming, welcome.incoming_disk = constants.incoming, constants.incoming_disk
            welcome.incoming_max = constants.bytes_max
        return welcome

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._ticked()

    @guarded("_tick_failed")
    def _ticked(self) -> None:
        self._peers.tick()
        if self._recorder.commit() and self._listener is not None:
            self._listener.release()
            self._loop.call_soon(self._make_image)
        if self._returned_at and time.monotonic() - self._returned_at > self.options.deadlines.client_grace_s:
            self._returned_at = 0.0
            self._constants.drop_unknown()
        if self.options.guarded and os.getppid() != self._parent and not lifeline_is_lost():
            self._parent = os.getppid()
            self._published.follow_guardian()
        self._pushed_s += TICK_S
        if self._pushed_s >= EVENTS_EVERY_S:
            self._pushed_s = 0.0
            self._log.push()
            if self._sweep is None or self._sweep.done():
                self._sweep = self._loop.run_in_executor(None, self._sweep_constants)

    @guarded("_made_none")
    def _make_image(self) -> None:
        """Behind the turn of a tick, when all that happened is recorded."""
        if self._snapshots is not None and self._peers.settled:
            self._snapshots.make_if_due()

    def _made_none(self, error: Exception) -> None:
        """The next tick tries again."""

    def _tick_failed(self, error: Exception) -> None:
        self._peers.turn_failed(error)

    @guarded("_swept_none")
    def _sweep_constants(self) -> None:
        self._constants.sweep()

    def _swept_none(self, error: Exception) -> None:
        """The next tick sweeps again."""
