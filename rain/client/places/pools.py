"""Places on engines that belong to a client, and end with it."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rain.client.local_cluster import LocalCluster
from rain.client.places.pool_list import PoolList
from rain.client.places.progress import lines
from rain.client.places.server import ServerOfPools
from rain.common.errors import RainException
from rain.net.own_address import own_address

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.operations.connection import Connection
    from rain.deploy.pools.on_disk.published import Published
    from rain.deploy.pools.pool import Pool
    from rain.net.auth import Credentials


_owners: weakref.WeakKeyDictionary[Pool, weakref.ref[Client]] = weakref.WeakKeyDictionary()


def client_of(pool: Pool) -> Client | None:
    """The client that made a pool, if one did and is still there."""
    owner = _owners.get(pool)
    return None if owner is None else owner()


class Pools:
    """The pools of one client, in the order in which they were made.

    Parameters
    ----------
    client : Client
    connection : Connection
        The client's.
    """

    def __init__(self, client: Client, connection: Connection) -> None:
        self._client = weakref.ref(client)
        self._pools: dict[Pool, Published] = {}
        self._keys: dict[Pool, Credentials] = {}
        self._watchers: list[Callable[[], None]] = []
        self._connection = connection
        self._server = ServerOfPools(connection)
        connection.governors_counted = self._governors_counted

    def all(self) -> PoolList:
        """Those that are not closed with the client."""
        return PoolList(self._pools)

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have a function called when something about the pools has changed; see `Pool.watch`."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed) if changed in self._watchers else None

    def _tell(self) -> None:
        for changed in list(self._watchers):
            changed()

    def _governors_counted(self) -> None:
        for pool in self.all():
            pool.governors_counted()

    def open(
        self,
        engine: Any,
        places: int | None,
        elastic: dict[str, Any] | None = None,
        name: str = "",
        **options: Any,
    ) -> Pool:
        """A pool with `places` places asked for, and with `elastic` (the arguments of `Pool.adapt`) more or fewer of
        them by themselves; see `Client.pool`."""
        from rain.deploy.pools.choice import all_places, supply_of
        from rain.deploy.pools.pool import pool_of

        server = self._connection.core.address
        supply = supply_of(engine, **options)
        key = self._server.open_pool(self._connection.link.credentials)
        try:
            made = pool_of(supply, server, key, self._server)
        except BaseException:
            self._server.close_pool(key)
            raise
        self._keys[made] = key
        try:
            self._publish(made, name)
            words = {name: value for name, value in (elastic or {}).items() if value is not None}
            made.scale((0 if words else all_places(engine, options) or 0) if places is None else places)
            if words:
                made.adapt(**words)
            self._pools[made].write()  # `rain pool add` reads there what was asked for
        except BaseException:  # jobs that were submitted before would be left without a pool
            with contextlib.suppress(RainException, TimeoutError):  # the first error is the one to tell
                made.close()
            raise
        return made

    def open_ahead(self, engine: Any, name: str = "", **options: Any) -> Pool:
        """A pool without places, which may be asked for while the server still starts; `admit` lets them in."""
        from rain.deploy.pools.choice import supply_of
        from rain.deploy.pools.pool import pool_of

        made = pool_of(supply_of(engine, **options), self._connection.core.address, None, self._server)
        try:
            self._publish(made, name)
        except BaseException:
            made.close()
            raise
        return made

    def admit(self, pool: Pool) -> None:
        """Have the server, which is up by now, let in the governors of a pool that was opened ahead."""
        self._keys[pool] = self._server.open_pool(self._connection.link.credentials)
        pool.admit(self._keys[pool])

    def _publish(self, pool: Pool, name: str) -> None:
        from rain.deploy.pools.on_disk.published import publish

        _owners[pool] = self._client
        pool.watch(self._tell)
        pool.on_closed = lambda: self._closed(pool)
        self._pools[pool] = publish(pool, name, self._connection.core.address, pool.close)

    def close(self, dismissed: bool) -> None:
        """Close all, and raise the first refusal only then: another call tries those that were refused again.

        Parameters
        ----------
        dismissed : bool
            Whether the governors were told to end by their server, or will look for it in vain.
        """
        refused: list[RainException] = []
        for pool in self.all():
            try:
                pool.dismissed() if dismissed else pool.close()
            except RainException as error:
                refused.append(error)
        if refused:
            raise refused[0]

    def _closed(self, pool: Pool) -> None:
        published = self._pools.pop(pool, None)
        if published is not None:
            published.write()  # this process may be at its end
        self._tell()
        key = self._keys.pop(pool, None)
        if key is not None:
            self._server.close_pool(key)


def client_on(
    kind: type[Client],
    engine: Any,
    nodes: int | None = None,
    *,
    host: str = "",
    wait: int = 1,
    timeout: float | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    idle: float | str | None = None,
    core_hours: float | None = None,
    shown: Callable[[Pool], AbstractContextManager[None]] = lines,
    **options: Any,
) -> Client:
    """A client with a private server and places on an engine; see `Client.on`.

    Parameters
    ----------
    kind : type
        Of the client.
    engine, nodes, host, wait, timeout, minimum, maximum, idle, core_hours, **options
        As of `Client.on`.
    shown : callable
        Shows the pool while its places are waited for.
    """
    from rain.deploy.pools.choice import address_towards, all_places, asks_ahead, named, supply_of
    from rain.deploy.pools.elastic import check_rules

    told = {"minimum": minimum, "maximum": maximum, "idle": idle, "core_hours": core_hours}
    elastic: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    name, _ = named(engine, options)
    supply_of(engine, **options)  # refused, if at all, before anything is started
    check_rules(name, elastic)
    if nodes is None:
        nodes = (minimum or 0) if elastic else all_places(engine, options) or 1
    here = host or address_towards(engine, options) or own_address()
    cluster = LocalCluster(governors=0, host=here, start=False)
    client = kind._unconnected(cluster.address, cluster)
    pools = client._pools
    try:
        sys.stderr.write(f"Rain's server listens on {client.address}, encrypted, for places of {name}\n")
        if asks_ahead(engine):
            pool = pools.open_ahead(engine, **options)
            with shown(pool):
                pool.scale(nodes)  # while these wait, and start, so does the server
                client._start_cluster(cluster)
                pools.admit(pool)
                pool.wait(min(wait, nodes), timeout)
        else:
            client._start_cluster(cluster)
            pool = client.pool(engine, 0, **options)
            with shown(pool):
                pool.scale(nodes)
                pool.wait(min(wait, nodes), timeout)
        if elastic:
            pool.adapt(**elastic)
    except BaseException as error:
        try:
            client.close()
        except RainException as refused:  # the first error is the one to tell
            error.add_note(str(refused))
        raise
    return client
