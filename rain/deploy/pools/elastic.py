"""`Elastic`: what a pool has to do with Rain's server: offers places, asks for demand, has governors leave."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from rain.common.errors import RainException
from rain.common.limits import DEMAND_LOOK_S, ENGINE_END_S, LEAVE_ASKED_S, PLACES_MAX
from rain.common.protocol.messages import Demand, Offer
from rain.deploy.pools.places import Place, PlaceState, wanted
from rain.deploy.pools.scaling import Rules, Scaling, Seen
from rain.governor.surroundings.leaving import parse_duration

if TYPE_CHECKING:
    from rain.deploy.pools.pool import Pool

_RUNS = (PlaceState.STARTING, PlaceState.UP)


class PoolServer(Protocol):
    """The server for which a pool brings governors. Each method but `lost` waits for the server's answer; those are not
    called while the pool's lock is held.

    Raises
    ------
    RainException, TimeoutError
        All methods but `lost`, if it does not answer or refuses.
    """

    def lost(self) -> str:
        """Why it is lost for good, or another one now; empty as long as it is there, or is looked for."""
        ...

    def offer(self, pool: Pool, offer: Offer | None) -> None:
        """Say what a pool of the client offers now; None: nothing any more."""
        ...

    def demand(self) -> Demand:
        """How much work waits and runs."""
        ...

    def drain(self, governors: list[str], within_s: float) -> None:
        """Let these governors leave."""
        ...


def check_rules(engine: str, elastic: Mapping[str, Any]) -> None:
    """Raise RainException if arguments of `Pool.adapt` have no meaning, before there is a pool."""
    told: dict[str, Any] = {"minimum": 0, "maximum": None, "idle": 0.0, "core_hours": None, **elastic}
    rules_of(engine, PLACES_MAX, **told)


def rules_of(
    engine: str, most: int, minimum: int, maximum: int | None, idle: float | str, core_hours: float | None
) -> Rules:
    """What users said, checked.

    Raises
    ------
    RainException
        If one of them has no meaning.
    """
    highest = most if maximum is None else maximum
    for name, count in (("minimum", minimum), ("maximum", highest)):
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= most:
            raise RainException(f"the {name} of places on {engine} is a number from 0 to {most}, not {count!r}")
    if minimum > highest:
        raise RainException(f"the minimum of places on {engine}, {minimum}, is more than the maximum, {highest}")
    seconds = parse_duration(idle) if isinstance(idle, str) else idle
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        raise RainException(f'idle is a time, in seconds or as "5m", not {idle!r}')
    hours = math.inf if core_hours is None else core_hours
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not hours > 0:
        raise RainException(f"core_hours is a positive number, not {core_hours!r}")
    return Rules(minimum, highest, float(seconds), hours * 3600)


def _seen(place: Place) -> Seen:
    up = place.state is PlaceState.UP
    return Seen(place.number, place.governor if up else "", place.state in _RUNS, place.asked_at)


class Elastic:
    """Carried along by the thread of one pool.

    Parameters
    ----------
    pool : Pool
    server : PoolServer

    Attributes
    ----------
    trouble : str
        Why the server did not tell the demand, or the engine refused; empty if they did not.
    """

    def __init__(self, pool: Pool, server: PoolServer) -> None:
        self._pool = pool
        self._server = server
        self._scaling: Scaling | None = None
        self._offered: Offer | None = None
        self._draining: dict[int, float] = {}  # numbers of places, and when the engine is to end them
        self._failed: set[int] = set()
        self._has_lost = False
        self.trouble = ""

    @property
    def lost(self) -> str:
        """Why there is no server any more for which places could be asked for, in words; empty as long as there is."""
        why = "" if self._pool.closed else self._server.lost()
        if not why:
            return ""
        return (
            "its server is lost: no more places are asked for, those that wait are given up, and governors end. Close "
            f"it, and open another pool with a new client. {why}"
        )

    @property
    def spent(self) -> str:
        """That its core-hours are used up, and by which pools, in words; empty if they are not."""
        pool, rules = self._pool, self.rules
        if rules is None or pool.used_before_core_s + pool.used_core_s < rules.core_s:
            return ""
        earlier = (
            f", {pool.used_before_core_s / 3600:.2f} of them by earlier pools called {pool.name!r}; "
            "a pool with another name= has a count of its own"
            if pool.used_before_core_s
            else ""
        )
        return f"its {rules.core_s / 3600:g} core-hours are used up{earlier}"

    @property
    def rules(self) -> Rules | None:
        """By which the pool grows and shrinks; None if it does not by itself."""
        scaling = self._scaling
        return None if scaling is None else scaling.rules

    @property
    def interval_s(self) -> float | None:
        """How long the pool's thread may wait before the next turn; None: until something changes."""
        if 0.0 in self._draining.copy().values():
            return 0.0  # what was given up while the server was asked something has not been asked to leave
        if self._scaling is not None:
            return DEMAND_LOOK_S
        return ENGINE_END_S if self._draining else None

    def adapt(self, rules: Rules) -> None:
        """Grow and shrink by these rules from now on; what was learned of the engine stays."""
        if self._scaling is None:
            self._scaling = Scaling(self._pool.resources, rules)
        else:
            self._scaling.rules = rules

    def stop(self) -> None:
        """Keep the number of places."""
        self._scaling = None
        self.trouble = ""

    def let_go(self, places: list[Place]) -> None:
        """These were given up: their governors are asked to leave at the next turn, then their jobs end."""
        self._draining.update((place.number, 0.0) for place in places)

    def leaving(self) -> list[Place]:
        """Those of them that are still there, and whose jobs the engine was not asked to end."""
        numbers = self._draining.copy()
        return [place for place in self._pool.places if place.number in numbers and place.state is not PlaceState.ENDED]

    def have_ended(self, places: list[Place]) -> None:
        """The engine was asked to end these."""
        for place in places:
            self._draining.pop(place.number, None)

    # -- a turn ---------------------------------------------------------------------------------

    def turn(self) -> None:
        """All that is due now; called without the pool's lock."""
        if self._pool.closed:  # what the engine refused to end is tried again
            now = time.monotonic()
            self._draining.update((number, now) for number in self._draining.copy())
        elif self._server.lost():
            self._lose()
        self._drain()
        if self._scaling is not None and not self._pool.closed:
            self._adapt(self._scaling)
        offer = self.offer()
        if offer != self._offered:
            try:
                self._server.offer(self._pool, offer)
                self._offered = offer
            except (RainException, TimeoutError):
                pass  # said again at the next turn; a server that is lost has nothing that waits

    def _lose(self) -> None:
        """The server is lost. Places that wait would come to nothing; governors end by themselves, or the engine ends
        them."""
        self._scaling = None
        ends_at = time.monotonic() + LEAVE_ASKED_S + ENGINE_END_S
        for place in self._pool.places if not self._has_lost else ():
            if place.state is PlaceState.UP:
                self._draining.setdefault(place.number, ends_at)
        try:
            self._pool.give_up_waiting()
            self.trouble = ""
        except RainException as error:  # tried again at the next turn
            self.trouble = str(error)
        self._has_lost = True

    def _ask_to_leave(self, places: list[Place]) -> None:
        """Let the governors of these leave; those that cannot be told are ended by the engine."""
        now = time.monotonic()
        self._draining.update((place.number, now + LEAVE_ASKED_S + ENGINE_END_S) for place in places)
        try:
            self._server.drain([place.governor for place in places], LEAVE_ASKED_S)
        except RainException:  # one is not here, or there is no server
            if len(places) == 1:
                self._draining[places[0].number] = now
                return
            for place in places:
                self._ask_to_leave([place])
        except TimeoutError:
            self._draining.update((place.number, now) for place in places)

    def _drain(self) -> None:
        due = [place for place in self._pool.places if self._draining.get(place.number) == 0.0]
        if asked := [place for place in due if place.state is not PlaceState.ENDED]:
            self._ask_to_leave(asked)
        for place in self._pool.places:
            if place.number not in self._draining:
                continue
            if place.state is PlaceState.ENDED:
                del self._draining[place.number]
            if self._draining.get(place.number, math.inf) <= time.monotonic():
                try:
                    self._pool.end_jobs([place])
                    del self._draining[place.number]
                except RainException as error:  # tried again at the next turn
                    self.trouble = str(error)

    def _adapt(self, scaling: Scaling) -> None:
        pool = self._pool
        try:
            demand = self._server.demand()
        except (RainException, TimeoutError) as error:
            self.trouble = str(error)
            return
        now = time.monotonic()
        for place in pool.places:
            if place.state is PlaceState.ENDED and not place.governor and place.number not in self._failed:
                self._failed.add(place.number)
                if not place.given_up:
                    scaling.refused(now)
                    self.trouble = place.cause or f"place {place.number} ended before its governor was up"
        seen = [_seen(place) for place in pool.places if wanted(place)]
        decision = scaling.look(now, demand, seen, pool.used_before_core_s + pool.used_core_s)
        if any(place.governor for place in seen):
            self.trouble = ""
        try:
            pool.change(decision.more, [*decision.cancel, *decision.leave], unless=lambda: self._scaling is not scaling)
        except RainException as error:
            scaling.refused(now)
            self.trouble = str(error)

    # -- what is offered ------------------------------------------------------------------------

    def offer(self) -> Offer | None:
        """What the pool may bring; None if nothing."""
        pool, rules = self._pool, self.rules
        if pool.closed:
            return None
        most = pool.most if rules is None else rules.maximum
        return Offer(pool.engine, pool.resources, most, self._told()[:1000]) if most else None

    def _told(self) -> str:
        """What becomes of the places that were asked for, in words."""
        pool, scaling = self._pool, self._scaling
        coming = [place for place in pool.places if wanted(place) and place.state is not PlaceState.UP]
        if coming:
            reasons = dict.fromkeys(place.reason for place in coming if place.reason)
            starts = min((place.starts_at for place in coming if place.starts_at), default="")
            state = coming[0].state.value
            detail = "; ".join([*reasons, *([f"expected at {starts}"] if starts else [])])
            return f"{len(coming)} asked for, {state}{f' ({detail})' if detail else ''}"
        up = sum(place.state is PlaceState.UP for place in pool.places)
        if scaling is None:
            return f"none asked for beside the {up} that are up; pool.scale({up + 1}) asks for one"
        pause = scaling.paused_s(time.monotonic())
        if pause:
            return f"none can be had now: {self.trouble}"
        if self.spent:
            return f"none is asked for, because {self.spent}"
        if up >= scaling.rules.maximum:
            return f"all {up} places that it may have are up"
        return self.trouble or f"none asked for beside the {up} that are up"
