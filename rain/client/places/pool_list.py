"""The list of a client's pools, which a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.jupyter import display_hooks

if TYPE_CHECKING:
    from rain.deploy.pools.pool import Pool


class PoolList(list["Pool"]):
    """A list, which as the last value of a cell shows the places of its pools.

    Examples
    --------
    >>> PoolList() == []
    True
    """

    def _ipython_display_(self) -> None:
        if not self:
            raise NotImplementedError  # IPython then shows this list as any other
        display_hooks.show("pools", self)

    def _repr_html_(self) -> str | None:
        return display_hooks.html("pools", self) if self else None
