"""The server's records: sessions, clients, governors, tasks, objects.

Records of waiting tasks are what the server's memory is made of, hence slots, shared ids and strings, and
`Object.consumers`, which is nothing, a task, or a dict of tasks. `rain.server.graph` says how they hang together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from rain.common.ids import ID
from rain.common.limits import AHEAD_TASKS_MAX
from rain.common.location import Inline, LocalFile, Stored
from rain.common.protocol.messages import GetOutput, Register, SessionEnv, TaskOutput
from rain.common.spec import ObjectInfo, ObjectSpec, TaskError, TaskInfo, TaskSpec
from rain.common.state_tables import states, states_of_values
from rain.common.states import DATA_OBJECTS, TASKS, DataObjectState, TaskState
from rain.server.environments import Environments
from rain.server.states import (
    CLIENTS,
    GOVERNORS,
    PLACEMENTS,
    REPLICAS,
    RETENTIONS,
    ROLES,
    SESSIONS,
    ClientState,
    GovernorState,
    Placement,
    ReplicaState,
    Retention,
    Role,
    SessionState,
)

UNPLACED, DELAYED, QUEUED = Placement.UNPLACED, Placement.DELAYED, Placement.QUEUED
FOLLOWER, DEMAND = Placement.FOLLOWER, Placement.DEMAND
FIRST_RUN, RETAINED, RECOMPUTING = Retention.FIRST_RUN, Retention.RETAINED, Retention.RECOMPUTING
RELEASED, FORGOTTEN = Retention.RELEASED, Retention.FORGOTTEN
WAITING, READY, RUNNING = TaskState.WAITING, TaskState.READY, TaskState.RUNNING
FINISHED, FAILED, CANCELLED = TaskState.FINISHED, TaskState.FAILED, TaskState.CANCELLED
OBJ_UNFINISHED, OBJ_FINISHED = DataObjectState.UNFINISHED, DataObjectState.FINISHED
OBJ_REMOVED, OBJ_FAILED = DataObjectState.REMOVED, DataObjectState.FAILED

UNITS = 1_000_000
"""Resources are counted in whole units of a millionth, so that sums of fractions come back to zero."""

AMOUNT_MAX = 1e18
"""Largest amount of a resource."""

UNKNOWN_DURATION_US = 50_000
"""Estimate for a function that has not run yet."""
OVERHEAD_US = 100
"""What a task costs a cpu beside its own code."""
SHARES_MAX = 1024
"""Shapes whose share of a governor is remembered."""


def to_units(amount: float) -> int:
    """A resource's amount in whole units; what is asked for is never rounded to nothing."""
    return max(1, round(min(amount, AMOUNT_MAX) * UNITS)) if amount > 0 else 0


class ResourceRequest:
    """What tasks of one session ask of a governor; equal requests share one record.

    Attributes
    ----------
    resources : dict of str to float
        As declared, shared by all specs.
    needs : tuple of (str, int)
        Names and units; an executor type of governors' configurations is a name with 0 units.
    executor : str or None
        That type.
    session : Session
    version : int
        The `Graph.version` at which a governor was here that could hold it.
    """

    __slots__ = ("cpus", "executor", "needs", "resources", "session", "version")

    def __init__(self, resources: dict[str, float], executor: str | None, session: Session) -> None:
        self.session = session
        self.resources = resources
        self.executor = executor
        needs = [(name, to_units(amount)) for name, amount in sorted(resources.items()) if amount > 0]
        if executor is not None:
            needs.append((f"executor {executor}", 0))
        self.needs = tuple(needs)
        self.cpus = resources.get("cpus", 0.0)
        self.version = -1


class DurationEstimate:
    """What tasks that run the same code have cost so far."""

    __slots__ = ("count", "us")

    def __init__(self) -> None:
        self.us = UNKNOWN_DURATION_US
        self.count = 0

    def add(self, seconds: float) -> None:
        """Take a measurement."""
        measured = int(min(max(seconds, 0.0), 1e6) * 1e6) + OVERHEAD_US
        self.count += 1
        # The average follows changes; the first measurements count fully.
        self.us += (measured - self.us) // min(self.count, 8)


