"""`ServerOfPools`: the server of a client, as the client's pools know it."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, TypeVar

from rain.client.core.operations import governors
from rain.client.core.waiting import Operation
from rain.client.operations.connection import Connection
from rain.client.operations.operation import block
from rain.common.limits import POOL_SALT_BYTES, SERVER_ANSWER_S
from rain.common.protocol.messages import Demand, Offer
from rain.net.auth import Credentials

if TYPE_CHECKING:
    from rain.deploy.pools.pool import Pool

T = TypeVar("T")


class ServerOfPools:
    """Asked by the threads of pools.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._offers: dict[Pool, Offer] = {}
        self._lock = threading.Lock()

    def _asked(self, operation: Operation[T]) -> T:
        return block(self._connection.drive(operation), SERVER_ANSWER_S)

    def lost(self) -> str:
        """Why the server is lost for good, or another one now; empty as long as it is there, or is looked for."""
        why = self._connection.core.over_because
        return "" if why == "closed" else why

    def offer(self, pool: Pool, offer: Offer | None) -> None:
        """Say what a pool offers now, with what the others do."""
        with self._lock:  # what is said last is what is so last
            self._offers.pop(pool, None)
            if offer is not None:
                self._offers[pool] = offer
            offers = list(self._offers.values())
            self._asked(governors.offer(self._connection.core, offers))

    def open_pool(self, credentials: Credentials) -> Credentials:
        """Those of the governors of a new pool, by which the server lets them in until the pool is closed.

        Raises
        ------
        RainException
            If the client was not given the governors' key, or the server refuses.
        """
        salt = secrets.token_bytes(POOL_SALT_BYTES)
        credentials.key("governor")  # before the server is asked
        number = self._asked(governors.open_pool(self._connection.core, salt))
        return credentials.of_pool(number, salt)

    def close_pool(self, credentials: Credentials) -> None:
        """Have the server let no governor of a pool in any more. A client that is closed has done that."""
        if not self._connection.core.over_because:
            self._asked(governors.close_pool(self._connection.core, credentials.pool))

    def demand(self) -> Demand:
        """How much work waits and runs at the server."""
        return self._asked(governors.demand(self._connection.core))

    def drain(self, names: list[str], within_s: float) -> None:
        """Let these governors leave."""
        self._asked(governors.drain(self._connection.core, names, within_s))
