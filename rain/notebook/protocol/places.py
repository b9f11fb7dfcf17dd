"""Places on engines, as a browser shows them."""

from __future__ import annotations

import msgspec

from rain.common.state_styles import Look
from rain.notebook.protocol.graph import Counts
from rain.notebook.protocol.lookups import Measure


class PlaceBox(msgspec.Struct, frozen=True):
    """A place.

    Attributes
    ----------
    number : int
    state : str
        A key of `Pools.looks`.
    job : str
    words : str
        Why it waits and until about when, why it leaves, or how it ended, in the engine's or the governor's words.
    governor : str
        The id of its governor; empty if none ever registered.
    load : Measure or None
        Of its governor, in a line; None if that is not known (yet).
    ends_at : float or None
        When its time is over, in seconds since the epoch; None if that is not known.
    cause : str
        Why it never came up, in one sentence.
    printed : str
        Its last lines, if it never came up.
    wanted : bool
        Whether it can be given up.
    """

    number: int
    state: str
    job: str
    words: str
    governor: str
    load: Measure | None
    ends_at: float | None
    cause: str
    printed: str
    wanted: bool


class PlaceFold(msgspec.Struct, frozen=True):
    """Several places of which the same is to be said.

    Attributes
    ----------
    key : str
        For `rain.notebook.protocol.requests.GetPlaces`.
    state : str
        A key of `Pools.looks`.
    words : str
        As of `PlaceBox`, if they all have the same.
    count : int
    """

    key: str
    state: str
    words: str
    count: int


class PoolBox(msgspec.Struct, frozen=True):
    """A pool and its places.

    Attributes
    ----------
    key : str
    name : str
        What its places are on.
    id : str
        By which ``rain pool`` names it; empty if it has no record on disk.
    closed : bool
    trouble : str
        As of `rain.deploy.pools.pool.Pool`.
    counts : dict of str to int
        Places by state.
    wanted : int
        How many it asks for.
    most : int
        How many it may ask for.
    adapts : bool
        Whether it grows and shrinks by itself.
    rules : str
        By which it does so, and what it has used.
    boxes : list of PlaceBox
    folds : list of PlaceFold
        Places that are in none of `boxes`.
    """

    key: str
    name: str
    id: str
    closed: bool
    trouble: str
    counts: Counts
    wanted: int
    most: int
    adapts: bool
    rules: str
    boxes: list[PlaceBox]
    folds: list[PlaceFold]


class Pools(msgspec.Struct, frozen=True):
    """The pools of a client.

    Attributes
    ----------
    now : float
        When this was so, in seconds since the epoch by the kernel's clock.
    looks : dict of str to Look
        Of places by state.
    pools : list of PoolBox
    more : int
        How many further pools there are.
    """

    now: float
    looks: dict[str, Look]
    pools: list[PoolBox]
    more: int


class PlaceRows(msgspec.Struct, frozen=True):
    """Some of the places of a fold.

    Attributes
    ----------
    total : int
        How many there are in it.
    rows : list of PlaceBox
    """

    total: int
    rows: list[PlaceBox]
