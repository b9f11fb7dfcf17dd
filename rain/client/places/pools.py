"""Places on engines that belong to a client, and end with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.client.places.server import ServerOfPools
from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.client.operations.connection import Connection
    from rain.deploy.pools.pool import Pool
    from rain.net.auth import Credentials


class Pools:
    """The pools of one client, in the order in which they were made.

    Parameters
    ----------
    connection : Connection
        The client's.
    """

    def __init__(self, connection: Connection) -> None:
        self._pools: list[Pool] = []
        self._server = ServerOfPools(connection)

    def all(self) -> list[Pool]:
        """Those that are not closed with the client."""
        return list(self._pools)

    def open(
        self,
        engine: str,
        places: int,
        server: str,
        credentials: Credentials,
        elastic: dict[str, Any] | None = None,
        **options: Any,
    ) -> Pool:
        """A pool with `places` places asked for, and with `elastic` (the arguments of `Pool.adapt`) more or fewer of
        them by themselves; see `Client.pool`."""
        from rain.deploy.pools.choice import supply_of
        from rain.deploy.pools.pool import pool_of

        made = pool_of(supply_of(engine, **options), server, credentials, self._server)
        self._pools.append(made)
        try:
            made.scale(places)
            if words := {name: value for name, value in (elastic or {}).items() if value is not None}:
                made.adapt(**words)
        except BaseException:  # jobs that were submitted before would be nobody's
            made.close()
            self._pools.remove(made)
            raise
        return made

    def close(self, dismissed: bool) -> None:
        """Close all, and raise the first refusal only then: another call tries those that were refused again.

        Parameters
        ----------
        dismissed : bool
            Whether the governors were told to end by their server.
        """
        refused: list[RainException] = []
        for pool in self.all():
            try:
                pool.dismissed() if dismissed else pool.close()
                self._pools.remove(pool)
            except RainException as error:
                refused.append(error)
        if refused:
            raise refused[0]


def client_on(
    cluster: Callable[[], Client], engine: str, nodes: int, wait: int, timeout: float | None, **options: Any
) -> Client:
    """A client with a private server and `nodes` places on an engine; see `Client.on`."""
    from rain.deploy.pools.choice import supply_of

    supply_of(engine, **options)  # refused, if at all, before anything is started
    client = cluster()
    try:
        sys.stderr.write(f"Rain's server listens on {client.address}, encrypted, for places of {engine}\n")
        pool = client.pool(engine, nodes, **options)
        pool.wait(min(wait, nodes), timeout)
    except BaseException:
        client.close()
        raise
    return client
