"""What a widget tells of pools: what is asked, and each change by itself while a browser looks."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence

from rain.common.errors import RainException
from rain.deploy.pools.pool import Pool
from rain.notebook.places.asking import governors_by_id
from rain.notebook.places.boxes import pools_of, rows_of
from rain.notebook.protocol import requests
from rain.notebook.protocol.lookups import Governor
from rain.notebook.protocol.places import PlaceRows, Pools
from rain.notebook.widget_base import Handler, LiveWidget, pump

LOOKS_S = 10.0
"""A browser that shows pools asks for them more often than this."""


class LivePools:
    """The pools that a widget shows.

    Parameters
    ----------
    widget : LiveWidget
    pools : callable
        Gives the pools as they are now.
    answer_s : float
        How long the server may take to tell of governors.
    """

    def __init__(self, widget: LiveWidget, pools: Callable[[], Sequence[Pool]], answer_s: float) -> None:
        self._widget = weakref.ref(widget)
        self._pools = pools
        self._answer_s = answer_s
        self._governors: dict[str, Governor] = {}
        self._keys: weakref.WeakKeyDictionary[Pool, str] = weakref.WeakKeyDictionary()
        self._made = 0
        self._asked_at = -LOOKS_S

    def follow(self, watch: Callable[[Callable[[], None]], Callable[[], None]]) -> None:
        """Tell of changes.

        Parameters
        ----------
        watch : callable
            `Pool.watch`, or another with its parameter and result.
        """
        advance = weakref.WeakMethod(self.advance)
        weakref.finalize(self, watch(lambda: pump.wake(advance)))

    @property
    def handlers(self) -> dict[type[requests.Request], Handler]:
        """What answers the requests about pools."""
        return {
            requests.GetPools: lambda _: self._told(),
            requests.GetPlaces: self._rows,
            requests.ScalePool: lambda asked: self._pool(asked.pool).scale(asked.count),
            requests.GiveUpPlace: lambda asked: self._pool(asked.pool).give_up([asked.number]),
        }

    @property
    def seen(self) -> bool:
        """Whether a browser shows them."""
        return time.monotonic() - self._asked_at < LOOKS_S

    def advance(self) -> None:
        """Tell the browser; in the pump's thread."""
        widget = self._widget()
        if widget is not None and self.seen:
            widget.push("pools", self.present())

    def present(self) -> Pools:
        """The pools as they are, with their governors as the server told last."""
        return pools_of(self._pools(), self._key, self._governors, time.time())

    def renew(self) -> None:
        """Ask the server for the governors, if there are pools."""
        self._governors = governors_by_id(self._pools(), self._answer_s)

    def _told(self) -> Pools:
        self._asked_at = time.monotonic()
        self.renew()
        return self.present()

    def _rows(self, asked: requests.GetPlaces) -> PlaceRows:
        return rows_of(self._pool(asked.pool), asked.fold, asked.offset, self._governors, time.time())

    def _key(self, pool: Pool) -> str:
        key = self._keys.get(pool)
        if key is None:
            self._made += 1
            key = self._keys[pool] = f"p{self._made}"
        return key

    def _pool(self, key: str) -> Pool:
        for pool in self._pools():
            if self._keys.get(pool) == key:
                return pool
        raise RainException(f"there is no pool {key!r} here")
