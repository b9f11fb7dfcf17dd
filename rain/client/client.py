"""`Client`: one connection to a server."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from rain.client.core.session_mirror import TaskRecord
from rain.client.operations import requests
from rain.client.operations.attach import restore
from rain.client.operations.constant_values import Room
from rain.client.operations.operation import Operation, block, check_timeout, reject, resolve
from rain.client.operations.session_operations import End, Item, checked, update
from rain.client.operations.twins import awaitable, blocking
from rain.client.report import stall
from rain.client.session import Session
from rain.common.errors import RainException, SessionException
from rain.common.ids import ID
from rain.common.jupyter import display_hooks
from rain.common.limits import ECHO_FLUSH_S
from rain.common.protocol.address import SERVER_PORT, format_address, http_url, is_loopback, parse_address
from rain.common.protocol.messages import (
    Attached,
    ExpectGovernors,
    Failed,
    GetServerInfo,
    GovernorCount,
    ModuleFound,
    ObjectUpdate,
    ServerBrief,
    ServerInfo,
    SessionNews,
    SessionStopped,
    SessionSummary,
    Submit,
    TaskUpdate,
    Unkeep,
    Updated,
    WantModule,
)
from rain.common.states import TaskState

if TYPE_CHECKING:
    import ssl

    from rain.client.operations.connection import Link
    from rain.client.operations.constant_values import Room

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client:
    """A connection to a server.

    Parameters
    ----------
    address : str
        Host, or ``host:port``.
    port : int
    token : str, optional
        One opaque string. Without it the connection file is read that a server of this user wrote.
    connection_file : str or os.PathLike, optional
        Which one.
    timeout : float
        Seconds for connecting.

    Raises
    ------
    RainException
        If the server cannot be reached, refuses, or there is no key for it.

    Examples
    --------
    >>> with Client.local(cpus=2) as client, client.new_session("hello") as session:
    ...     session.run(tasks.Concat([blob("Hello "), blob("world!")]))
    b'Hello world!'
    """

    _link: Link

    def __init__(
        self,
        address: str = "localhost",
        port: int = SERVER_PORT,
        *,
        token: str | None = None,
        connection_file: str | os.PathLike[str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        from rain.client.operations.connection import ServerLink
        from rain.processes import connection_files

        if not isinstance(address, str):
            raise RainException(f"address is a text like 'host' or 'host:7210', not {type(address).__name__}")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            raise RainException(f"port is a number from 1 to 65535, not {port!r}")
        limit = check_timeout(timeout)
        where = format_address(*parse_address(address, default_port=port))
        credentials = connection_files.credentials_for(where, "client", token=token, connection_file=connection_file)
        self._prepare(where)
        try:
            link = ServerLink(where, credentials, self, 1e9 if limit is None else limit)
        except RainException as error:
            raise RainException(self._with_fate(str(error))) from None
        self._start(link)

    def _prepare(self, address: str) -> None:
        self._address = address
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._request_count = 0
        self._requests: dict[int, tuple[Future[Any], Callable[[RainException | None], None] | None]] = {}
        self._sessions: dict[int, Session] = {}
        self._attaching: dict[int, list[Attached]] = {}  # pieces of answers of which more is to come
        self._governor_count = 0
        self._governors_met = 0  # as many were waited for, and came
        self._governor_waits: list[tuple[int, Future[Any]]] = []
        self._connected = False
        self._away_since: float | None = None
        self._over = ""
        self._cluster: Any = None

    def _start(self, link: Link) -> None:
        self._link = link
        welcome = link.welcome
        self._room = Room(welcome.incoming, welcome.incoming_disk, welcome.incoming_max)
        self._connected = not self._over
        # A server that listens on loopback only has all its governors on this host.
        self._has_other_hosts = not is_loopback(parse_address(link.welcome.data or self._address)[0])
        _clients.add(self)

    @classmethod
    def _through(cls, link: Link, address: str = "127.0.0.1:0") -> Client:
        """A client that talks through `link`; `link` calls the methods of `rain.client.operations.connection.Owner`."""
        client = cls.__new__(cls)
        client._prepare(address)
        client._start(link)
        return client

    @classmethod
    def local(cls, cpus: int | str | None = None, governors: int = 1, **options: Any) -> Client:
        """A client with a private server and governors on this machine.

        They are child processes that end with the client, or with this process however it dies.

        Parameters
        ----------
        cpus : int, optional
            Of all governors together; all that this process may use if not given.
        governors : int
            How many.
        **options
            Further ones of `rain.client.local_cluster.LocalCluster`: `memory` that objects and constants may take
            before they go to disk, and `workdir`, the folder on disk.

        Raises
        ------
        RainException
            If they cannot be started.
        """
        from rain.client.local_cluster import LocalCluster

        cluster = LocalCluster(cpus, governors, **options)
        try:
            client = cls(cluster.address, connection_file=cluster.connection_file)
        except BaseException:
            cluster.close()
            raise
        client._cluster = cluster
        try:
            client.wait_for_governors(cluster.governor_count, timeout=30.0)
        except BaseException:
            client.close()
            raise
        return client

    # -- what it is -----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return self._address

    @property
    def http_headers(self) -> dict[str, str]:
        """Headers with which scripts may use the server's HTTP interface."""
        from rain.net.auth import http_bearer

        self._check()
        credentials = self._link.credentials  # type: ignore[attr-defined]
        return {"Authorization": f"Bearer {http_bearer(credentials.key('client'))}"}

    @property
    def http_address(self) -> str:
        """``host:port`` of the server's HTTP interface."""
        return self._link.welcome.http

    @property
    def http_url(self) -> str:
        """Of the server's HTTP interface, as it is reached from here."""
        return http_url(self.http_address, parse_address(self._address)[0])

    def http_context(self) -> ssl.SSLContext | None:
        """For HTTPS with the server, which is spoken beyond loopback: accepts its certificate only. None: no HTTPS.

        Raises
        ------
        RainException
            If the server cannot be reached there, or another certificate is shown.

        Examples
        --------
        >>> import urllib.request
        >>> request = urllib.request.Request(client.http_url + "events", b"{}", client.http_headers)
        >>> with urllib.request.urlopen(request, context=client.http_context()) as answer:
        ...     answer.status
        200
        """
        from rain.net.https import pinned_context

        self._check()
        scheme, _, rest = self.http_url.partition("://")
        credentials = self._link.credentials  # type: ignore[attr-defined]
        return pinned_context(rest.rstrip("/"), credentials.fingerprint) if scheme == "https" else None

    @property
    def _incoming(self) -> str:
        """The folder for large constants where the server finds them; empty if it is on another host."""
        return self._room.folder()

    def _ipython_display_(self) -> None:
        display_hooks.show("client", self)

    def __repr__(self) -> str:
        state = "" if self._connected else " closed" if self._over == "closed" else " lost"
        governors, sessions = self._governor_count, len(self._sessions)
        return (
            f"<Client of {self._address}{state}, {governors} governor{'s' * (governors != 1)}, "
            f"{sessions} session{'s' * (sessions != 1)}>"
        )

    def __reduce__(self) -> Any:
        raise RainException(
            f"{self!r} cannot be pickled: remote functions see their inputs only, not the client; "
            "use arguments instead of the global variable"
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # -- sessions -------------------------------------------------------------------------------

    @blocking
    def new_session(
        self,
        name: str = "Unnamed Session",
        default: bool = False,
        *,
        on_failure: str = "continue",
        persistent: bool = False,
        timeout: float | None = None,
    ) -> Operation[Session]:
        """A new session.

        Parameters
        ----------
        name : str
        default : bool
            Whether new items go there when no ``with`` block is open.
        on_failure : {"continue", "stop"}
            Whether a failed task leaves all else running, or stops the session.
        persistent : bool
            Whether the session lives on until it is closed, without its client.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the client is closed or lost.
        """
        self._check()
        return requests.new_session(self, name, default, on_failure, persistent)

    new_session_async = awaitable(new_session)

    @blocking
    def sessions(self, timeout: float | None = None) -> Operation[list[SessionSummary]]:
        """One line about each session at the server."""
        self._check()
        return requests.session_list(self)

    sessions_async = awaitable(sessions)

    @blocking
    def attach(self, session: int | str, timeout: float | None = None) -> Operation[Session]:
        """A persistent session of an earlier client (or of this one), with its tasks, objects and names.

        Parameters
        ----------
        session : int or str
            Its number, or its name.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If there is none, or several have that name; the text lists their ids.
        """
        self._check()
        return requests.attach(self, session)

    attach_async = awaitable(attach)

    def _attached(self, pieces: list[Attached]) -> None:
        first = pieces[0]
        present = self._sessions.get(first.session_id)
        if present is not None and present.active:
            return  # it was attached by its name
        session = Session(self, first.session_id, first.name, on_failure=first.on_failure, persistent=True)
        restore(session, pieces)
        self._sessions[first.session_id] = session

    # -- the server -----------------------------------------------------------------------------

    @blocking
    def get_server_info(self, timeout: float | None = None) -> Operation[dict[str, Any]]:
        """The server's version and addresses, its governors and sessions.

        Returns
        -------
        dict
            ``governors`` is a list of dicts with ``governor_id``, ``tasks`` (ids assigned and not finished),
            ``objects`` (ids held, fetched or to be produced), ``objects_to_delete`` and ``resources``.
        """
        self._check()
        return requests.server_info(self)

    get_server_info_async = awaitable(get_server_info)

    def _brief_info(self, timeout: float | None = None) -> dict[str, Any]:
        """The server in figures, cheap enough to be asked for every second; any thread but the link's may call it.

        Returns
        -------
        dict
            ``address``, ``version``, ``http``; ``governors``, dicts with ``id``, ``cpus``, ``resources``, ``tasks`` and
            ``objects`` (how many), ``load`` (see `rain.common.protocol.messages.Load`); ``sessions``, dicts with
            ``id``, ``name``, ``persistent``, ``client`` and ``tasks`` (how many by state).
        """
        self._check()
        return block(requests.brief_info(self), timeout)

    @blocking
    def wait_for_governors(self, n: int, timeout: float | None = None) -> Operation[None]:
        """Wait until at least `n` governors are there; meanwhile tasks that fit nowhere wait instead of failing.

        They wait as well when fewer are there later, but not once a wait was given up.

        Parameters
        ----------
        n : int
        timeout : float, optional
            Seconds.

        Raises
        ------
        TimeoutError
        """
        self._check()
        return self._wait_for_governors(n)

    wait_for_governors_async = awaitable(wait_for_governors)

    def _wait_for_governors(self, n: int) -> Operation[None]:
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise RainException(f"the number of governors is an integer that is not negative, not {n!r}")
        future: Future[Any] = Future()
        try:
            yield self._ask(lambda request: ExpectGovernors(request, n))
            yield self._ask(GetServerInfo)  # the answer is counted where it arrives, in order with later news
            with self._lock:
                if self._governor_count >= n:
                    self._governors_met = max(self._governors_met, n)
                    return
                self._governor_waits.append((n, future))
            yield future
        except BaseException as error:
            self._expect_no_more(future)
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"{self._governor_count} of {n} governors are there: {error}") from None
            raise
        self._governors_met = max(self._governors_met, n)

    def _expect_no_more(self, future: Future[Any]) -> None:
        """A wait was given up: tasks that fit nowhere shall fail now instead of waiting for ever."""
        with self._lock:
            self._governor_waits = [wait for wait in self._governor_waits if wait[1] is not future]
            expected = max([self._governors_met, *(n for n, _ in self._governor_waits)])
        if self._connected:
            self._post(lambda request: ExpectGovernors(request, expected))

    @blocking
    def update(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Bring state and info of these up to date, whichever sessions they belong to; see `Session.update`."""
        self._check()
        return self._update(items)

    update_async = awaitable(update)

    def _update(self, items: Any) -> Operation[None]:
        by_session: dict[Session, list[Item]] = {}
        for item in checked(items):
            by_session.setdefault(item._session, []).append(item)
        for session, group in by_session.items():
            session._check_usable()
            yield from update(session, group)

    def close(self) -> None:
        """End the client's sessions and leave; with `Client.local` also the server and governors. Idempotent."""
        if os.getpid() != self._pid:
            return
        if not self._over:
            self._show_rest()
            self._over = "closed"
            self._connected = False
            self._link.close()
            self._room.close()
            self._end_all("closed", "closed: its client was closed", RainException(f"{self!r} was closed"))
        if self._cluster is not None:
            cluster, self._cluster = self._cluster, None
            cluster.close()
        _clients.discard(self)

    def _show_rest(self) -> None:
        """What tasks have printed is shown before it is gone, if that does not take long."""
        flushes = [session._echo.flush(True) for session in list(self._sessions.values()) if session._echo is not None]
        wait(flushes, 2 * ECHO_FLUSH_S)

    # -- for the rest of the client -------------------------------------------------------------

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise RainException(
                f"this client was made in process {self._pid} and cannot be used in the forked process {os.getpid()}: "
                "make a new Client there"
            )

    def _check(self) -> None:
        """Whether it may be used.

        Raises
        ------
        RainException
            If it is closed or lost, or this is a forked child.
        """
        self._check_process()
        if self._over == "closed":
            raise RainException("this client is closed: make a new Client")
        if self._over:
            hint = "" if self._cluster is not None else ". Make a new Client when it is there again"
            raise RainException(f"the server is lost: {self._over}{hint}")

    def _request(
        self, make: Callable[[int], Any], answered: Callable[[RainException | None], None] | None = None
    ) -> Future[Any]:
        """Register a request; `make` gets its number, `answered` is called in the link's thread with the answer."""
        future: Future[Any] = Future()
        with self._lock:
            self._request_count += 1
            number = self._request_count
            self._requests[number] = (future, answered)
        try:
            make(number)
        except BaseException:
            del self._requests[number]
            raise
        return future

    def _ask(self, make: Callable[[int], Any]) -> Future[Any]:
        """Send the message that `make` gives for a request number; the future of its answer."""
        self._check()
        messages: list[Any] = []
        future = self._request(lambda number: messages.append(make(number)))
        self._link.send(messages)
        return future

    def _post_unkeep(self, session_id: int, ids: list[ID]) -> None:
        """Unkeep without waiting for an answer."""
        self._post(lambda request: Unkeep(request, session_id, ids))

    def _post(self, make: Callable[[int], Any]) -> None:
        """Send a request whose answer nobody waits for."""
        messages: list[Any] = []
        self._request(lambda number: messages.append(make(number)))
        self._link.send(messages)

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.session_id, None)

    # -- what the link tells (in its thread) ----------------------------------------------------

    def _arrived(self, messages: list[Any]) -> None:
        for message in messages:
            kind = type(message)
            if kind is SessionNews:
                session = self._sessions.get(message.session_id)
                if session is not None:
                    session._fold(message.tasks, message.objects)
                    if message.stalled is not None:
                        stall.tell(session, server=message.stalled)
            elif kind is GovernorCount:
                self._governors(message.count)
            elif kind is SessionStopped:
                self._stopped(message)
            elif kind is WantModule:
                self._want_module(message)
            else:
                self._answered(message)

    def _answered(self, message: Any) -> None:
        if type(message) is Attached and message.more:
            self._attaching.setdefault(message.request, []).append(message)
            return
        if type(message) is Updated and message.more:
            self._updated(message)
            return
        future, answered = self._requests.pop(message.request, (None, None))
        if future is None:
            return
        kind = type(message)
        error: RainException | None = None
        if kind is Failed:
            error = (SessionException if message.kind == "session" else RainException)(message.message)
        elif kind is Updated:
            self._updated(message)
        elif kind is ServerInfo or kind is ServerBrief:
            self._governors(len(message.governors))
        elif kind is Attached:
            # Here, because news may follow at once.
            self._attached([*self._attaching.pop(message.request, ()), message])
        if answered is not None:
            answered(error)
        if error is not None:
            reject(future, error)
        else:
            resolve(future, message)

    def _want_module(self, message: WantModule) -> None:
        session = self._sessions.get(message.session_id)
        module = None if session is None else session._surroundings.asked(message.name)
        self._link.send([ModuleFound(message.session_id, message.name, module)])

    def _updated(self, message: Updated) -> None:
        news: list[TaskUpdate | ObjectUpdate] = [*message.tasks, *message.objects]
        session = self._sessions.get(news[0].id.session_id) if news else None
        if session is not None:
            session._fold(message.tasks, message.objects)

    def _governors(self, count: int) -> None:
        with self._lock:
            self._governor_count = count
            ready = [future for n, future in self._governor_waits if count >= n]
            self._governor_waits = [(n, future) for n, future in self._governor_waits if count < n]
        for future in ready:
            resolve(future, None)

    def _stopped(self, message: SessionStopped) -> None:
        session = self._sessions.get(message.session_id)
        if session is None:
            return
        record = None
        if message.task is not None:
            record = session._mirror.records.get(message.task[1])
        if isinstance(record, TaskRecord):
            if message.error is not None and record.error is None:
                record.error = message.error
            if not record.failed:
                record.state = TaskState.FAILED
            session._end(End("stopped", message.reason, record))
        else:
            session._end(End("lost", f"session {session.session_id} {session.name!r} has ended: {message.reason}"))

    def _unsendable(self, message: Any, error: Exception) -> None:
        text = f"a {type(message).__name__} message cannot be sent: {error}"
        number = getattr(message, "request", None)
        if number is None:
            return
        if isinstance(message, Submit):
            # The server has only seen a part of it: nothing of the session can be trusted any more.
            session = self._sessions.get(message.session_id)
            if session is not None:
                session._end(End("lost", f"session {session.session_id} {session.name!r} is lost: {text}"))
        self._answered(Failed(number, "rain", text))

    def _gone(self, reason: str) -> None:
        if self._over:
            return
        self._over = reason = self._with_fate(reason)
        self._connected = False
        self._end_all("lost", f"lost with its server: {reason}", RainException(reason))

    def _with_fate(self, reason: str) -> str:
        from rain.processes import fate

        look = self._cluster.fate if self._cluster is not None else lambda: fate.of_server(self._address)
        return fate.told(reason, look)

    def _end_all(self, word: str, how: str, error: RainException) -> None:
        with self._lock:
            unanswered, self._requests = list(self._requests.values()), {}
            waits, self._governor_waits = self._governor_waits, []
        for session in list(self._sessions.values()):
            session._end(End(word, f"session {session.session_id} {session.name!r} is {how}"))
        for future, _ in unanswered:
            reject(future, RainException(f"the server is lost: {error}") if word == "lost" else error)
        for _, future in waits:
            reject(future, error)

    def _away(self) -> None:
        self._away_since = time.monotonic()

    def _back(self) -> None:
        self._away_since = None
        stall.server_is_back(self._sessions.values())

    def _tick(self) -> None:
        if self._away_since is not None:
            if self._cluster is not None and self._cluster.ended:
                self._gone("the server is gone")
            stall.server_is_away(self._address, time.monotonic() - self._away_since, self._sessions.values())
        for session in list(self._sessions.values()):
            if session._dropped:
                session._release()


@atexit.register
def _leave() -> None:
    """Say goodbye at the end of the process."""
    for client in list(_clients):
        client.close()
