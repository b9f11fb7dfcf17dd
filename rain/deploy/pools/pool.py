"""`Pool`: governors in places of an engine, as many as are asked for.

Theory of operation
-------------------
A place is what the engine runs for one governor, which dials out to the server. What starts places, shows them and ends
them is a `Supplier`; decisions are in `rain.deploy.pools.places`. A thread asks the supplier for all jobs at once,
seldom, and still more seldom while all places are up. A place that ends before its governor has registered has its
reason told: what it printed stays.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rain.common.errors import RainException, RainWarning
from rain.common.jupyter import display_hooks
from rain.common.limits import ENGINE_END_S, ENGINE_SILENT_S, PLACE_COMES_S, PLACES_MAX
from rain.common.protocol.messages import Offer
from rain.deploy.pools.accounting import CoreSeconds
from rain.deploy.pools.elastic import Elastic, PoolServer, rules_of
from rain.deploy.pools.places import Place, PlaceState, is_coming, look, registered, settled, to_leave, wanted
from rain.deploy.pools.scaling import Rules
from rain.deploy.pools.supplier import AsksAhead, Supplier, SuppliesMany, Supply
from rain.net.auth import Credentials
from rain.processes.elsewhere.causes import cause_of

_AGAIN_S = 1.0
"""Between two lists of an engine that are compared: one that is asked again at once may not have been made anew."""
_COMING_MAX = 10
"""Of how many places it is looked, between looks at the engine, whether their governors have registered."""
_HURRY_S = 0.01
"""How often, while one is known to have."""


class Pool:
    """Places on an engine, with a governor in each. `Client.pool` and `Client.on` make it.

    Parameters
    ----------
    supplier : Supplier
        What starts places.
    server : PoolServer or None
        Which is told what the pool offers, and tells how much work waits; None: it cannot adapt.

    Attributes
    ----------
    used_before_core_s : float
        Cpu-seconds that earlier pools of its name have used.
    left_before : int
        Number of places that those have left behind: an elastic pool has so many fewer.
    on_closed : callable
        Called at the end of `close`, also of a repeated one.
    name : str
        Of the pools whose core-hours are counted together: the engine's, unless the user gave one.
    id : str
        By which ``rain pool`` names it; empty as long as it has no record on disk.

    Examples
    --------
    ::

        pool = client.pool("slurm", 4, cpus=16, time="2:00:00", partition="main")
        pool.wait(1)                      # until the first place is up
        pool.scale(8)
        pool.adapt(0, 50, idle="5m")      # from now on as many as waiting work is worth
        print(pool.places)
        pool.close()
    """

    def __init__(self, supplier: Supplier, server: PoolServer | None = None) -> None:
        self._supplier = supplier
        self._elastic = None if server is None else Elastic(self, server)
        self.used_before_core_s = 0.0
        self.left_before = 0
        self.name = supplier.name
        self.id = ""
        self.on_closed: Callable[[], None] = lambda: None
        self._pid = os.getpid()
        self._numbers = itertools.count(1)  # also of jobs that were refused, whose files may be there
        self._places: list[Place] = []
        self._trouble = ""
        self._hurry_until = 0.0
        self._watchers: list[Callable[[], None]] = []
        self._told_at = time.monotonic()
        self._core_seconds = CoreSeconds(supplier.resources.get("cpus", 1.0))
        self._looked_at = -math.inf
        self._closed = False
        self._change = threading.Condition()
        self._looking = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="rain-pool", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        counts: dict[str, int] = {}
        for place in self.places:
            counts[place.state.value] = counts.get(place.state.value, 0) + 1
        told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no places"
        state = "; closed" if self._closed else "; its server is lost" if self._lost else ""
        return f"<Pool on {self.engine}: {told}{state}>"

    def _ipython_display_(self) -> None:
        display_hooks.show("pools", [self])

    def _repr_html_(self) -> str | None:
        return display_hooks.html("pools", [self])

    @property
    def engine(self) -> str:
        """What the places are on."""
        return self._supplier.name

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @property
    def places(self) -> list[Place]:
        """All places that there were, in the order in which they were asked for."""
        return list(self._places)  # at once, also while `scale` waits for the engine

    @property
    def used_core_s(self) -> float:
        """Seconds times cpus that all places have used until now."""
        return self._core_seconds.until(time.monotonic())

    @property
    def most(self) -> int:
        """How many places there can be at a time."""
        return self._supplier.most

    @property
    def resources(self) -> dict[str, float]:
        """What the governor in each place has."""
        return dict(self._supplier.resources)

    @property
    def offer(self) -> Offer | None:
        """What it may bring, as the server is told; None if nothing."""
        return None if self._elastic is None else self._elastic.offer()

    @property
    def closed(self) -> bool:
        """Whether it asks for no further places."""
        return self._closed

    @property
    def trouble(self) -> str:
        """Why the engine does not tell what became of the places, or an elastic pool cannot do as it should; empty as
        long as there is nothing."""
        elastic = self._elastic
        return self._trouble or ("" if elastic is None else elastic.lost or elastic.trouble or elastic.spent)

    @property
    def _lost(self) -> str:
        """Why there is no server any more for which places could be asked for; empty as long as there is."""
        return "" if self._elastic is None else self._elastic.lost

    @property
    def rules(self) -> Rules | None:
        """By which it grows and shrinks; None if it does not by itself."""
        return None if self._elastic is None else self._elastic.rules

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have a function called when something about the places has changed.

        Parameters
        ----------
        changed : callable
            Called without arguments, in any thread; it may read the pool, and returns at once.

        Returns
        -------
        callable
            Ends that.
        """
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed) if changed in self._watchers else None

    def scale(self, count: int) -> None:
        """Ask for as many places as make `count` with those that are there, or give some up; ends `adapt`.

        What waits is given up first. A governor that runs leaves politely: what it runs may finish, and what only it
        holds is handed over.

        Parameters
        ----------
        count : int
            Number of places.

        Raises
        ------
        RainException
            If `count` is no such number, the pool is closed, or the engine refuses; its words are in the text.
        """
        most = self.most
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= most:
            limit = "PLACES_MAX, " if most == PLACES_MAX else ""
            raise RainException(f"the number of places on {self.engine} is from 0 to {limit}{most}, not {count!r}")
        self._look_if_stale()
        with self._change:
            if self._closed or self._lost:
                raise RainException(f"{self!r} cannot be scaled{self._lost and f': {self._lost}'}")
            if self._elastic is not None:
                self._elastic.stop()
            self._give_up(to_leave(self._places, count))
            self._submit(count - sum(map(wanted, self._places)))
            self._tell()

    def admit(self, credentials: Credentials) -> None:
        """The server is up by now, and lets governors in that have this key: those that have started wait for it.

        Raises
        ------
        RainException
            If they cannot be told.
        """
        assert isinstance(self._supplier, AsksAhead)
        self._supplier.admit(credentials.token("governor"))
        with self._change:
            self._tell()

    def adapt(
        self, minimum: int = 0, maximum: int | None = None, idle: float | str = "5m", core_hours: float | None = None
    ) -> None:
        """Have as many places as waiting work is worth from now on, until `scale` or `close`.

        What counts is the work that waits at Rain's server, how long the same code took before, what the transfer of
        its inputs took, and how long the engine let places wait. Places are asked for at once when they are worth it.

        Parameters
        ----------
        minimum, maximum : int
            Numbers of places; None: as many as the engine may have. Places that earlier pools of the same name have
            left behind count.
        idle : float or str
            How long places that are not needed stay at most: seconds, or a text as ``"5m"``. They stay for less where
            work has come back later than that, or a new place comes soon. They leave as `scale` lets them.
        core_hours : float, optional
            Hours times cpus that all places together may use, with those of earlier runs of this pool. Then all
            of them leave.

        Raises
        ------
        RainException
            If one of them has no meaning, or the pool is closed.

        Examples
        --------
        ::

            pool.adapt(0, 50, idle="5m", core_hours=1000)
        """
        rules = rules_of(self.engine, self.most, minimum, maximum, idle, core_hours)
        rules = rules._replace(maximum=max(rules.minimum, rules.maximum - self.left_before))
        with self._change:
            if self._closed or self._elastic is None or self._lost:
                raise RainException(f"{self!r} cannot adapt{self._lost and f': {self._lost}'}")
            self._elastic.adapt(rules)
            self._tell()
        if self._elastic.spent:
            warnings.warn(f"{self!r} asks for no places: {self._elastic.spent}", RainWarning, stacklevel=2)

    def change(self, more: int, fewer: Iterable[int], unless: Callable[[], bool]) -> None:
        """Ask for `more` places and give up those numbered `fewer`; nothing if the pool is closed or `unless` holds.

        Raises
        ------
        RainException
            If the engine refuses; its words are in the text.
        """
        numbers = set(fewer)
        with self._change:
            if self._closed or self._lost or unless() or not (more or numbers):
                return
            try:
                self._give_up([place for place in self._places if place.number in numbers and wanted(place)])
                self._submit(min(more, self.most - sum(map(wanted, self._places))))
            finally:
                self._tell()

    def give_up_waiting(self) -> None:
        """Give up the places whose governors are not up.

        Raises
        ------
        RainException
            If the engine refuses; its words are in the text.
        """
        with self._change:
            if waiting := [place for place in self._places if is_coming(place)]:
                self._give_up(waiting, at_once=True)
                self._tell()

    def end_jobs(self, places: Sequence[Place]) -> None:
        """Have the engine end places whose governors were to leave by themselves."""
        with self._change:
            self._supplier.give_up([place.job for place in places if place.state is not PlaceState.ENDED])

    def give_up(self, numbers: Iterable[int]) -> None:
        """Give up some places; a governor that runs in one leaves politely.

        Parameters
        ----------
        numbers : iterable of int
            Of places, as `Place.number`.

        Raises
        ------
        RainException
            If there is no such place, or the engine refuses; its words are in the text.
        """
        asked = set(numbers)
        with self._change:
            known = {place.number: place for place in self._places}
            if missing := sorted(asked - known.keys()):
                raise RainException(f"{self!r} has no place {', '.join(map(str, missing))}")
            self._give_up([place for number, place in known.items() if number in asked and wanted(place)])
            self._tell()

    def wait(self, count: int = 1, timeout: float | None = None) -> None:
        """Return when `count` places are up.

        Parameters
        ----------
        count : int
            Number of places.
        timeout : float, optional
            Seconds.

        Raises
        ------
        RainException
            If so many cannot come any more, with what their jobs printed, or the engine has not told what became
            of jobs for two minutes.
        TimeoutError
            If they are not up within `timeout`; says what the places wait for.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._change:
            while sum(place.state is PlaceState.UP for place in self._places) < count:
                if self._lost:
                    raise RainException(f"{count} places cannot come up: {self._lost}")
                if sum(map(wanted, self._places)) < count:
                    raise RainException(f"{count} places cannot come up: {self._story()}")
                if self._trouble and time.monotonic() - self._told_at > ENGINE_SILENT_S:
                    raise RainException(f"{self.engine} does not tell what became of jobs: {self._story()}")
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"{count} places are not up within {timeout:g} s: {self._story()}")
                self._change.wait(left)

    def close(self) -> None:
        """Give up all places; the jobs end. Idempotent.

        Raises
        ------
        RainException
            If the engine refuses; its words are in the text.
        """
        self._close(lambda place: True)
        if os.getpid() == self._pid:
            self.on_closed()

    def dismissed(self) -> None:
        """Close it after its governors were told to end: their jobs end by themselves, waiting ones are given up."""
        self._close(lambda place: place.state is not PlaceState.UP)
        if os.getpid() != self._pid:
            return
        with self._change:
            self._change.wait_for(lambda: not any(map(wanted, self._places)), ENGINE_END_S)
            self._give_up([place for place in self._places if wanted(place)], at_once=True)
        self.on_closed()

    def _close(self, given_up: Callable[[Place], bool]) -> None:
        if os.getpid() != self._pid:
            return  # a child forked of the client: the jobs are its parent's
        with self._change:
            leaving = [] if self._elastic is None else self._elastic.leaving()
            self._closed = True
            try:
                self._supplier.close()
            finally:  # what it refuses is told when the jobs were ended
                self._tell()
                going = [place for place in self._places if wanted(place) and given_up(place)]
                self._give_up([*going, *leaving], at_once=True)
                if self._elastic is not None:
                    self._elastic.have_ended(leaving)
                self._tell()

    def _tell(self) -> None:
        self._core_seconds.note(self._places, time.monotonic())
        self._change.notify_all()
        for changed in list(self._watchers):
            changed()

    # -- jobs -----------------------------------------------------------------------------------

    def _submit(self, count: int) -> None:
        numbers = list(itertools.islice(self._numbers, max(0, count)))
        if isinstance(self._supplier, SuppliesMany) and len(numbers) >= self._supplier.many:
            jobs = self._supplier.ask_many(numbers)
            now = time.monotonic()
            self._places += [Place(number, job, now) for number, job in zip(numbers, jobs, strict=True)]
            self._tell()
            return
        for number in numbers:
            self._places.append(Place(number, self._supplier.ask(number), time.monotonic()))
            self._tell()

    def _give_up(self, places: Sequence[Place], at_once: bool = False) -> None:
        """What waits is cancelled; a governor that is up leaves by its server's word, and what only it holds moves."""
        politely = [] if at_once or self._elastic is None else [one for one in places if one.state is PlaceState.UP]
        if cancelled := [place for place in places if place not in politely]:
            self._supplier.give_up([place.job for place in cancelled])
        if politely and self._elastic is not None:
            self._elastic.let_go(politely)
        for place in places:
            place.state, place.given_up = PlaceState.LEAVING, True

    # -- what becomes of them -------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            with self._change:
                there = any(place.state is not PlaceState.ENDED for place in self._places)
                if not there and self._closed:
                    break
            now = time.monotonic()
            if not there:
                self._told_at = now
            elif now - self._looked_at >= self._look_s() or self._elastic is None:  # else only the server is asked
                self._look()
            self._turn()
            self._pause()
        self._turn()
        self._tidy()

    def _turn(self) -> None:
        if self._elastic is not None:
            try:
                self._elastic.turn()
            except Exception as error:  # no room for a script, say: the thread goes on, and `explain` tells it
                self._elastic.trouble = f"{type(error).__name__}: {error}"

    def _look_s(self) -> float:
        idle = settled(self._places, time.time()) and not self._closed
        return self._supplier.idle_look_s if idle else self._supplier.look_s

    def _pause(self) -> None:
        """Wait until something changes, a look is due, or a governor has registered: that is known before the engine
        tells anything."""
        with self._change:
            left = self._pause_s()
            due = None if left is None else time.monotonic() + left
            while due is None or time.monotonic() < due:
                # One that was put back into the queue has a governor, and its file says nothing until it runs again.
                coming = [place for place in self._places if is_coming(place) and not place.governor]
                limits = [] if due is None else [max(0.0, due - time.monotonic())]
                if coming:
                    limits.append(_HURRY_S if time.monotonic() < self._hurry_until else PLACE_COMES_S)
                if self._change.wait(min(limits, default=None)):
                    return
                if self._note_come(coming[:_COMING_MAX]):
                    return

    def _note_come(self, coming: Sequence[Place]) -> bool:
        come = False
        for place in coming:
            if governor := self._supplier.governor(place.number):
                registered(place, governor)
                come = True
        if come:
            self._looked_at = -math.inf  # when its time is over is the engine's to tell
            self._tell()
        return come

    def governors_counted(self) -> None:
        """The server has another number of governors. One may be a place's, which says in a moment that it is there.

        In any thread; returns at once.
        """
        self._hurry_until = time.monotonic() + PLACE_COMES_S
        if self._change.acquire(blocking=False):  # else it waits for the engine, and looks by itself
            try:
                self._change.notify_all()
            finally:
                self._change.release()

    def _pause_s(self) -> float | None:
        """How long the thread may wait unless something changes; None: for any time."""
        there = any(place.state is not PlaceState.ENDED for place in self._places)
        if self._closed and not there:
            return 0.0
        due = self._looked_at + self._look_s() - time.monotonic()
        limits = [max(0.0, due)] if there else []
        if self._elastic is not None and self._elastic.interval_s is not None:
            limits.append(self._elastic.interval_s)
        return min(limits, default=None)

    def _look_if_stale(self) -> None:
        """What is decided now is not decided by a look of half a minute ago."""
        if self._closed:
            return
        if time.monotonic() - self._looked_at > self._supplier.look_s:
            self._look()
        if any(place.missed and wanted(place) and place.state is not PlaceState.ASKED for place in self.places):
            time.sleep(min(_AGAIN_S, self._supplier.look_s))  # the next list decides whether it has ended
            self._look()

    def _look(self) -> None:
        with self._looking:  # one at a time: an older list must not undo what a newer one told
            jobs = [place.job for place in self.places if place.state is not PlaceState.ENDED]
            if jobs:
                self._look_at(jobs)
                self._looked_at = time.monotonic()

    def _look_at(self, jobs: Sequence[str]) -> None:
        asked = set(jobs)
        try:
            shown = self._supplier.show(jobs)
            there = {place.number: self._supplier.governor(place.number) for place in self.places if place.job in asked}
        except Exception as error:  # whatever an engine said: the thread goes on, and `wait` tells it
            self._trouble = str(error) if isinstance(error, RainException) else f"{type(error).__name__}: {error}"
            with self._change:
                self._tell()
            return
        before = (self._trouble, *map(_shown, self.places))
        self._trouble, self._told_at = "", time.monotonic()
        with self._change:
            for place in self._places:
                if place.number in there:
                    look(place, shown, there[place.number], time.time())
                    if place.state is PlaceState.ENDED and not place.governor:
                        place.printed = self._supplier.printed(place.number)
                        place.cause = cause_of(place.printed)
            if before == (self._trouble, *map(_shown, self.places)):
                self._change.notify_all()
            else:
                self._tell()

    def _tidy(self) -> None:
        self._supplier.tidy(keep=not all(place.governor for place in self._places))

    def _story(self) -> str:
        lines = [f"{place!r}" for place in self._places if place.state is not PlaceState.UP] or [
            "no places were asked for"
        ]
        for place in self._places:
            lines += [f"place {place.number}: {place.cause}"] if place.cause else []
            lines += [f"place {place.number} printed:\n{place.printed}"] if place.printed else []
        lines += [self._trouble] if self._trouble else []
        return "\n".join(lines)


def _shown(place: Place) -> tuple[object, ...]:
    return place.state, place.reason, place.starts_at, place.ends_at, place.governor, place.printed


def pool_of(supply: Supply, server: str, credentials: Credentials | None, ties: PoolServer | None = None) -> Pool:
    """A pool without places.

    Parameters
    ----------
    supply : Supply
        See `rain.deploy.pools.choice.supply_of`.
    server : str
        ``host:port`` of the server.
    credentials : Credentials or None
        With the governors' key; None while the server still starts: then `Pool.admit` brings it.
    ties : PoolServer or None
        See `Pool`.

    Raises
    ------
    RainException
        If hosts of the engine cannot reach the server.
    """
    return Pool(supply(server, "" if credentials is None else credentials.token("governor")), ties)
