"""What is shown of pools and their places, and which places are one line because there are many. Pure."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from rain.common.formatting import duration_text
from rain.common.state_styles import PLACES
from rain.deploy.pools.places import Place, PlaceState, wanted
from rain.deploy.pools.pool import Pool
from rain.deploy.pools.scaling import Rules
from rain.notebook.inspectors.sanitize import cut, visible
from rain.notebook.protocol.lookups import Governor
from rain.notebook.protocol.places import PlaceBox, PlaceFold, PlaceRows, PoolBox, Pools

BOXES_MAX = 24
"""Places of a pool that are boxes of their own."""
ENDED_MAX = 3
"""Of those that ended as they should."""
FOLD_LEAST = 3
"""Fewer are not folded."""
POOLS_MAX = 8
ROWS_MAX = 100
"""Places of a fold that are sent at once."""
WORDS_CHARS_MAX = 300
PRINTED_CHARS_MAX = 2_000
LOTS_MAX = 5
"""Folds of one state."""
_QUIET = ("given-up", "ended")

Known = Mapping[str, Governor]
"""Governors by id, as the server told last."""


def shown_state(place: Place, governors: Known) -> str:
    """What is shown of a place's state: a key of `PLACES`.

    Examples
    --------
    >>> place = Place(1, "17")
    >>> shown_state(place, {})
    'asked'
    """
    state = place.state
    if state is PlaceState.UP:
        governor = governors.get(place.governor)
        return "draining" if governor is not None and governor.leaves else "up"
    if state is PlaceState.LEAVING:
        return "draining" if place.governor else "given up"
    if state is PlaceState.ENDED and not place.governor:
        return "given up" if place.given_up else "never up"
    return str(state.value)


def expected(starts_at: str, now: float) -> str:
    """When a place is expected, as readers write it; as the engine wrote it if that is no time.

    Examples
    --------
    >>> noon = datetime(2026, 11, 27, 12).timestamp()
    >>> expected("2026-11-27T20:05:00", noon), expected("2026-11-29T08:00:00", noon), expected("soon", noon)
    ('expected at 20:05', 'expected on 29 Nov at 08:00', 'expected soon')
    """
    if not starts_at:
        return ""
    try:
        at = datetime.fromisoformat(starts_at)
    except ValueError:
        return f"expected {starts_at}"
    day = "" if at.date() == datetime.fromtimestamp(now, at.tzinfo).date() else f"on {at.day} {at:%b} "
    return f"expected {day}at {at:%H:%M}"


def box_of(place: Place, governors: Known, now: float) -> PlaceBox:
    """A place as it is shown."""
    state = shown_state(place, governors)
    governor = governors.get(place.governor) if state in ("up", "draining") else None
    leaves = "" if governor is None else governor.leaves
    words = (place.reason, expected(place.starts_at, now), leaves)
    return PlaceBox(
        place.number,
        state,
        place.job,
        _line(" · ".join(filter(None, words))),
        _line(place.governor),
        None if governor is None else governor.brief,
        place.ends_at,
        place.cause,
        "\n".join(map(visible, cut(place.printed, PRINTED_CHARS_MAX).split("\n"))),
        wanted(place),
    )


def pools_of(pools: Sequence[Pool], key: Callable[[Pool], str], governors: Known, now: float) -> Pools:
    """Pools as they are shown.

    Parameters
    ----------
    pools : sequence of Pool
    key : callable
        The key of a pool.
    governors : mapping of str to Governor
    now : float
        Seconds since the epoch.
    """
    shown = [_pool(key(pool), pool, governors, now) for pool in pools[:POOLS_MAX]]
    return Pools(now, PLACES, shown, max(0, len(pools) - POOLS_MAX))


def rules_text(rules: Rules | None, used_core_s: float) -> str:
    """By which rules a pool grows and shrinks, and how many core hours its places have used.

    Examples
    --------
    >>> rules_text(Rules(0, 50, 300.0, 1000 * 3600.0), 36000.0)
    '0 to 50 places as work needs them, idle ones leave after 5 min 0 s · 10 of 1,000 core hours used'
    >>> rules_text(None, 90.0)
    '0.03 core hours used'
    """
    limit = "" if rules is None or math.isinf(rules.core_s) else f" of {rules.core_s / 3600:,g}"
    used = f"{used_core_s / 3600:,.2f}".rstrip("0").rstrip(".")
    told = f"{used}{limit} core hours used" if used != "0" or limit else ""
    if rules is not None:
        idle = f"idle ones leave after {duration_text(rules.idle_s)}"
        told = " · ".join(filter(None, (f"{rules.minimum} to {rules.maximum} places as work needs them, {idle}", told)))
    return told


def rows_of(pool: Pool, fold: str, offset: int, governors: Known, now: float) -> PlaceRows:
    """Some of the places of a fold."""
    found = [box for box in _boxes(pool.places, governors, now) if fold in (_key_of_words(box), _key_of_state(box))]
    return PlaceRows(len(found), found[offset : offset + ROWS_MAX])


def _pool(key: str, pool: Pool, governors: Known, now: float) -> PoolBox:
    places = pool.places
    all_boxes = _boxes(places, governors, now)
    counts = Counter(box.state for box in all_boxes)
    boxes, folds = folded(all_boxes)
    return PoolBox(
        key,
        _line(pool.engine),
        _line(pool.id),
        pool.closed,
        _line(pool.trouble),
        {state: counts[state] for state in PLACES if counts[state]},
        sum(map(wanted, places)),
        pool.most,
        pool.rules is not None,
        rules_text(pool.rules, pool.used_before_core_s + pool.used_core_s),
        boxes,
        folds,
    )


def _boxes(places: Iterable[Place], governors: Known, now: float) -> list[PlaceBox]:
    return [box_of(place, governors, now) for place in places]


def folded(boxes: Sequence[PlaceBox]) -> tuple[list[PlaceBox], list[PlaceFold]]:
    """Which places are boxes of their own, in the order in which they were asked for, and which are one line.

    Places that ended as they should are folded first. If there are still too many, the states with most places are: by
    their texts if these are few, else all places of a state.
    """
    words = [_key_of_words(box) for box in boxes]
    of_state: dict[str, Counter[str]] = {}
    for box, key in zip(boxes, words, strict=True):
        of_state.setdefault(_key_of_state(box), Counter())[key] += 1
    folds: dict[str, str] = {}  # keys of folds, by the keys of what is said of places in them
    for state in sorted(of_state, key=lambda state: (state not in _QUIET, -of_state[state].total())):
        lots, left = of_state[state], sum(key not in folds for key in words)
        if lots.total() < FOLD_LEAST:
            continue
        if state in _QUIET and (lots.total() > ENDED_MAX or left > BOXES_MAX):
            folds |= dict.fromkeys(lots, state)
        elif left > BOXES_MAX:
            large = [key for key, count in lots.items() if count >= FOLD_LEAST]
            apart = len(large) <= LOTS_MAX and sum(lots[key] for key in large) > lots.total() - FOLD_LEAST
            folds |= {key: key for key in large} if apart else dict.fromkeys(lots, state)
    return [box for box, key in zip(boxes, words, strict=True) if key not in folds], _folds(boxes, words, folds)


def _folds(boxes: Sequence[PlaceBox], words: Sequence[str], folds: Mapping[str, str]) -> list[PlaceFold]:
    found: dict[str, list[PlaceBox]] = {}
    for box, key in zip(boxes, words, strict=True):
        if key in folds:
            found.setdefault(folds[key], []).append(box)
    order = list(PLACES)
    made = []
    for key, lot in found.items():
        said = {box.cause or box.words for box in lot}
        made.append(PlaceFold(key, lot[0].state, said.pop() if len(said) == 1 else "", len(lot)))
    return sorted(made, key=lambda fold: order.index(fold.state))


def _key_of_words(box: PlaceBox) -> str:
    """The same for places of which the same is to be said."""
    return f"{_key_of_state(box)}.{zlib.crc32((box.cause or box.words).encode('utf-8', 'replace')):x}"


def _key_of_state(box: PlaceBox) -> str:
    return box.state.replace(" ", "-")


def _line(text: str) -> str:
    return visible(cut(" ".join(text.split()), WORDS_CHARS_MAX))