@states(state=TASKS, placement=PLACEMENTS, retention=RETENTIONS)
class Task:
    """One submitted task.

    Attributes
    ----------
    inputs : tuple of Object
        Distinct inputs, the function last.
    pending : int
        How many of them are not finished (meaningful while unsettled).
    rank : int
        Length of the longest chain of tasks that starts here, in its submit.
    order : int
        Counts tasks as they were submitted.
    attempt : int
        Number of the present or last assignment, 0 before the first.
    load : int
        What it adds to its governor's `work` (microseconds of one cpu).
    governor : Governor or None
        Where it is assigned.
    placement : Placement
        Where it is on its way to a governor.
    retention : Retention
        What this record is kept for.
    news : bool
        Whether the client is to be told of it at the end of the turn.
    """

    __slots__ = (
        "attempt",
        "error",
        "estimate",
        "governor",
        "id",
        "info",
        "inputs",
        "load",
        "news",
        "order",
        "outputs",
        "pending",
        "placement",
        "rank",
        "request",
        "retention",
        "session",
        "spec",
        "state",
    )

    def __init__(
        self,
        spec: TaskSpec,
        session: Session,
        request: ResourceRequest,
        estimate: DurationEstimate,
        inputs: tuple[Object, ...],
    ) -> None:
        self.id = spec.id
        self.spec = spec
        self.session = session
        self.request = request
        self.estimate = estimate
        self.inputs = inputs
        self.outputs: tuple[Object, ...] = ()
        self.state = WAITING
        self.pending = 0
        self.rank = 1
        self.order = 0
        self.attempt = 0
        self.governor: Governor | None = None
        self.placement = UNPLACED
        self.retention = FIRST_RUN
        self.load = 0
        self.info: TaskInfo | None = None
        self.error: TaskError | None = None
        self.news = False

    @property
    def unsettled(self) -> bool:
        """Whether it still moves by itself."""
        state = self.state
        return state is WAITING or state is READY or state is RUNNING

    @property
    def runs_once(self) -> bool:
        """Whether its user forbade a second run."""
        return self.spec.options is not None and self.spec.options.rerun == "never"

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.spec.name or self.spec.task_type} ({self.id})"

    def __repr__(self) -> str:
        return f"<Task {self.id} {self.state.value}>"


@states(state=DATA_OBJECTS, role=ROLES)
class Object:
    """One submitted data object.

    Attributes
    ----------
    producer : Task or None
        None for constants, and once the producer was released.
    role : Role
    consumers : None, Task, or dict of Task to None
        The unsettled tasks that have it as an input; not recorded for constants, which never become unfinished.
    needs : int
        How many unsettled and failed tasks have it as an input (those that were forgotten left out).
    lineage : int
        How many finished tasks that are kept for lineage have it as an input (not counted for constants that stay).
    location : Inline or LocalFile or None
        What the server itself has of it: bytes in memory, or its own file of a large constant.
    checksum : int or None
        xxh3-64 of a blob's bytes, whoever holds them.
    size : int
        Bytes, 0 while unknown.
    sites : tuple of Governor
        Governors that hold or know it: those in whose `objects` it is.
    """

    __slots__ = (
        "checksum",
        "consumers",
        "id",
        "info",
        "kept",
        "lineage",
        "location",
        "needs",
        "news",
        "producer",
        "role",
        "session",
        "sites",
        "size",
        "spec",
        "state",
    )

    def __init__(self, spec: ObjectSpec, session: Session) -> None:
        self.id = spec.id
        self.spec = spec
        self.session = session
        self.producer: Task | None = None
        self.role = Role.OUTPUT
        self.consumers: Task | dict[Task, None] | None = None
        self.needs = 0
        self.lineage = 0
        self.kept = False
        self.state = OBJ_UNFINISHED
        self.info: ObjectInfo | None = None
        self.size = 0
        self.location: Stored | None = None
        self.checksum: int | None = None
        self.sites: tuple[Governor, ...] = ()
        self.news = False

    @property
    def constant(self) -> bool:
        """Whether its client gave it."""
        return self.role is not Role.OUTPUT

    @property
    def needed(self) -> bool:
        """Whether somebody wants its data."""
        return self.kept or self.needs > 0

    @property
    def inline_bytes(self) -> int:
        """Bytes of it that the server has in memory."""
        location = self.location
        return len(location.data) if type(location) is Inline else 0

    @property
    def safe(self) -> bool:
        """Whether no governor's loss can take its data."""
        return self.location is not None or self.constant

    @property
    def stays(self) -> bool:
        """Whether it is there as long as its session, so that nobody counts its users for lineage."""
        return self.role is Role.CONSTANT or self.role is Role.FUNCTION

    def waiting(self) -> Sequence[Task]:
        """The unsettled tasks that have it as an input."""
        consumers = self.consumers
        if consumers is None:
            return ()
        if isinstance(consumers, dict):
            return list(consumers)
        return (consumers,)

    def add_consumer(self, task: Task) -> None:
        """Record an unsettled consumer."""
        if self.constant:
            return
        consumers = self.consumers
        if consumers is None:
            self.consumers = task
        elif isinstance(consumers, dict):
            consumers[task] = None
        else:
            self.consumers = {consumers: None, task: None}

    def remove_consumer(self, task: Task) -> None:
        """Forget a consumer that settled."""
        consumers = self.consumers
        if consumers is task:
            self.consumers = None
        elif isinstance(consumers, dict):
            consumers.pop(task, None)
            if not consumers:
                self.consumers = None

    def holders(self) -> list[Governor]:
        """The governors that have its data."""
        return [
            governor
            for governor in self.sites
            if governor.objects[self] not in (ReplicaState.ANNOUNCED, ReplicaState.STALE)
        ]

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.spec.label!r} ({self.id})" if self.spec.label else str(self.id)

    def __repr__(self) -> str:
        return f"<Object {self.id} {self.state.value}>"


