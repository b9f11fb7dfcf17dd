"""The server's record of a governor: its resources, the tasks that are assigned to it, and its objects."""

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
"""How many shapes of resource requests a governor's record remembers its shares of."""


def replica_state(replica: ReplicaState | LocalFile) -> ReplicaState:
    """The state of a governor's replica of an object."""
    return replica if isinstance(replica, ReplicaState) else HELD


@states(state=GOVERNORS)
@states_of_values("objects", REPLICAS, replica_state)
class Governor:
    """One governor.

    Attributes
    ----------
    host : str
        Name of its host; empty: not known.
    total, demand : dict of str to int
        Units that it has, and units that tasks of `Placement.DEMAND` or in `stopping` ask for, which are more than it
        has when it is given work ahead.
    cpus : float
        Its cpus, at least 1: work is divided by them.
    work, follow_work : int
        Estimated microseconds of one cpu that its tasks of `Placement.DEMAND` and of `Placement.FOLLOWER` take.
    assigned : dict of Task to None
        Tasks assigned to it, in the order of assignment; without members of families that have no record of their own.
    shares : dict of TaskFamily to int
        Families of which such members are assigned to it, and the number of their share.
    members : int
        How many such members are assigned to it.
    given : int
        How many tasks were ever assigned to it.
    stopping : dict of (ID, int) to (ResourceRequest, Placement, int)
        Attempts that it was told to end and that have not ended; they use their resources until then.
    hosting : dict of (ID, int) to (Gang, ResourceRequest, int)
        Attempts of gangs of which this governor is a member but not the first, with their load on it.
    objects : dict of Object to (ReplicaState or LocalFile)
    dropping : dict of ID to int
        How many drops of each object it has not confirmed.
    sessions : dict of int to Session
        Sessions that are open at it.
    state : GovernorState
    pool : int
        Number of the pool that it belongs to; 0: none.
    leaving : Leaving or None
        Its departure, if it leaves on purpose.
    arriving : bool
        Whether it has still to tell which objects it took over from governors that died; until then it gets no work.
    store : str
        Name of its store; empty: not told.
    before : list of str
        Names of the stores that it took over from governors that died.
    returns_s : float
        If it dies, its host starts a successor within that time; 0: none is known to be started.
    versions : dict of str to str
        Versions of the libraries that are installed there; empty until it has told them.
    drops, cancels, ends, resends : list
        To be sent to it at the end of the turn: objects to drop, attempts to end, sessions to end, objects whose
        replicas changed while tasks there wait for them.
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
        """Whether tasks may be assigned to it."""
        return self.leaving is None and not self.arriving

    @property
    def count(self) -> int:
        """How many tasks are assigned to it."""
        return len(self.assigned) + self.members

    def can_hold(self, request: ResourceRequest) -> bool:
        """Whether it could run a task with this request if it were idle."""
        total = self.total
        return all(units <= total.get(name, -1) for name, units in request.needs)

    def holds(self, request: ResourceRequest) -> bool:
        """As `can_hold`; the answer is remembered."""
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
