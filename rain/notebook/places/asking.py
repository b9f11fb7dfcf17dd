"""Pools as they are now, with what the server tells of their governors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rain.client.places.pools import client_of
from rain.common.errors import RainException
from rain.deploy.pools.pool import Pool
from rain.notebook.governor_loads import governors_of
from rain.notebook.places.boxes import pools_of
from rain.notebook.protocol.lookups import Governor
from rain.notebook.protocol.places import Pools

if TYPE_CHECKING:
    from rain.client.client import Client


def governors_by_id(pools: Sequence[Pool], seconds: float, client: Client | None = None) -> dict[str, Governor]:
    """The governors of the server of some pools; empty if it does not answer.

    Parameters
    ----------
    pools : sequence of Pool
    seconds : float
        How long the server may take.
    client : Client, optional
        One of that server, if it is not the pools' own.
    """
    client = client or next(filter(None, map(client_of, pools)), None)
    if client is None or not pools:
        return {}
    try:
        return {one.id: one for one in governors_of(client, seconds).governors}
    except (RainException, TimeoutError):  # places are known without it
        return {}


def pools_now(pools: Sequence[Pool], seconds: float) -> Pools:
    """Pools as they are shown where nothing can be asked later; the server may take so many `seconds` to answer."""
    return pools_of(pools, lambda pool: "", governors_by_id(pools, seconds), time.time())
