"""Pools of clients: which keys of their own let governors in, and until when."""

from __future__ import annotations

from rain.common.limits import LEAVE_ASKED_S, POOL_SALT_BYTES, POOLS_MAX
from rain.common.protocol.messages import ClosePool, Done, Drain, OpenPool, PoolOpened
from rain.server.core.effects import AllowPool, ForbidPool
from rain.server.core.state import State
from rain.server.records.client import Client


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
    number = next(number for number in range(1, POOLS_MAX + 1) if number not in state.pools)
    state.pools[number] = client.id
    state.out.append(AllowPool(number, message.salt))
    state.to_client(client.id, PoolOpened(message.request, number))


def close_pool(state: State, client: Client, message: ClosePool) -> None:
    """Answer `ClosePool`; a pool that is closed already is closed."""
    if state.pools.get(message.pool) == client.id:
        _forbid(state, message.pool)
    state.to_client(client.id, Done(message.request))


def client_gone(state: State, client_id: str) -> None:
    """The keys of its pools are good no more, and governors in their places leave: they cost, and are no one's."""
    numbers = [number for number, owner in state.pools.items() if owner == client_id]
    for number in numbers:
        _forbid(state, number)
    for governor in state.graph.governors.values() if numbers else ():
        if governor.pool in numbers and governor.leaving is None:
            state.to_governor(governor, Drain("the client that asked for its place is gone", LEAVE_ASKED_S))


def _forbid(state: State, number: int) -> None:
    del state.pools[number]
    state.out.append(ForbidPool(number))
