"""Records of families: `Range`, consecutive members as they were assigned, and `Piece`, some of them in an executor.

Theory of operation
-------------------
A member is in its range's `rest` while no executor has it, then in a `Piece` in the queue of an executor. It leaves its
range when it has ended, or becomes a `Task` (`rain.governor.core.families.members.materialise`) because it has to be
treated alone. Code that needs only the attributes which all tasks have reads a range like a waiting or ready task, and
a piece like a queued one.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, ClassVar

from rain.common.ids import ID
from rain.common.protocol.messages import FamilyAssignment
from rain.common.spec import Transfer, runs_once, timeout_of
from rain.common.state_tables import states
from rain.governor.states import PHASES, Phase

if TYPE_CHECKING:
    from rain.governor.core.records import Executor, Group, Object, Session
    from rain.governor.estimates import Estimate

BUCKET = 256
"""How many numbers of tasks one entry of `Session.ranges` stands for."""


@states(phase=PHASES)
class Range:
    """A range: consecutive members of a family that were assigned together.

    Attributes
    ----------
    assignment : FamilyAssignment
    id : ID
        Id of the first member; the number of each other is `stride` more than that of the one before.
    count : int
    rest : list of (int, int)
        Members that no executor has, as pairs of places (first, behind the last), in order and apart from each other.
    pieces : list of Piece
        Members that executors have.
    left : int
        How many members are in the rest and the pieces.
    rank : list of float
        Rank of the first member of the rest.
    inputs, function, missing, transfers :
        As in `rain.governor.core.records.Task`; all members have them in common.
    phase : Phase
        `Phase.READY` while there is a rest and all inputs are here, `Phase.QUEUED` while executors have all.
    """

    __slots__ = (
        "arrival",
        "assignment",
        "attempt",
        "count",
        "estimate",
        "function",
        "group",
        "id",
        "inputs",
        "left",
        "missing",
        "phase",
        "pieces",
        "rank",
        "rest",
        "session",
        "stride",
        "transfers",
    )

    def __init__(
        self, assignment: FamilyAssignment, session: Session, group: Group, estimate: Estimate, arrival: int
    ) -> None:
        self.assignment = assignment
        self.id = assignment.spec.id
        self.attempt = assignment.attempt
        self.stride = len(assignment.outputs) + 1
        self.count = self.left = len(assignment.args)
        self.session = session
        self.group = group
        self.estimate = estimate
        self.rank = assignment.rank
        self.arrival = arrival
        self.inputs: list[Object] = []
        self.function: Object | None = None
        self.missing = 0
        self.transfers: list[Transfer] | None = None
        self.rest = [(0, self.count)]
        self.pieces: list[Piece] = []
        self.phase = Phase.WAITING

    @property
    def ready_count(self) -> int:
        """How many members are in the rest."""
        return sum([stop - start for start, stop in self.rest])

    @property
    def timeout(self) -> float | None:
        """Seconds that a member may run."""
        return timeout_of(self.assignment.spec)

    @property
    def solo(self) -> bool:
        """As of `rain.governor.core.records.Task`."""
        return runs_once(self.assignment.spec)

    def member_id(self, place: int) -> ID:
        """The id of a member."""
        session_id, number = self.id
        return ID(session_id, number + place * self.stride)

    def attempts(self, start: int, stop: int) -> list[tuple[ID, int]]:
        """Ids and attempts of the members from place `start` to before `stop`."""
        return [(self.member_id(place), self.attempt) for place in range(start, stop)]

    def place_of(self, number: int) -> int:
        """The place of the member whose id has this number; -1 if there is none."""
        place, off = divmod(number - self.id[1], self.stride)
        return place if not off and 0 <= place < self.count else -1

    def rank_of(self, place: int) -> list[float]:
        """The rank of a member."""
        rank = self.assignment.rank
        return [*rank[:-1], rank[-1] + place] if rank else rank

    def buckets(self) -> range:
        """The keys of the entries of `Session.ranges` that list this range."""
        first = self.id[1]
        return range(first // BUCKET, (first + (self.count - 1) * self.stride) // BUCKET + 1)

    def take(self, count: int) -> tuple[int, int]:
        """Take the first members out of the rest, at most `count`; returns their places."""
        start, stop = self.rest[0]
        if stop - start > count:
            stop = start + count
            self.rest[0] = stop, self.rest[0][1]
        else:
            del self.rest[0]
        self._ranked()
        return start, stop

    def carve(self, place: int) -> bool:
        """Take one member out of the rest; False if it is not there."""
        for index, (start, stop) in enumerate(self.rest):
            if start <= place < stop:
                self.rest[index : index + 1] = [
                    part for part in ((start, place), (place + 1, stop)) if part[0] < part[1]
                ]
                self._ranked()
                return True
        return False

    def give(self, start: int, stop: int) -> None:
        """Put members back into the rest."""
        insort(self.rest, (start, stop))
        joined = self.rest[:1]
        for begin, end in self.rest[1:]:
            if begin == joined[-1][1]:
                joined[-1] = joined[-1][0], end
            else:
                joined.append((begin, end))
        self.rest = joined
        self._ranked()

    def _ranked(self) -> None:
        if self.rest:
            self.rank = self.rank_of(self.rest[0][0])

    def __lt__(self, other: object) -> bool:
        return False  # a heap may have two entries of one range

    def __repr__(self) -> str:
        return f"<Range {self.id} +{self.stride} of {self.count} attempt {self.attempt} {self.phase.value}>"


class Piece:
    """A piece: consecutive members of a range in the queue of an executor.

    Attributes
    ----------
    range : Range
    start, stop : int
        Places of the first member that has not ended and of the one behind the last.
    key : int
        Key in the executor's queue.
    cost : float
        Estimated seconds of each member.
    recalled : bool
        Whether the executor was asked to give the members back.
    seen_place : int
        Place of the member that was seen running last, at `seen_at` for the first time; -1: none.
    """

    __slots__ = ("_offset", "cost", "executor", "key", "range", "recalled", "seen_at", "seen_place", "start", "stop")

    unwanted: ClassVar[bool] = False

    def __init__(self, owner: Range, start: int, stop: int, number: int, executor: Executor, cost: float) -> None:
        self.range = owner
        self.start = start
        self.stop = stop
        self.key = number
        self._offset = number - start
        self.executor = executor
        self.cost = cost
        self.recalled = False
        self.seen_place = -1
        self.seen_at: float | None = None

    @property
    def count(self) -> int:
        """How many members it has."""
        return self.stop - self.start

    @property
    def numbers(self) -> range:
        """The numbers by which the executor knows the members."""
        return range(self.start + self._offset, self.stop + self._offset)

    def number_of(self, place: int) -> int:
        """The number by which the executor knows a member."""
        return place + self._offset

    def place_of(self, number: int) -> int:
        """The place of the member that the executor knows by this number; -1 if there is none in this piece."""
        place = number - self._offset
        return place if self.start <= place < self.stop else -1

    def __repr__(self) -> str:
        return f"<Piece {self.start}:{self.stop} of {self.range!r}>"
