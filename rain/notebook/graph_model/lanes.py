"""When which task ran on which governor: as many lanes as tasks ran there at a time, the bars in each by their start;
and which inputs came there meanwhile.

Tasks are told of in any order, so lanes are laid anew when there is more: see `rain.common.pictures.lanes`. Of large
groups only when a fiftieth more has come; until then what is new is put where there is room.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rain.common.pictures.lanes import lanes_of
from rain.common.spec import Transfer
from rain.notebook.graph_model.records import TaskLike
from rain.notebook.protocol.lookups import LaneKind

LAID_ANEW_MAX = 5000
"""Groups of so many runs are laid anew whenever there is one more."""
FRACTION = 50
MOVED = "moved"
"""What stands for the state of a transfer."""
_FOREVER = float("inf")


class Run(NamedTuple):
    """An attempt of a task, or a transfer of an object; times in seconds since the epoch.

    Attributes
    ----------
    start, seconds : float
    number : int
        Of the task or object.
    state : str
        What is shown of it; `MOVED` of a transfer.
    function : int
        The number of its function, in the order in which functions were first seen; -1 of a transfer.
    ready : float or None
        Since when it could have run, as far as that is known.
    transfer : float
        Seconds that its longest transfer of an input took.
    source : str
        Where a transfer came from.
    size : int
        Its bytes.
    """

    start: float
    seconds: float
    number: int
    state: str
    function: int
    ready: float | None = None
    transfer: float = 0.0
    source: str = ""
    size: int = 0

    @property
    def end(self) -> float:
        """When it ended."""
        return self.start + self.seconds

    @property
    def waited(self) -> float:
        """Seconds for which it was ready and did not run; 0 if that is not known."""
        return 0.0 if self.ready is None else max(0.0, self.start - self.ready)


class Joined(NamedTuple):
    """A bar: one run, or several that are too short to be seen apart.

    Attributes
    ----------
    first : Run
    seconds : float
        From the start of the first to the end of the last.
    state : str
        ``"failed"`` if one failed, else that of the first.
    function : int
        -1 if there are several.
    tasks : int
        How many runs it stands for.
    """

    first: Run
    seconds: float
    state: str
    function: int
    tasks: int


def kind_of(task: TaskLike) -> LaneKind:
    """Which lanes a task belongs to: if it asks for less than a cpu, several can run on one."""
    return "shared" if task.spec.resources.get("cpus", 0) < 1 else "cpu"


class Lane:
    """Runs that followed each other, in the order of their starts."""

    __slots__ = ("ends", "runs")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.ends: list[float] = []

    @property
    def free_from(self) -> float:
        """When the last one ended (seconds since the epoch)."""
        return self.ends[-1] if self.ends else 0.0

    def add(self, run: Run) -> None:
        """Append a run."""
        self.runs.append(run)
        self.ends.append(max(run.end, self.free_from))

    def seen(self, begin: float, end: float, shortest: float) -> Iterator[Joined]:
        """Bars between two times; neighbours that are too short to be seen are one."""
        joined: Joined | None = None
        for run in self.runs[bisect_left(self.ends, begin) :]:
            if run.start > end:
                break
            if joined is not None:
                start = joined.first.start
                close = run.start - (start + joined.seconds) < shortest
                short = run.seconds < shortest or joined.seconds < shortest
                if close and short and run.end - start < 4 * shortest:
                    joined = Joined(
                        joined.first,
                        max(joined.seconds, run.end - start),
                        run.state if run.state == "failed" else joined.state,
                        run.function if run.function == joined.function else -1,
                        joined.tasks + 1,
                    )
                    continue
                yield joined
            joined = Joined(run, run.seconds, run.state, run.function, 1)
        if joined is not None:
            yield joined


class Group:
    """The runs of one governor that share a group of lanes."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._lanes: list[Lane] = []
        self._laid = 0
        self._running: dict[int, int] = {}

    def lanes(self, running: Sequence[Run]) -> tuple[list[Lane], list[int]]:
        """The lanes, and in which of them those are that run now (which are in none yet)."""
        numbers = {run.number for run in running}
        new = len(self.runs) - self._laid
        if new or numbers != self._running.keys():
            count = len(self.runs) + len(running)
            if count <= LAID_ANEW_MAX or new * FRACTION >= count or not running:
                self._lay(running)
            else:
                self._add(running)
        return self._lanes, [self._running[run.number] for run in running]

    def _lay(self, running: Sequence[Run]) -> None:
        runs = self.runs
        spans = [(run.start, run.start + run.seconds) for run in runs]
        found = lanes_of([*spans, *((run.start, _FOREVER) for run in running)])
        self._lanes = [Lane() for _ in range(max(found, default=-1) + 1)]
        for place in sorted(range(len(runs)), key=spans.__getitem__):
            self._lanes[found[place]].add(runs[place])
        self._laid = len(runs)
        self._running = {run.number: lane for run, lane in zip(running, found[len(runs) :], strict=True)}

    def _add(self, running: Sequence[Run]) -> None:
        """Put what is new to the others, without laying them anew: each where there is room first."""
        busy = {run.number: self._running[run.number] for run in running if run.number in self._running}
        taken = set(busy.values())
        for run in self.runs[self._laid :]:
            own = self._running.get(run.number)
            self._lanes[self._free(taken) if own is None or own in taken else own].add(run)
        self._laid = len(self.runs)
        for run in running:
            if run.number not in busy:
                busy[run.number] = self._free(taken)
                taken.add(busy[run.number])
        self._running = busy

    def _free(self, taken: set[int]) -> int:
        """A lane in which none of those that run now is: the one that is free for longest, or a new one."""
        free = [lane for lane in range(len(self._lanes)) if lane not in taken]
        if not free:
            self._lanes.append(Lane())
            return len(self._lanes) - 1
        return min(free, key=lambda lane: self._lanes[lane].free_from)


