"""What a governor's core remembers: sessions, tasks, objects, executors, and the batches that are being gathered.

Only the modules of this package write these; `rain.governor.core.check` says how they hang together.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.protocol.messages import (
    FamilyResults,
    ObjectData,
    SessionEnv,
    TaskAssignment,
    TaskOutput,
    TaskProgress,
    TaskResult,
)
from rain.common.spec import Transfer, runs_once, timeout_of
from rain.common.state_tables import states
from rain.governor.core.chains.following import Chain
from rain.governor.core.effects import AnyEffect, ExecutorItem, Known, MemberItems
from rain.governor.estimates import Estimate
from rain.governor.resources import Allocation, ResourceRequest, Resources
from rain.governor.states import (
    EXECUTORS,
    FATES,
    FETCHES,
    PHASES,
    PRESENCES,
    SESSIONS,
    STAGES,
    End,
    ExecutorState,
    Fate,
    FetchState,
    Phase,
    Presence,
    SessionState,
    Stage,
)

if TYPE_CHECKING:
    from rain.governor.core.families.ranges import Piece, Range
    from rain.governor.core.reporting.answers import TakeBackRequest

PY = "py"
PROGRAM = "program"
BUILTIN = "builtin"

BUILTINS_MAX = 256
"""Builtin tasks that run at the same time."""
EXECUTORS_MIN = 64
"""A governor of few cpus may still have this many executors (tasks of a fraction of a cpu, or none)."""

# A member of an enum is looked up in Python code by Python 3.11; the records ask at each result.
_STAY, _GIVE_BACK, _ENDING = Fate.STAY, Fate.GIVE_BACK, SessionState.ENDING

EnvKey = tuple[tuple[str, str], ...]
GroupKey = tuple[str, ResourceRequest, EnvKey, bool, int]


@states(state=SESSIONS)
class Session:
    """One session as far as it has come to this governor."""

    __slots__ = (
        "builtins",
        "envs",
        "estimates",
        "executors",
        "groups",
        "id",
        "last_group",
        "objects",
        "ranges",
        "state",
        "tasks",
        "tasks_seen",
    )

    def __init__(self, id: int) -> None:
        self.id = id
        self.state = SessionState.OPEN
        self.tasks_seen = 0
        self.envs: dict[int, SessionEnv] = {}
        self.tasks: dict[ID, Task] = {}
        self.ranges: dict[int, list[Range]] = {}  # by numbers of tasks // `BUCKET`
        self.objects: dict[ID, Object] = {}
        self.groups: dict[GroupKey, Group] = {}
        self.executors: dict[int, Executor] = {}
        self.builtins: dict[int, Builtin] = {}
        self.estimates: dict[Any, Estimate] = {}
        self.last_group: tuple[str, dict[str, float], Any, int, Group] | None = None

    @property
    def ending(self) -> bool:
        """Whether nothing of it may start any more."""
        return self.state is _ENDING


@states(presence=PRESENCES)
class Object:
    """One object: present, on its way, or to be made here.

    Attributes
    ----------
    uses : int
        How often unfinished tasks of this governor list it as an input.
    waiters : dict of Task to None, or None
        Waiting tasks that miss it.
    rank : list of float or None
        Of the most urgent task that wants it.
    drop : bool
        The server asked to drop it; that is done when `uses` is 0.
    copy : bool
        It is to be fetched for the server, whether or not a task here needs it.
    ours : bool
        The server does not know that it is here: it goes with the tasks that use it, without a word.
    unread : bool
        The store has it from a governor that died, and nobody has compared its bytes yet: to be fetched from there.
    """

    __slots__ = (
        "copy", "drop", "id", "known", "ours", "presence", "rank", "session", "source", "unread", "uses", "waiters"
    )  # fmt: skip

    def __init__(self, id: ID, session: Session) -> None:
        self.id = id
        self.session = session
        self.known: Known | None = None
        self.presence = Presence.UNKNOWN
        self.source: ObjectData | None = None
        self.waiters: dict[Task | Range, None] | None = None
        self.rank: list[float] | None = None
        self.uses = 0
        self.drop = self.copy = self.ours = self.unread = False


@states(state=FETCHES)
class Fetching:
    """A `Fetch` that is not answered.

    Attributes
    ----------
    object : Object
        For which it was started; of a cancelled one another record of this id may be in its place.
    source : ObjectData
    """

    __slots__ = ("object", "source", "state")

    def __init__(self, obj: Object, source: ObjectData) -> None:
        self.object = obj
        self.source = source
        self.state = FetchState.RUNNING


@states(phase=PHASES, fate=FATES)
class Task:
    """One attempt of a task.

    Attributes
    ----------
    missing : int
        Distinct inputs that are not here.
    rank : list of float
    arrival : int
        With equal ranks the first come starts first.
    cost : float
        Estimated seconds when it was queued.
    number : int
        In its executor, or of its `Builtin`.
    refusals : int
        How often an executor found inputs of it damaged.
    seen_at : float or None
        When it was first seen running.
    transfers : list of Transfer or None
        Those of inputs for which it waited.
    suspected : str
        Which objects it may have damaged, with whom.
    take_back : TakeBackRequest or None
        The request, while its fate is to be given back.
    """

    __slots__ = (
        "arrival",
        "assignment",
        "attempt",
        "cost",
        "estimate",
        "executor",
        "fate",
        "function",
        "group",
        "id",
        "inputs",
        "missing",
        "number",
        "phase",
        "rank",
        "refusals",
        "seen_at",
        "session",
        "suspected",
        "take_back",
        "transfers",
    )

    def __init__(
        self, assignment: TaskAssignment, session: Session, group: Group, estimate: Estimate, arrival: int
    ) -> None:
        self.id = assignment.spec.id
        self.attempt = assignment.attempt
        self.assignment = assignment
        self.session = session
        self.group = group
        self.estimate = estimate
        self.rank = assignment.rank
        self.arrival = arrival
        self.inputs: list[Object] = []
        self.function: Object | None = None
        self.missing = 0
        self.phase = Phase.WAITING
        self.fate = Fate.STAY
        self.take_back: TakeBackRequest | None = None
        self.executor: Executor | None = None
        self.number = 0
        self.cost = 0.0
        self.refusals = 0
        self.suspected = ""
        self.seen_at: float | None = None
        self.transfers: list[Transfer] | None = None

    ready_count: ClassVar[int] = 1

    @property
    def unwanted(self) -> bool:
        """Whether it is being ended: how it ends does not matter any more."""
        return self.fate is not _STAY and self.fate is not _GIVE_BACK

    @property
    def timeout(self) -> float | None:
        """Seconds it may run."""
        return timeout_of(self.assignment.spec)

    @property
    def solo(self) -> bool:
        """Whether it may not be queued behind another: ending that one could end it too, and it may not run twice."""
        return runs_once(self.assignment.spec)

    def __repr__(self) -> str:
        return f"<Task {self.id} attempt {self.attempt} {self.phase.value}>"


Entry = tuple[list[float], int, "Task | Range"]
"""What stands in heaps: rank, arrival, task."""


class Group:
    """Tasks that can follow each other in one executor: same session, kind, request, and environment in both senses.

    Attributes
    ----------
    heap : list
        Entries of ready tasks, most urgent first; those of tasks that are no longer `Phase.READY` are skipped.
    ready : int
        How many tasks of these are, members of families each by itself.
    width : int
        How many executors of the group there can be at once.
    env : tuple of (str, str)
        Environment variables of the tasks.
    environment : int
        Their `TaskSpec.environment`.
    own : bool
        Whether its executors are Rain's own; foreign ones get one task at a time, and their start is not judged here.
    idle, busy : dict of int to Executor
        Usable executors, last used last.
    failed_starts : int
        Executors in a row that died before they ran anything.
    """

    __slots__ = (
        "busy",
        "env",
        "environment",
        "failed_starts",
        "fresh",
        "heap",
        "idle",
        "kind",
        "own",
        "prefetches",
        "ready",
        "request",
        "session",
        "width",
    )

    def __init__(
        self, session: Session, kind: str, request: ResourceRequest, env: EnvKey, fresh: bool, environment: int = 0
    ) -> None:
        self.session = session
        self.kind = kind
        self.request = request
        self.env = env
        self.fresh = fresh
        self.environment = environment
        self.own = kind in (PY, PROGRAM)
        self.prefetches = self.own and not fresh
        self.heap: list[Entry] = []
        self.ready = 0
        self.width = 1
        self.idle: dict[int, Executor] = {}
        self.busy: dict[int, Executor] = {}
        self.failed_starts = 0


class DuePreview(NamedTuple):
    """A preview that an executor owes, or is making: of an object as it was made then."""

    object: Object
    known: Known
    estimate: Estimate
    task_s: float


@states(state=EXECUTORS)
class Executor:
    """One executor process.

    It holds an allocation exactly while it has tasks (a killed one until it is gone).

    Attributes
    ----------
    queue : dict of int to Task or Piece
        Tasks given to it and not answered, in order; the first one runs.
    chain : Chain
        Which of them make what others need.
    load : float
        Estimated seconds of the whole queue.
    born_at : float
    head_at : float
        When the first of the queue came to be first.
    started : bool
        Whether it is known to have run anything.
    seen : int
        Last sample of its shared word that was not 0.
    recalls : deque of list of int
        `RecallFromExecutor`s that are not answered.
    end : End or None
        Why it is neither busy nor idle.
    target : int
        The number that `end` is about, 0 none.
    kill_at : float
        When to stop waiting for an interrupted one to obey; infinity for others.
    stops : list
        Cancelled attempts to be answered when it is gone.
    over_bytes, over_written_bytes : int
        What it used, and what of that were pages of its inputs, for `End.MEMORY`.
    previews_due : list of DuePreview
        What it will be asked for, the newest last.
    preview : DuePreview or None
        What it was asked for and has not answered, `preview_since` then.
    """

    __slots__ = (
        "allocation",
        "born_at",
        "chain",
        "devices",
        "end",
        "functions",
        "group",
        "head_at",
        "id",
        "idle_since",
        "kill_at",
        "load",
        "number",
        "over_bytes",
        "over_written_bytes",
        "preview",
        "preview_since",
        "previews_due",
        "queue",
        "recalls",
        "seen",
        "session",
        "started",
        "state",
        "stops",
        "target",
    )

    def __init__(self, id: int, group: Group, allocation: Allocation, now: float) -> None:
        self.id = id
        self.group = group
        self.session = group.session
        self.allocation: Allocation | None = allocation
        self.devices = allocation.devices
        self.queue: dict[int, Task | Piece] = {}
        self.chain = Chain()
        self.number = 0
        self.load = 0.0
        self.born_at = now
        self.head_at = now
        self.idle_since = now
        self.state = ExecutorState.BUSY
        self.started = False
        self.seen = 0
        self.functions: set[ID] = set()
        self.recalls: deque[list[int]] = deque()
        self.end: End | None = None
        self.target = 0
        self.kill_at = inf
        self.stops: list[tuple[ID, int]] = []
        self.over_bytes = self.over_written_bytes = 0
        self.previews_due: list[DuePreview] = []
        self.preview: DuePreview | None = None
        self.preview_since = 0.0

    @property
    def head(self) -> Task | Piece | None:
        """The task that it runs, as far as is known; of a piece it is the first member."""
        for task in self.queue.values():
            return task
        return None


class Builtin:
    """A builtin task that runs.

    `end` is why it was asked to stop; `task` is the attempt even when the task is no longer here.
    """

    __slots__ = ("allocation", "end", "number", "since", "task")

    def __init__(self, number: int, task: Task, allocation: Allocation, now: float) -> None:
        self.number = number
        self.task = task
        self.allocation = allocation
        self.since = now
        self.end: End | None = None


@states(stage=STAGES)
class Departure:
    """How this governor leaves.

    Attributes
    ----------
    reason : str
    tasks_until, until : float
        When what still runs is ended, and when it leaves whatever is undone.
    """

    __slots__ = ("reason", "stage", "tasks_until", "until")

    def __init__(self) -> None:
        self.stage = Stage.STAYING
        self.reason = ""
        self.tasks_until = self.until = 0.0


class State:
    """Everything that one core knows.

    Attributes
    ----------
    kinds : frozenset of str
        Foreign executor types.
    hungry : dict of Group to None
        Groups that (may) have ready tasks.
    held : dict of Task to (TaskResult, float)
        How tasks of `Phase.HELD` ended, and until when that waits.
    away : bool
        Whether the governor has tasks of an earlier conversation and has not registered again: nothing is told.
    server_behind : bool
        Whether so much waits for the server that nothing is started.
    idle : dict of int to Executor
        Idle executors of all groups, longest idle first.
    fetching : dict of ID to Fetching
        Fetches that are not answered.
    wanted : list
        Heap of (rank, arrival, object): objects to be fetched.
    previews_due : dict of Executor to None
        Executors that owe previews, or are making one.
    following : dict of Executor to None
        Executors with waiting tasks that may follow what is queued there.
    runs, recalls : dict
        What executors will be sent at the end of the turn.
    modules : dict of (int, str) to list of int
        Modules that the server was asked for, by session and name, and the executors that wait for them.
    out : list
        Effects of the present step.
    """

    __slots__ = (
        "arrivals",
        "away",
        "builtin_numbers",
        "builtins",
        "departure",
        "dropped",
        "executor_ids",
        "executors",
        "executors_max",
        "fetched",
        "fetching",
        "finished",
        "finished_members",
        "following",
        "gave_back",
        "governor_id",
        "held",
        "hungry",
        "idle",
        "idle_max",
        "inputs_missing",
        "kinds",
        "lost",
        "modules",
        "moved",
        "not_copied",
        "out",
        "previews_due",
        "progressed",
        "recalls",
        "resources",
        "runs",
        "server_behind",
        "session_ends",
        "sessions",
        "started",
        "started_members",
        "stopped",
        "stopped_outputs",
        "store_drops",
        "wanted",
    )

    def __init__(self, governor_id: str, resources: Resources, kinds: frozenset[str]) -> None:
        cpus = resources.total().get("cpus", 0)
        self.governor_id = governor_id
        self.resources = resources
        self.kinds = kinds
        self.departure = Departure()
        self.executors_max = max(EXECUTORS_MIN, int(4 * cpus))
        self.idle_max = 2 + int(2 * cpus)
        self.sessions: dict[int, Session] = {}
        self.executors: dict[int, Executor] = {}
        self.builtins: dict[int, Builtin] = {}
        self.idle: dict[int, Executor] = {}
        self.held: dict[Task, tuple[TaskResult, float]] = {}
        self.hungry: dict[Group, None] = {}
        self.away = self.server_behind = False
        self.fetching: dict[ID, Fetching] = {}
        self.wanted: list[tuple[list[float], int, Object]] = []
        self.modules: dict[tuple[int, str], list[int]] = {}
        self.arrivals = 0
        self.executor_ids = 0
        self.builtin_numbers = 0
        self.out: list[AnyEffect] = []
        self.previews_due: dict[Executor, None] = {}
        self.runs: dict[Executor, list[ExecutorItem | MemberItems]] = {}
        self.recalls: dict[Executor, list[int]] = {}
        self.following: dict[Executor, None] = {}
        self.clear_batches()

    def clear_batches(self) -> None:
        """Forget what was to be said to the server."""
        self.started: list[Task] = []
        self.started_members: list[tuple[Piece, int]] = []
        self.progressed: dict[Task, TaskProgress] = {}
        self.finished: list[TaskResult] = []
        self.finished_members: list[FamilyResults] = []
        self.stopped: list[tuple[ID, int]] = []
        self.stopped_outputs: dict[tuple[ID, int], TaskOutput] = {}
        self.gave_back: list[list[tuple[ID, int]]] = []
        self.inputs_missing: list[tuple[list[tuple[ID, int]], list[ID], str]] = []
        self.fetched: dict[ID, None] = {}
        self.moved: dict[ID, LocalFile] = {}
        self.lost: dict[ID, str] = {}
        self.not_copied: dict[ID, str] = {}
        self.dropped: dict[ID, None] = {}
        self.store_drops: list[ID] = []
        self.session_ends: list[int] = []


def open_session(state: State, session_id: int) -> Session:
    """The record of a session, made if need be."""
    session = state.sessions.get(session_id)
    if session is None:
        session = state.sessions[session_id] = Session(session_id)
    return session