@states(state=SESSIONS)
class Session:
    """One session.

    Attributes
    ----------
    tasks, objects : dict of int to Task, Object
        By number; those that were released are not in it.
    released : bytearray
        Per number 0, or what became of the item (`RELEASED_TASK`, `RELEASED_OBJECT`).
    counts : dict of int to int
        Number of tasks per ``id(state)``, released ones included.
    governors : dict of str to Governor
        Those that were sent `OpenSession` and not yet answered `SessionEnded`.
    outputs : dict of int to TaskOutput
        What tasks' last attempts wrote, oldest first, at most `rain.server.core.reporting.output.OUTPUTS_BYTES_MAX`.
    history : deque of (Task, int)
        Of a persistent session: finished tasks that are only kept to be shown, oldest first, with about their bytes
        (`history_bytes` in all).
    orphans : set of int
        Objects that are still there while the record of the task that made them has left the history.
    sites : dict of (str, str) to (str, str)
        Where tasks were made; equal ones are one.
    made : dict of int to (str, str)
        Of a persistent session: the site of each task.
    crashes, failures, misses : dict of int to int
        Per task its crashed and its failed attempts; per object how often it could not be fetched.
    state : SessionState
    close_requests : list of (str, int)
        Requests (client, number) to close it, which are answered when it is closed.
    end_reason : str
        Why it ended by itself; empty if it did not.
    stuck_since : float or None
        Since when nothing of it can run.
    stalled : str
        What its client was told about that; empty: nothing.
    """

    __slots__ = (
        "client",
        "close_requests",
        "counts",
        "crashes",
        "end_reason",
        "environments",
        "estimates",
        "failures",
        "governors",
        "history",
        "history_bytes",
        "id",
        "last_number",
        "made",
        "misses",
        "name",
        "objects",
        "on_failure",
        "orphans",
        "outputs",
        "outputs_bytes",
        "persistent",
        "released",
        "requests",
        "sites",
        "stalled",
        "state",
        "stuck_since",
        "tasks",
        "uploads",
    )

    def __init__(
        self, id: int, name: str, client: Client | None, on_failure: str, persistent: bool, env: SessionEnv
    ) -> None:
        self.id = id
        self.name = name
        self.client = client
        self.on_failure = on_failure
        self.persistent = persistent
        self.environments = Environments(env)
        self.tasks: dict[int, Task] = {}
        self.objects: dict[int, Object] = {}
        self.released = bytearray()
        self.last_number = 0
        self.counts = dict.fromkeys(map(_id, TaskState), 0)
        self.requests: dict[Any, ResourceRequest] = {}
        self.estimates: dict[Any, DurationEstimate] = {}
        self.governors: dict[str, Governor] = {}
        self.outputs: dict[int, TaskOutput] = {}
        self.outputs_bytes = 0
        self.history: deque[tuple[Task, int]] = deque()
        self.history_bytes = 0
        self.orphans: set[int] = set()
        self.sites: dict[tuple[str, str], tuple[str, str]] = {}
        self.made: dict[int, tuple[str, str]] = {}
        self.crashes: dict[int, int] = {}
        self.failures: dict[int, int] = {}
        self.misses: dict[int, int] = {}
        self.uploads: dict[int, str] = {}
        self.state = SessionState.OPEN
        self.close_requests: list[tuple[str, int]] = []
        self.end_reason = ""
        self.stuck_since: float | None = None
        self.stalled = ""

    @property
    def over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.state is not SessionState.OPEN and self.state is not SessionState.DETACHED

    def release(self, number: int, what: int) -> None:
        """Leave a byte behind for a record that is no longer kept."""
        released = self.released
        if number >= len(released):
            released.extend(bytes(max(number + 1, self.last_number + 1) - len(released)))
        released[number] = what

    def released_as(self, number: int) -> int:
        """What was released under a number; 0 for nothing."""
        return self.released[number] if 0 <= number < len(self.released) else 0

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.name!r}>"