class Lanes:
    """The runs of all governors.

    Attributes
    ----------
    groups : dict of (str, str) to Group
        By governor and kind of lane.
    begin, end : float or None
        Seconds since the epoch: of the first start and the last end.
    """

    def __init__(self) -> None:
        self.groups: dict[tuple[str, LaneKind], Group] = {}
        self.begin: float | None = None
        self.end: float | None = None
        self._waits = Waits()
        self._moves: set[tuple[str, int, float]] = set()

    def add(self, governor: str, kind: LaneKind, run: Run) -> None:
        """A task ran there, or an object came there."""
        self.groups.setdefault((governor, kind), Group()).runs.append(run)
        self.begin = run.start if self.begin is None else min(self.begin, run.start)
        self.end = run.end if self.end is None else max(self.end, run.end)
        if run.ready is not None and run.ready < run.start:
            self._waits.add(run.ready, run.start)

    def add_transfer(self, governor: str, transfer: Transfer) -> None:
        """An object came there; each task that waited for it tells so."""
        number = transfer.id.id
        move = (governor, number, transfer.start_time)
        if move not in self._moves:
            self._moves.add(move)
            start, seconds = transfer.start_time, transfer.duration
            run = Run(start, seconds, number, MOVED, -1, source=transfer.source, size=transfer.size)
            self.add(governor, "transfers", run)

    def group(self, governor: str, kind: LaneKind) -> Group:
        """The runs of a governor that share a group of lanes; none if there is no such group yet."""
        return self.groups.get((governor, kind)) or Group()

    def waiting(self, at: float) -> int:
        """How many of the tasks that have run were ready at that time, and did not run."""
        return self._waits.count(at)


class Waits:
    """Spans of time for which tasks waited."""

    def __init__(self) -> None:
        self._begins: list[float] = []
        self._ends: list[float] = []
        self._sorted = True

    def add(self, begin: float, end: float) -> None:
        """One more."""
        self._begins.append(begin)
        self._ends.append(end)
        self._sorted = False

    def count(self, at: float) -> int:
        """How many go on at that time."""
        if not self._sorted:
            self._begins.sort()
            self._ends.sort()
            self._sorted = True
        return bisect_right(self._begins, at) - bisect_right(self._ends, at)
