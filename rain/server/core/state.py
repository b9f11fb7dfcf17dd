"""What all parts of the core share: the graph, the policy, the effects of the present step, updates that are due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rain.common.ids import ID
from rain.common.protocol.messages import Failed, FamilyUpdate, ServerToClient, ServerToGovernor, TaskUpdate
from rain.common.states import DataObjectState, TaskState
from rain.server.core.effects import Effect, Happened, InternalError, ToClient, ToGovernor
from rain.server.graph import Graph
from rain.server.records.absence import Absence
from rain.server.records.client import Client, Reading
from rain.server.records.data_object import Object
from rain.server.records.family import Members
from rain.server.records.governor import Governor
from rain.server.records.place import Place
from rain.server.records.resources import ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.scheduling.policy import SchedulingPolicy
from rain.server.scheduling.view import ClusterView
from rain.server.states import DELAYED, FORGOTTEN, QUEUED, RECOMPUTING, UNPLACED

NO_VALUES: dict[str, Any] = {}


class State:
    """The core's memory.

    Attributes
    ----------
    address, host_id, http, version, log_dir : str
        The server's data listener, its machine, its HTTP listener, its version, the folder of its logs.
    now : float
        Monotonic seconds of the present step.
    out : list of Effect
        Effects of the present step.
    sessions_made : int
        Number of the last session.
    progress_due : dict of ID to None
        Those of them that clients are to be told at the end of the turn.
    task_updates, object_updates : list
        What clients are to be notified of at the end of the turn; each item once.
    family_updates : list of (Session, FamilyUpdate or Members)
        What they are told of members of families before that: that they finished, or that they are ready.
    holding : dict of Client to None
        Clients for which updates are gathered instead (`rain.server.core.reporting.updates.release`).
    delayed : list of (float, int, Task)
        Heap of ready tasks that wait until a time before they are queued again.
    expecting : dict of str to int
        By client: how many governors it said that there will be.
    pools : dict of int to str
        Clients of pools, by number.
    last_pool : int
        The number of the pool that was opened last.
    offers : dict of str to list of Place
        By client: places that its pools may bring.
    readings : dict of int to Reading
        Questions about running tasks that governors have not answered, by number.
    schedule_due : bool
        Whether anything changed that the policy could act on.
    policy, make_policy, policy_name : SchedulingPolicy, callable, str
        What decides where ready tasks go; how it is made anew after an error; how texts name it.
    policy_error, policy_failures : Exception or None, int
        What it raised since the last pass, and how many passes in a row that happened.
    unchecked : dict of ResourceRequest to None
        Requests of ready tasks of which it is not known yet that a governor could hold them.
    recheck : bool
        Whether that is not known of any request, because a governor was lost.
    stops : dict of Session to Task
        Sessions to be stopped at the end of the step, and the failure that does it.
    absences : dict of str to Absence
        By the names of their stores: governors that died.
    unclaimed : dict of Session to None
        Sessions that are not persistent, have lost their clients and wait for others.
    stale_results : int
        Results dropped because a newer attempt, or none, was expected.
    """

    __slots__ = (
        "absences",
        "address",
        "delayed",
        "expecting",
        "family_updates",
        "graph",
        "holding",
        "host_id",
        "http",
        "last_pool",
        "log_dir",
        "make_policy",
        "now",
        "object_updates",
        "offers",
        "out",
        "policy",
        "policy_error",
        "policy_failures",
        "policy_name",
        "pools",
        "progress_due",
        "readings",
        "readings_made",
        "recheck",
        "schedule_due",
        "sessions_made",
        "stale_results",
        "stops",
        "task_updates",
        "unchecked",
        "unclaimed",
        "version",
        "view",
    )

    def __init__(
        self,
        address: str,
        host_id: str,
        http: str,
        version: str,
        log_dir: str,
        make_policy: Callable[[], SchedulingPolicy],
        policy_name: str,
    ) -> None:
        self.address = address
        self.host_id = host_id
        self.http = http
        self.version = version
        self.log_dir = log_dir
        self.graph = Graph()
        self.view = ClusterView(self.graph)
        self.make_policy = make_policy
        self.policy_name = policy_name
        self.policy = make_policy()
        self.policy_error: Exception | None = None
        self.policy_failures = 0
        self.unchecked: dict[ResourceRequest, None] = {}
        self.recheck = False
        self.now = 0.0
        self.out: list[Effect] = []
        self.sessions_made = 0
        self.task_updates: list[Task] = []
        self.progress_due: dict[ID, None] = {}
        self.object_updates: list[Object] = []
        self.family_updates: list[tuple[Session, FamilyUpdate | Members]] = []
        self.holding: dict[Client, None] = {}
        self.delayed: list[tuple[float, int, Task]] = []
        self.expecting: dict[str, int] = {}
        self.offers: dict[str, list[Place]] = {}
        self.pools: dict[int, str] = {}
        self.last_pool = 0
        self.readings: dict[int, Reading] = {}
        self.readings_made = 0
        self.schedule_due = False
        self.stops: dict[Session, Task] = {}
        self.absences: dict[str, Absence] = {}
        self.unclaimed: dict[Session, None] = {}
        self.stale_results = 0

    # -- effects --------------------------------------------------------------------------------

    def to_client(self, client_id: str, message: ServerToClient) -> None:
        """Send a client an answer or an update."""
        self.out.append(ToClient(client_id, message))

    def refuse(self, client_id: str, request: int, message: str, kind: str = "rain") -> None:
        """Answer `Failed`."""
        self.happened("ClientInvalidRequest", None, None, {"client": client_id, "message": message})
        self.to_client(client_id, Failed(request, kind, message))

    def to_governor(self, governor: Governor, message: ServerToGovernor) -> None:
        """Send a governor a message."""
        self.out.append(ToGovernor(governor.id, message))

    def happened(
        self, type: str, session: int | None = None, id: int | None = None, values: dict[str, Any] = NO_VALUES
    ) -> None:
        """Put an event into the log."""
        self.out.append(Happened(type, session, id, values))

    def broke(self, about: str, error: Exception) -> None:
        """Put an error of this code into the server's log."""
        self.out.append(InternalError(about, error))

    # -- the policy -----------------------------------------------------------------------------

    def offer(self, task: Task) -> None:
        """Offer a ready task to the policy."""
        task.placement = QUEUED
        task.estimate.queued += 1
        if task.request.version != self.graph.version:
            self.unchecked[task.request] = None
        if task.nodes > 1:
            self.graph.waiting_gangs[task] = self.now
            return
        try:
            self.policy.task_ready(task)
        except Exception as error:
            self.policy_error = error

    @property
    def takes_members(self) -> bool:
        """Whether the policy can be offered members of families that have no records of their own."""
        return hasattr(self.policy, "members_ready")

    def offer_members(self, members: Members, anew: bool = False) -> None:
        """Offer members of a family to the policy; `anew`: it was offered them before, and has lost them."""
        family = members.family
        if not anew:
            family.estimate.queued += members.stop - members.start
            if family.request.version != self.graph.version:
                self.unchecked[family.request] = None
        self.schedule_due = True
        try:
            self.policy.members_ready(members)  # type: ignore[attr-defined]
        except Exception as error:
            self.policy_error = error

    def withdraw_offer(self, task: Task) -> None:
        """A queued task cannot run now."""
        task.placement = UNPLACED
        task.estimate.queued -= 1
        if self.graph.waiting_gangs.pop(task, None) is not None:
            return
        self.tell_policy(self.policy.task_withdrawn, task)

    def tell_policy(self, method: Callable[[Any], None], record: Any) -> None:
        """Call a method of the policy; what it raises is dealt with in the next pass."""
        try:
            method(record)
        except Exception as error:
            self.policy_error = error

    # -- states, with updates ----------------------------------------------------------------------

    def set_task(self, task: Task, state: TaskState) -> None:
        """Move a task to a state and notify its client at the end of the turn."""
        self.graph.set_task_state(task, state)
        if task.session.progress:
            task.session.progress.pop(task.id.id, None)
        if not task.update_due:
            task.update_due = True
            self.task_updates.append(task)

    def notify_task(self, task: Task) -> None:
        """Notify the client of a task again."""
        if not task.update_due:
            task.update_due = True
            self.task_updates.append(task)

    def set_object(self, obj: Object, state: DataObjectState) -> None:
        """Move an object to a state and notify its client at the end of the turn."""
        self.graph.set_object_state(obj, state)
        if not obj.update_due:
            obj.update_due = True
            self.object_updates.append(obj)

    def notify_object(self, obj: Object) -> None:
        """Notify the client of an object again, for instance because it is kept now."""
        if not obj.update_due:
            obj.update_due = True
            self.object_updates.append(obj)

    def made_again(self, obj: Object) -> None:
        """An object was made: what a governor that died held of it may be another value."""
        for absence in self.absences.values():
            absence.objects.pop(obj, None)

    def awaited(self, task: Task) -> Absence | None:
        """The governor that died for whose heir a task waits, as that may have what the task makes again."""
        if task.placement is not DELAYED or task.retention is not RECOMPUTING:
            return None
        return next((absence for absence in self.absences.values() if absence.until > self.now), None)

    def held_by(self, task: Task) -> Absence | None:
        """The governor, given up, that may come back with the only attempt that a task may have."""
        return next((absence for absence in self.absences.values() if task in absence.held), None)

    def expect(self, client_id: str, governors: int) -> None:
        """A client expects so many governors; while fewer are there, tasks that fit nowhere wait."""
        self.expecting[client_id] = governors
        self.graph.expected = max(self.expecting.values())
        self.schedule_due = True

    def expect_no_more(self, client_id: str) -> None:
        """A client that is gone expects nothing."""
        if self.expecting.pop(client_id, 0):
            self.graph.expected = max(self.expecting.values(), default=0)
            self.schedule_due = True

    def seen_by(self, client: Client, session_id: int) -> Session | None:
        """The session, if it is the client's or one that it looks at."""
        found = client.sessions.get(session_id)
        return self.graph.sessions.get(session_id) if found is None and session_id in client.looks else found

    def client_of(self, session: Session) -> str | None:
        """Id of the client that has a session."""
        return None if session.client is None else session.client.id


def internal(error: Exception) -> str:
    """What users read of an error of this code."""
    return f"an internal error of the server, see its log: {type(error).__name__}: {error}"


def task_update(task: Task) -> TaskUpdate:
    """The present state of a task, for its client."""
    return TaskUpdate(task.id, task.state, task.info, task.error, task.retention is FORGOTTEN)
