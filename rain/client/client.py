"""`Client`: one connection to a server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from rain.client.handles import inside
from rain.client.local_cluster import LocalCluster
from rain.client.opening.sessions import Sessions
from rain.client.operations import requests
from rain.client.operations.connection import Connection
from rain.client.operations.link import Link, ServerLink
from rain.client.operations.operation import Operation, block, check_timeout
from rain.client.operations.session_operations import Item
from rain.client.operations.twins import awaitable, blocking
from rain.client.places import open_clients
from rain.client.places.pool_list import PoolList
from rain.client.places.pools import Pools, client_on
from rain.client.reuse.storing import closing
from rain.common.errors import RainException
from rain.common.jupyter import display_hooks
from rain.common.limits import CONNECT_S, ECHO_FLUSH_S, LEAVE_ASKED_S
from rain.common.protocol.address import SERVER_PORT, format_address, http_url, parse_address
from rain.common.suggestions.keywords import suggesting
from rain.net.auth import http_bearer
from rain.net.https import pinned_context
from rain.processes import fate, own_credentials
from rain.processes.connection_files import listening_at

if TYPE_CHECKING:
    import ssl

    from rain.deploy.pools.pool import Pool


class Client(Sessions):
    """A connection to a server.

    Parameters
    ----------
    address : str
        Host, or ``host:port``. This host, which is the default, means a server of yours too that listens on another
        address of it only, as that of ``rain start --on`` does.
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

    _connection: Connection

    @suggesting
    def __init__(
        self,
        address: str = "localhost",
        port: int = SERVER_PORT,
        *,
        token: str | None = None,
        connection_file: str | os.PathLike[str] | None = None,
        timeout: float = CONNECT_S,
    ) -> None:
        if not isinstance(address, str):
            hint = f"; a server at that port of this host is Client(port={address!r})" if type(address) is int else ""
            raise RainException(f"address is a text like 'host' or 'host:7210', not {type(address).__name__}{hint}")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
            raise RainException(f"port is a number from 1 to 65535, not {port!r}")
        limit = check_timeout(timeout)
        where = format_address(*parse_address(address, default_port=port))
        if token is None and connection_file is None and own_credentials.take_token() is None:
            where = listening_at(where)
        credentials = own_credentials.credentials_for(where, "client", token=token, connection_file=connection_file)
        self._prepare(where)
        self._connect(lambda connection: ServerLink(where, credentials, connection, 1e9 if limit is None else limit))

    def _prepare(self, address: str, cluster: LocalCluster | None = None) -> None:
        self._address, self._cluster = address, cluster
        self._connection = Connection(address)
        self._connection.told_fate = self._with_fate
        self._connection.cluster_ended = lambda: self._cluster is not None and self._cluster.ended
        if cluster is not None:
            self._connection.core.advice = ""
        else:
            self._connection.fate_alone = lambda: fate.of_one_alone(address)
        self._pools = Pools(self, self._connection)

    def _connect(self, make_link: Callable[[Connection], Link]) -> None:
        try:
            self._connection.bind(make_link(self._connection))
        except RainException as error:
            raise RainException(self._with_fate(str(error))) from None
        open_clients.add(self)

    @classmethod
    def _unconnected(cls, address: str, cluster: LocalCluster | None = None) -> Client:
        """A client of a server that may not be up yet, of a private cluster if one is given."""
        client = cls.__new__(cls)
        client._prepare(address, cluster)
        return client

    def _start_cluster(self, cluster: LocalCluster) -> None:
        credentials = cluster.start()
        cluster.wait()
        self._connect(lambda connection: ServerLink(cluster.address, credentials, connection, CONNECT_S))

    @classmethod
    def local(cls, cpus: int | str | None = None, governors: int = 1, **options: Any) -> Client:
        """A client with a private server and governors on this machine.

        They are child processes that end with the client, or with this process however it dies, a notebook's kernel
        that is restarted too; and so do all sessions. A cluster that stays is started by `rain start`, and joined by
        ``Client()``: there sessions wait for the next kernel, and those with ``persistent=True`` stay without any.

        Parameters
        ----------
        cpus : int, optional
            Of all governors together; all that this process may use if not given.
        governors : int
            How many.
        **options
            Further ones of `rain.client.local_cluster.LocalCluster`: `memory` that objects and constants may take
            before they go to disk, `workdir`, the folder on disk, `policy`, the server's scheduling policy, and
            `journal`: False for a server that forgets everything when it dies.

        Returns
        -------
        Client

        Raises
        ------
        RainException
            If they cannot be started.
        """
        cluster = LocalCluster(cpus, governors, start=False, **options)
        client = cls._unconnected(cluster.address, cluster)
        try:
            client._start_cluster(cluster)
            client.wait_for_governors(cluster.governor_count, timeout=30.0)
        except BaseException:
            client.close()
            raise
        return client

    @classmethod
    def on(
        cls,
        engine: Any,
        nodes: int | None = None,
        *,
        host: str = "",
        wait: int = 1,
        timeout: float | None = None,
        **options: Any,
    ) -> Client:
        """A client with a private server here, and governors on an engine: in jobs of a batch system, for instance.

        It tells where the server listens (encrypted). All ends with the client, within a minute after it was killed.

        Parameters
        ----------
        engine : str, sequence of str, or object
            ``"slurm"``, ``"ray"``…; hosts, as ``["node1", "me@node2:2222"]``; or the client or cluster of Dask.
        nodes : int, optional
            How many places: jobs of one host each. Without it one, or the minimum; of named hosts or Dask workers all.
        host : str
            This machine's address for the hosts. Empty: that of its name, or of the route to the first named host.
        wait : int
            For how many places to wait, of those that are asked for at once.
        timeout : float, optional
            Seconds to wait for them.
        **options
            As of `pool`, ``minimum``, ``maximum``, ``idle`` and ``core_hours`` among them.

        Returns
        -------
        Client

        Raises
        ------
        RainException
            If the server or the jobs cannot be started, with what they printed.
        TimeoutError
            If the places are not up within `timeout`; says what they wait for. No job is left.

        Examples
        --------
        ::

            client = Client.on("slurm", nodes=4, cpus=16, time="2:00:00", partition="main")
        """
        return client_on(cls, engine, nodes, host=host, wait=wait, timeout=timeout, **options)

    def pool(
        self,
        engine: Any,
        places: int | None = None,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        idle: float | str | None = None,
        core_hours: float | None = None,
        **options: Any,
    ) -> Pool:
        """Places for governors of this client's server on an engine, beside what is there.

        Parameters
        ----------
        engine : str, sequence of str, or object
            As of `on`.
        places : int, optional
            How many to ask for at once; without it none, of hosts or workers all. `Pool.scale` changes it.
        minimum, maximum, idle, core_hours : optional
            With one of them the pool is elastic: see `Pool.adapt`.
        **options
            ``name``, by which ``rain pool`` names it and core-hours are counted; ``cpus``, ``gpus``, ``memory``
            (``"16G"``) and ``time`` (``"2:00:00"``) of each place; ``arguments``, verbatim for the engine; and what
            else docs/clusters.md lists for the engine.

        Returns
        -------
        Pool
            It is closed with the client.

        Raises
        ------
        RainException
            If the engine refuses, or its hosts could not reach the server.

        Examples
        --------
        ::

            pool = client.pool("slurm", minimum=0, maximum=50, gpus=1)    # none, as long as nothing needs a GPU
        """
        self._check()
        elastic = {"minimum": minimum, "maximum": maximum, "idle": idle, "core_hours": core_hours}
        return self._pools.open(engine, places, elastic, **options)

    @property
    def pools(self) -> PoolList:
        """The pools of this client that were not closed with it, in the order in which they were made."""
        return self._pools.all()

    # -- what it is -----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        return self._address

    @property
    def http_headers(self) -> dict[str, str]:
        """Headers with which scripts may use the server's HTTP interface."""
        self._check()
        credentials = self._connection.link.credentials
        return {"Authorization": f"Bearer {http_bearer(credentials.key('client'))}"}

    @property
    def http_address(self) -> str:
        """``host:port`` of the server's HTTP interface."""
        return self._connection.link.welcome.http

    @property
    def http_url(self) -> str:
        """The address (URL) of the server's HTTP interface, as this client reaches it."""
        return http_url(self.http_address, parse_address(self._address)[0])

    def http_context(self) -> ssl.SSLContext | None:
        """The TLS settings for HTTPS with the server: they accept its certificate only.

        Returns
        -------
        ssl.SSLContext or None
            None on loopback, where the server speaks plain HTTP.

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
        self._check()
        scheme, _, rest = self.http_url.partition("://")
        credentials = self._connection.link.credentials
        return pinned_context(rest.rstrip("/"), credentials.fingerprint) if scheme == "https" else None

    def _ipython_display_(self) -> None:
        display_hooks.show("client", self)

    def _repr_html_(self) -> str | None:
        return display_hooks.html("client", self)

    def __repr__(self) -> str:
        core = self._connection.core
        state = "" if core.connected else " closed" if core.over_because == "closed" else " lost"
        governors, sessions = core.governor_count, len(core.sessions)
        private = " (private: it ends with this process)" if self._cluster is not None and not state else ""
        return (
            f"<Client of {self._address}{private}{state}, {governors} governor{'s' * (governors != 1)}, "
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

    @blocking
    def get_server_info(self, timeout: float | None = None) -> Operation[dict[str, Any]]:
        """The server's version and addresses, its governors and sessions.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Returns
        -------
        dict
            ``governors`` is a list of dicts with ``governor_id``, ``tasks`` (ids assigned and not finished),
            ``objects`` (ids held, fetched or to be produced), ``objects_to_delete``, ``resources``, ``leaves`` (why, if
            it leaves), and ``versions`` of the libraries installed there (known soon after it has come).

        Raises
        ------
        RainException
            If the client is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        self._check()
        return requests.server_info(self._connection)

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
        return block(requests.brief_info(self._connection), timeout)

    @blocking
    def wait_for_governors(self, n: int, timeout: float | None = None) -> Operation[None]:
        """Wait until at least `n` governors are there; meanwhile tasks that fit nowhere wait instead of failing.

        Tasks that fit nowhere wait as well when fewer governors are there later, but no more after a wait was given up.

        Parameters
        ----------
        n : int
            How many governors.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If the client is closed or lost, or `n` is negative.
        TimeoutError
            If fewer are there after `timeout`.
        """
        self._check()
        return requests.wait_for_governors(self._connection, n)

    wait_for_governors_async = awaitable(wait_for_governors)

    @blocking
    def drain_governors(
        self, governors: str | Iterable[str], within: float = LEAVE_ASKED_S, timeout: float | None = None
    ) -> Operation[None]:
        """Let governors go: they get no new tasks, finish those that run, hand over what only they hold, and end.

        Returns when they were told; `Client.get_server_info` shows them until they have left. No task is charged with
        that. Those that `Client.local` or ``rain start`` started are not started again.

        Parameters
        ----------
        governors : str or iterable of str
            Their ids, ``host:port``, as `Client.get_server_info` lists them.
        within : float
            Seconds that it may take. Tasks that run longer are ended before, and run again elsewhere; objects that no
            other governor has taken by then are made again when they are needed.
        timeout : float, optional
            Seconds to wait for the server's answer.

        Raises
        ------
        RainException
            If one of them is not here (then none was told), or the client is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.

        Examples
        --------
        >>> with Client.local(cpus=1, governors=2) as client:
        ...     first = client.get_server_info()["governors"][0]["governor_id"]
        ...     client.drain_governors(first, within=60)
        """
        self._check()
        return requests.drain_governors(self._connection, governors, within)

    drain_governors_async = awaitable(drain_governors)

    @blocking
    def update(self, items: Item | Iterable[Item], timeout: float | None = None) -> Operation[None]:
        """Bring state and info of tasks and objects of any sessions up to date; see `Session.update`.

        Parameters
        ----------
        items : Task, DataObject or a sequence of them
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If one was not submitted.
        SessionException
            If the session is closed or lost.
        TimeoutError
            If the server has not answered within `timeout`.
        """
        self._check()
        return requests.update_all(self._connection, items)

    update_async = awaitable(update)

    def close(self) -> None:
        """End the client's sessions and leave; with `Client.local` also the server and governors. Idempotent.

        Raises
        ------
        RainException
            If a batch system refuses to end the jobs of a pool; all else is closed, and another call tries again.
        """
        connection = self._connection
        if not connection.is_of_this_process:
            return
        if not connection.core.over_because:
            self._show_rest()
            self._store_rest()
            connection.close(repr(self))
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
        open_clients.discard(self)
        self._pools.close(dismissed=cluster is not None or connection.core.over_because != "closed")

    def _show_rest(self) -> None:
        """What tasks have printed is shown before it is gone, if that does not take long."""
        sessions = [mirror.handle for mirror in list(self._connection.core.sessions.values())]
        echoes = [inside(session).echo for session in sessions if session is not None]
        wait([echo.flush(True) for echo in echoes if echo is not None], 2 * ECHO_FLUSH_S)

    def _store_rest(self) -> None:
        """Results of finished tasks that are to be reused are stored."""
        for mirror in list(self._connection.core.sessions.values()):
            if mirror.handle is not None:
                block(closing(mirror.handle))

    def _with_fate(self, reason: str) -> str:
        cluster = self._cluster
        return fate.with_cause(reason, cluster.fate if cluster is not None else lambda: fate.of_server(self._address))
