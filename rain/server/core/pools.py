"""Pools of clients: which keys of their own let governors in, and until when.

Numbers go round, so that none is soon another pool's: what still comes by the old one is not taken for the new one's.
"""

from __future__ import annotations

from rain.common.limits import LEAVE_ASKED_S, LEAVE_S, POOL_SALT_BYTES, POOLS_MAX
from rain.common.protocol.messages import ClosePool, Done, Drain, OpenPool, PoolOpened
from rain.server.core.effects import AllowPool, ForbidPool
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.governor import Governor


def open_pool(state: State, client: Client, message: OpenPool) -> None:
    """Answer `OpenPool`."""
    if len(message.salt) != POOL_SALT_BYTES:
        state.refuse(
            client.id, message.request, f"the salt of a pool has {POOL_SALT_BYTES} bytes, not {len(message.salt)}"
        )
        return
    if len(state.pools) >= POOLS_MAX:
        state.refuse(client.id, message.request, f"there are {POOLS_MAX} pools (POOLS_MAX) already: close one")
        return
    following = (state.last_pool + more for more in range(POOLS_MAX))
    number = next(number % POOLS_MAX + 1 for number in following if number % POOLS_MAX + 1 not in state.pools)
    state.last_pool = number
    state.pools[number] = client.id
    state.out.append(AllowPool(number, message.salt))
    state.to_client(client.id, PoolOpened(message.request, number))


def close_pool(state: State, client: Client, message: ClosePool) -> None:
    """Answer `ClosePool`; a pool that is closed already is closed."""
    if state.pools.get(message.pool) == client.id:
        _forbid(state, [message.pool], "its pool was closed", LEAVE_S)
    state.to_client(client.id, Done(message.request))


def client_gone(state: State, client_id: str) -> None:
    """The keys of its pools are good no more, and governors in their places leave: they cost, and are no one's."""
    numbers = [number for number, owner in state.pools.items() if owner == client_id]
    if numbers:
        _forbid(state, numbers, "the client that asked for its place is gone", LEAVE_ASKED_S)


def governor_joined(state: State, governor: Governor) -> None:
    """A governor that proved itself before its pool was closed, and registers only now, leaves."""
    if governor.pool and governor.pool not in state.pools:
        _leave(state, governor, "its pool was closed", LEAVE_S)


def _forbid(state: State, numbers: list[int], reason: str, within_s: float) -> None:
    for number in numbers:
        del state.pools[number]
        state.out.append(ForbidPool(number))
    for governor in state.graph.governors.values():
        if governor.pool in numbers:
            _leave(state, governor, reason, within_s)


def _leave(state: State, governor: Governor, reason: str, within_s: float) -> None:
    governor.pool = 0
    if governor.leaving is None:
        state.to_governor(governor, Drain(reason, within_s))