_id = id
RELEASED_TASK = 1
RELEASED_OBJECT = 2


@states(state=CLIENTS)
class Client:
    """One client's conversation.

    `gathering` holds by session the submit of which pieces are missing (a `rain.server.core.lifecycle.submit.Cut`);
    `held_tasks` and `held_objects` are what it is told of when it has caught up.
    """

    __slots__ = ("gathering", "held_objects", "held_tasks", "id", "sessions", "state")

    def __init__(self, id: str) -> None:
        self.id = id
        self.sessions: dict[int, Session] = {}
        self.gathering: dict[int, Any] = {}
        self.state = ClientState.CURRENT
        self.held_tasks: list[Task] = []
        self.held_objects: list[Object] = []


class Reading:
    """A client's question what running tasks have written; `waiting` are the governors that have not answered, and the
    cancelled attempts at governors that have not ended: (governor id, task's id or None, attempt)."""

    __slots__ = ("client_id", "found", "message", "waiting")

    def __init__(self, client_id: str, message: GetOutput) -> None:
        self.client_id = client_id
        self.message = message
        self.waiting: set[tuple[str, ID | None, int]] = set()
        self.found: dict[ID, TaskOutput] = {}


def replica_state(replica: ReplicaState | LocalFile) -> ReplicaState:
    """The state of what a governor has of an object."""
    return replica if isinstance(replica, ReplicaState) else ReplicaState.HELD


@states(state=GOVERNORS)
@states_of_values("objects", REPLICAS, replica_state)
class Governor:
    """One governor.

    Attributes
    ----------
    total, demand : dict of str to int
        Units that it has, and that tasks of `Placement.DEMAND` or in `stopping` ask for (more than it has: work
        ahead).
    cpus : float
        At least 1, to measure work by.
    work, follow_work : int
        Estimated microseconds of one cpu that its tasks of `Placement.DEMAND` and of `Placement.FOLLOWER` take.
    assigned : dict of Task to None
        In the order of assignment.
    stopping : dict of (ID, int) to (ResourceRequest, Placement, int)
        Attempts that were told to end and have not yet; they use their resources until then.
    objects : dict of Object to (ReplicaState or LocalFile)
    dropping : dict of ID to int
        Drops that it has not confirmed.
    sessions : dict of int to Session
        Sessions opened there.
    state : GovernorState
    drops, cancels, ends, resends : list
        What it will be told at the end of the turn: objects to drop, attempts to end, sessions to end, objects whose
        places changed while tasks there wait for them.
    """

    __slots__ = (
        "_shares",
        "assigned",
        "cancels",
        "cpus",
        "demand",
        "dropping",
        "drops",
        "ends",
        "follow_work",
        "host_id",
        "id",
        "load",
        "objects",
        "order",
        "resends",
        "resources",
        "sessions",
        "state",
        "stopping",
        "tasks_max",
        "total",
        "work",
    )

    def __init__(self, register: Register, order: int) -> None:
        self.id = register.governor_id
        self.host_id = register.host_id
        self.order = order
        self.resources = register.resources
        self.total = {name: to_units(amount) for name, amount in register.resources.items()}
        self.total.update({f"executor {name}": 0 for name in register.executors})
        self.demand = dict.fromkeys(self.total, 0)
        self.cpus = max(1.0, register.resources.get("cpus", 0.0))
        self.tasks_max = int(AHEAD_TASKS_MAX * self.cpus)
        self.work = 0
        self.follow_work = 0
        self.assigned: dict[Task, None] = {}
        self.stopping: dict[tuple[ID, int], tuple[ResourceRequest, Placement, int]] = {}
        self.objects: dict[Object, ReplicaState | LocalFile] = {}
        self.dropping: dict[ID, int] = {}
        self.sessions: dict[int, Session] = {}
        self.state = GovernorState.REGISTERED
        self.drops: list[ID] = []
        self.cancels: list[tuple[ID, int]] = []
        self.ends: list[int] = []
        self.resends: list[Object] = []
        self.load: dict[str, float] = {}
        self._shares: dict[ResourceRequest, float] = {}

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
