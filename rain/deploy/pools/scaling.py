"""How many places an elastic pool should have, going by Rain's own waiting work. Decisions only.

Theory of operation
-------------------
At each look the pool tells what the server said of waiting and running work, and which places it has; `Scaling.look`
answers how many more to ask for and which to let go.

**More.** The engine lets places wait; for how long is learned from those that came. Work that the governors of then
would have done by that time needs no place. What is left then is shared among new places, as many as would each have
work for longer than they stand idle at their end (`worth_s`), and never more than there are tasks to run at a time. If
no governor that is here can run it, one place is worth it always. So a place is asked for at once when it is worth it,
and a burst that the present places swallow asks for none. Of code that has not finished once a guess is made.

**Fewer.** A place is let go when fewer were wanted for as long as `rain.deploy.pools.holding` has learned that it pays
to hold one, `idle_s` at most, and not because it stood idle itself: work that goes round among more places than it
needs keeps none of them. Only a place without tasks leaves. One that still waits is given up when it has not been
worth half of what it takes for `SURPLUS_S`; that costs only its turn in the queue.

**Refusals.** When the engine refuses, or a place ends before its governor was up, nothing is asked for during a pause
that doubles up to `PAUSE_MAX_S`, and then one place only, until one comes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from rain.common.protocol.messages import Demand, Need
from rain.deploy.pools.holding import HOLD_LEAST_S, Holding

WAIT_GUESS_S = 10.0
"""How long the engine is thought to let a place wait, as long as none has come."""
START_GUESS_S = 5.0
"""What a governor takes from the start of its job until it has its first task."""
UNKNOWN_S = 30.0
"""How long a task is thought to take whose code has not finished once."""
WAITS_REMEMBERED = 16
SURPLUS_S = 30.0
PAUSE_S = 15.0
PAUSE_MAX_S = 600.0


class Rules(NamedTuple):
    """What the user allows.

    Attributes
    ----------
    minimum, maximum : int
        Numbers of places.
    idle_s : float
        How long a place that is not needed stays at most.
    core_s : float
        Cpu-seconds that all places together may take, with those of earlier runs; infinite: any.
    """

    minimum: int
    maximum: int
    idle_s: float
    core_s: float = math.inf


class Seen(NamedTuple):
    """A place as the pool sees it.

    Attributes
    ----------
    number : int
    governor : str
        Empty as long as it is not up.
    runs : bool
        Whether its job has begun, so that it is paid for.
    asked_at : float
    """

    number: int
    governor: str
    runs: bool
    asked_at: float


class Decision(NamedTuple):
    """What to do now.

    Attributes
    ----------
    more : int
        How many places to ask for.
    cancel : tuple of int
        Places that wait and are given up.
    leave : tuple of int
        Places that are up and leave; nothing runs there.
    why : str
        In words; empty if nothing is to be done.
    """

    more: int = 0
    cancel: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()
    why: str = ""


class Scaling:
    """What one pool has learned, and decides.

    Parameters
    ----------
    resources : dict of str to float
        What the governor of each place has.
    rules : Rules

    Examples
    --------
    >>> scaling = Scaling({"cpus": 4.0}, Rules(0, 10, 60.0))
    >>> need = Need({"cpus": 1.0}, None, 8, 0, 8 * 600.0, 0, 0, 0.0)
    >>> scaling.look(0.0, Demand(0, [need], []), [], 0.0).more
    2
    """

    def __init__(self, resources: dict[str, float], rules: Rules) -> None:
        self.resources = resources
        self.rules = rules
        self._waits: deque[float] = deque(maxlen=WAITS_REMEMBERED)
        self._holding = Holding(START_GUESS_S)
        self._up_since: dict[int, float] = {}
        self._given: dict[str, int] = {}
        self._surplus_since: float | None = None
        self._failures = 0
        self._paused_until = -math.inf

    @property
    def wait_s(self) -> float:
        """How long a place will probably wait for the engine: the median of the last ones."""
        if not self._waits:
            return WAIT_GUESS_S
        return sorted(self._waits)[len(self._waits) // 2]

    def worth_s(self, places: int) -> float:
        """For how long one place more than these has to have work: as long as it is paid for without any."""
        return START_GUESS_S + self._holding.hold_s(places + 1, self.rules.idle_s, self.wait_s)

    def paused_s(self, now: float) -> float:
        """How long nothing is asked for, because the engine refused or places did not come."""
        return max(0.0, self._paused_until - now)

    def refused(self, now: float) -> None:
        """The engine refused, or a place ended before it was up."""
        self._failures += 1
        self._paused_until = now + min(PAUSE_S * 2 ** (self._failures - 1), PAUSE_MAX_S)

    def look(self, now: float, demand: Demand, places: Sequence[Seen], used_core_s: float) -> Decision:
        """What to do now.

        Parameters
        ----------
        now : float
            Monotonic seconds.
        demand : Demand
            What the server said.
        places : sequence of Seen
            Those of this pool that were asked for, and not given up.
        used_core_s : float
            Cpu-seconds that places of this pool have taken.
        """
        self._learn(now, places)
        rules = self.rules
        waiting = [place for place in places if not place.governor]
        up = [place for place in places if place.governor]
        if used_core_s >= rules.core_s:
            self._surplus_since = None
            everyone = f"its {rules.core_s / 3600:g} core-hours are used up"
            return Decision(0, _numbers(waiting), _numbers(up), everyone if places else "")
        busy, free = self._busy(demand, up)
        worth_s = self.worth_s(len(places))
        worth = self._worth(demand, worth_s)
        self._holding.note(now, min(busy + worth, rules.maximum))
        least = max(0, rules.minimum - len(up))
        most = max(0, rules.maximum - len(up))
        afford = self._affordable(rules.core_s - used_core_s, len(places), worth_s)
        wanted = min(max(worth, least), most)
        more = min(wanted - len(waiting), afford)
        if more > 0:
            self._surplus_since = None
            if now < self._paused_until:
                return Decision()
            more = min(more, 1) if self._failures else more
            return Decision(more, why=f"work waits that is worth {worth} place{'s' * (worth != 1)}")
        keep = min(max(self._worth(demand, worth_s / 2), least), most)
        cancel = self._surplus(now, waiting, keep)
        leave = self._leaving(now, up, free) if not worth else ()
        why = "not needed for long enough" if leave else "what waited for it is done" if cancel else ""
        return Decision(0, cancel, leave, why)

    # -- what is learned ------------------------------------------------------------------------

    def _learn(self, now: float, places: Sequence[Seen]) -> None:
        up_since = {place.number: self._up_since.get(place.number, now) for place in places if place.governor}
        for place in places:
            if place.governor and place.number not in self._up_since:
                self._waits.append(now - place.asked_at)
                self._failures, self._paused_until = 0, -math.inf
        self._up_since = up_since

    def _affordable(self, core_s: float, there: int, worth_s: float) -> int:
        """How many more places would find core-hours enough to be worth it, beside those that are there."""
        if math.isinf(core_s):
            return self.rules.maximum
        all_of_them = math.floor(core_s / (self.resources.get("cpus", 1.0) * worth_s))
        return max(all_of_them - there, 0 if there else 1)

    # -- more -----------------------------------------------------------------------------------

    def _worth(self, demand: Demand, worth_s: float) -> int:
        """How many places that are not up yet waiting work is worth."""
        able = [governor for governor in demand.governors if not governor.leaves]
        by_time = by_tasks = 0.0
        least = 0
        for need in demand.needs:
            slots = _slots(need.resources, self.resources)
            if not need.waiting or not slots or need.executor is not None:
                continue
            here = sum(_slots(need.resources, governor.resources) for governor in able)
            if here < need.together:  # what no governor here can run is worth a place, or as many as it needs at once
                slots_missing = need.together - here
                least = max(least, math.ceil(slots_missing) if need.together > 1 else 1)
            count, seconds = self._left(need, here)
            by_tasks += count / slots
            by_time += max(0.0, seconds / worth_s - here) / slots
        return max(min(math.floor(by_time + 1e-9), math.ceil(by_tasks - 1e-9)), least)

    def _left(self, need: Need, here: float) -> tuple[float, float]:
        """How many tasks will still wait when a place that is asked for now has come, and seconds of all work then."""
        waiting_s = need.waiting_s + need.waiting_unknown * UNKNOWN_S
        begun_s = (need.assigned_s + need.assigned_unknown * UNKNOWN_S) / 2  # half of it is done, on average
        done = self.wait_s * here
        left = max(0.0, waiting_s - max(0.0, done - begun_s))
        count = need.waiting * left / waiting_s if waiting_s else 0.0
        return count, left + max(0.0, begun_s - done)

    def _surplus(self, now: float, waiting: Sequence[Seen], keep: int) -> tuple[int, ...]:
        """Those that wait, and have not been worth it for a while; the last ones first."""
        # One whose job has begun is paid for anyway: it comes, and leaves when it is idle.
        idle = [place for place in waiting if not place.runs]
        over = min(len(waiting) - keep, len(idle))
        if over <= 0:
            self._surplus_since = None
            return ()
        if self._surplus_since is None:
            self._surplus_since = now
        if now - self._surplus_since < SURPLUS_S:
            return ()
        self._surplus_since = None
        return _numbers(sorted(idle, key=lambda place: -place.number)[:over])

    # -- fewer ----------------------------------------------------------------------------------

    def _busy(self, demand: Demand, up: Sequence[Seen]) -> tuple[int, list[Seen]]:
        """How many places work goes on in, and those in which nothing runs now."""
        governors = {governor.id: governor for governor in demand.governors}
        busy, free, moved = 0, [], False
        for place in up:
            governor = governors.get(place.governor)
            if governor is None or governor.leaves:
                continue
            moved = moved or self._given.get(governor.id, 0) != governor.given
            if governor.tasks:
                busy += 1
            else:
                free.append(place)
        self._given = {name: one.given for name, one in governors.items()}
        return max(busy, int(moved)), free  # short tasks, which no look has met, keep one

    def _leaving(self, now: float, up: Sequence[Seen], free: list[Seen]) -> tuple[int, ...]:
        held = self._holding.held(now, len(up), self.rules.idle_s, self.wait_s)
        unneeded = len(up) - max(held, self.rules.minimum)
        seen_free = [place for place in free if now - self._up_since[place.number] >= HOLD_LEAST_S]
        # The youngest has most of its time left, but the oldest most of the data.
        return _numbers(sorted(seen_free, key=lambda place: -place.number)[: max(0, unneeded)])


def _numbers(places: Sequence[Seen]) -> tuple[int, ...]:
    return tuple(place.number for place in places)


def _slots(asked: dict[str, float], has: dict[str, float]) -> float:
    """How many tasks that ask for this run at a time where there is that; 0 if not even one."""
    least = math.inf
    for name, amount in asked.items():
        if amount > 0:
            least = min(least, math.floor(has.get(name, 0.0) / amount + 1e-9))
    return max(has.get("cpus", 1.0), 1.0) if math.isinf(least) else least
