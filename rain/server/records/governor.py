"""The server's record of a governor: what it has, what is assigned to it, and what it is estimated to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.ids import ID
from rain.common.limits import AHEAD_TASKS_MAX
from rain.common.location import LocalFile
from rain.common.protocol.messages import Register
from rain.common.state_tables import states, states_of_values
from rain.server.records.resources import to_units
from rain.server.states import GOVERNORS, HELD, REPLICAS, GovernorState, Placement, ReplicaState

if TYPE_CHECKING:
    from rain.server.records.data_object import Object
    from rain.server.records.family import TaskFamily
    from rain.server.records.gang import Gang
    from rain.server.records.leaving import Leaving
    from rain.server.records.resources import ResourceRequest
    from rain.server.records.session import Session
    from rain.server.records.task import Task

SHARES_MAX = 1024
"""Shapes whose share of a governor is remembered."""


def replica_state(replica: ReplicaState | LocalFile) -> ReplicaState:
    """The state of what a governor has of an object."""
    return replica if isinstance(replica, ReplicaState) else HELD


@states(state=GOVERNORS)
@states_of_values("objects", REPLICAS, replica_state)
class Governor:
    """One governor.

    Attributes
    ----------
    host : str
        What its host calls itself; empty: not known.
    total, demand : dict of str to int
        Units that it has, and that tasks of `Placement.DEMAND` or in `stopping` ask for (more than it has: work
        ahead).
    cpus : float
        At least 1, to measure work by.
    work, follow_work : int
        Estimated microseconds of one cpu that its tasks of `Placement.DEMAND` and of `Placement.FOLLOWER` take.
    assigned : dict of Task to None
        In the order of assignment; without members of families that have no record of their own.
    shares : dict of TaskFamily to int
        Families of which such members are assigned here, and the number of their share.
    members : int
        How many these members are.
    given : int
        How many tasks it was ever assigned.
    stopping : dict of (ID, int) to (ResourceRequest, Placement, int)
        Attempts that were told to end and have not yet; they use their resources until then.
    hosting : dict of (ID, int) to (Gang, ResourceRequest, int)
        Attempts on several governors of which this one is a member, with their load here.
    objects : dict of Object to (ReplicaState or LocalFile)
    dropping : dict of ID to int
        Drops that it has not confirmed.
    sessions : dict of int to Session
        Sessions opened there.
    state : GovernorState
    pool : int
        Number of the pool that it belongs to; 0: none.
    leaving : Leaving or None
        Of one that leaves on purpose.
    arriving : bool
        It has not told yet all that it has from governors that died; until then it gets no work.
    store : str
        Name of what it keeps objects in; empty: not told.
    before : list of str
        The stores of governors that died, which it has taken over.
    returns_s : float
        If it dies, its host starts another one in its place within that time; 0: not as far as is known.
    versions : dict of str to str
        Of the libraries installed there; empty until it has told them.
    drops, cancels, ends, resends : list
        What it is sent at the end of the turn: objects to drop, attempts to end, sessions to end, objects whose
        places changed while tasks there wait for them.
    """

    __slots__ = (
        "_shares",
        "arriving",
        "assigned",
        "before",
        "cancels",
        "cpus",
        "demand",
        "dropping",
        "drops",
        "ends",
        "follow_work",
        "given",
        "host",
        "host_id",
        "hosting",
        "id",
        "leaving",
        "load",
        "members",
        "objects",
        "order",
        "pool",
        "resends",
        "resources",
        "returns_s",
        "sessions",
        "shares",
        "state",
        "stopping",
        "store",
        "tasks_max",
        "total",
        "versions",
        "work",
    )

    def __init__(self, register: Register, order: int) -> None:
        self.id = register.governor_id
        self.pool = 0
        self.host_id = register.host_id
        self.host = register.host
        self.order = order
        self.resources = register.resources
        self.total = {name: to_units(amount) for name, amount in register.resources.items()}
        self.total.update({f"executor {name}": 0 for name in register.executors})
        self.demand = dict.fromkeys(self.total, 0)
        self.cpus = max(1.0, register.resources.get("cpus", 0.0))
        self.tasks_max = int(AHEAD_TASKS_MAX * self.cpus)
        self.work = 0
        self.follow_work = 0
        self.given = 0
        self.assigned: dict[Task, None] = {}
        self.shares: dict[TaskFamily, int] = {}
        self.members = 0
        self.hosting: dict[tuple[ID, int], tuple[Gang, ResourceRequest, int]] = {}
        self.stopping: dict[tuple[ID, int], tuple[ResourceRequest, Placement, int]] = {}
        self.objects: dict[Object, ReplicaState | LocalFile] = {}
        self.dropping: dict[ID, int] = {}
        self.sessions: dict[int, Session] = {}
        self.state = GovernorState.REGISTERED
        self.leaving: Leaving | None = None
        self.store = register.store
        self.before = register.before
        self.arriving = bool(register.before)
        self.returns_s = register.returns_s
        self.drops: list[ID] = []
        self.cancels: list[tuple[ID, int]] = []
        self.ends: list[int] = []
        self.resends: list[Object] = []
        self.load: dict[str, float] = {}
        self.versions: dict[str, str] = {}
        self._shares: dict[ResourceRequest, float] = {}

    @property
    def takes_work(self) -> bool:
        """Whether tasks may be given to it."""
        return self.leaving is None and not self.arriving

    @property
    def count(self) -> int:
        """How many tasks are assigned here."""
        return len(self.assigned) + self.members

    def can_hold(self, request: ResourceRequest) -> bool:
        """Whether it could run such a task if it were empty."""
        total = self.total
        return all(units <= total.get(name, -1) for name, units in request.needs)

    def holds(self, request: ResourceRequest) -> bool:
        """As `can_hold`, remembered."""
        return self._share(request) >= 0.0

    def load_of(self, request: ResourceRequest, us: int) -> int:
        """What a task of `us` microseconds adds to `work`: the greatest share of it that it takes, in cpus."""
        return int(us * self._share(request)) + 1

    def _share(self, request: ResourceRequest) -> float:
        share = self._shares.get(request)
        if share is None:
            share, total = -1.0, self.total
            if self.can_hold(request):
                share = self.cpus * max((units / total[name] for name, units in request.needs if units), default=0.0)
            if len(self._shares) >= SHARES_MAX:
                self._shares.clear()
            self._shares[request] = share
        return share

    def __repr__(self) -> str:
        return f"<Governor {self.id}>"
