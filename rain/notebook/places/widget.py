"""The widget of pools: a box for each place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rain.deploy.pools.pool import Pool
from rain.notebook import plain_forms, stills
from rain.notebook.places.live import LivePools
from rain.notebook.widget_base import HTML, TEXT, LiveWidget

ANSWER_S = 10.0
"""How long the server may take to tell of governors."""


class PoolsWidget(LiveWidget):
    """Pools on engines, live.

    Parameters
    ----------
    pools : sequence of Pool

    Attributes
    ----------
    live : LivePools
    """

    def __init__(self, pools: Sequence[Pool]) -> None:
        super().__init__("pools")
        shown = list(pools)
        self.live = LivePools(self, lambda: shown, ANSWER_S)
        self._handlers |= self.live.handlers
        for pool in shown:
            self.live.follow(pool.watch)

    def still(self, timed: bool = True, asks: bool = True) -> dict[str, Any]:
        """See `LiveWidget`.

        Parameters
        ----------
        timed : bool
        asks : bool
            Whether the server is asked for its governors first, which may take ANSWER_S.
        """
        if asks:
            self.live.renew()
        places = self.live.present()
        caption = stills.as_of(time.time()) if timed else ""
        return {HTML: stills.pools(places, caption), TEXT: plain_forms.text_of_pools(places)}
