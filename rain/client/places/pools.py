"""Places on engines that belong to a client, and end with it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rain.common.errors import RainException

if TYPE_CHECKING:
    from rain.client.client import Client
    from rain.deploy.pools.pool import Pool
    from rain.net.auth import Credentials


class Pools:
    """The pools of one client, in the order in which they were made."""

    def __init__(self) -> None:
        self._pools: list[Pool] = []

    def all(self) -> list[Pool]:
        """Those that are not closed with the client."""
        return list(self._pools)

    def open(self, engine: str, places: int, server: str, credentials: Credentials, **options: Any) -> Pool:
        """A pool with `places` places asked for; see `Client.pool`."""
        from rain.deploy.pools.choice import supply_of
        from rain.deploy.pools.pool import pool_of

        made = pool_of(supply_of(engine, **options), server, credentials)
        self._pools.append(made)
        try:
            made.scale(places)
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
