"""The server's record of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.spec import TaskError, TaskInfo, TaskSpec, runs_once
from rain.common.state_tables import states
from rain.common.states import TASKS
from rain.server.states import FIRST_RUN, PLACEMENTS, READY, RETENTIONS, RUNNING, UNPLACED, WAITING

if TYPE_CHECKING:
    from rain.server.records.data_object import Object
    from rain.server.records.governor import Governor
    from rain.server.records.resources import DurationEstimate, ResourceRequest
    from rain.server.records.session import Session


@states(state=TASKS, placement=PLACEMENTS, retention=RETENTIONS)
class Task:
    """One submitted task.

    Attributes
    ----------
    inputs : tuple of Object
        Distinct inputs, the function last.
    pending : int
        How many inputs are not finished (meaningful while the task is unsettled).
    rank : int
        Length of the longest chain of tasks of its submit that starts with it.
    order : int
        Its place in the order in which tasks were submitted.
    attempt : int
        Number of the present or last assignment, 0 before the first.
    began_at : float
        When its governor last reported that it runs, in the server's monotonic seconds.
    load : int
        What it adds to its governor's `work` (microseconds of one cpu).
    governor : Governor or None
        The governor that it is assigned to.
    placement : Placement
        How far it is on its way to a governor.
    retention : Retention
        Why this record is kept.
    update_due : bool
        Whether its client gets an update of it at the end of the turn.
    """

    __slots__ = (
        "attempt",
        "began_at",
        "error",
        "estimate",
        "governor",
        "id",
        "info",
        "inputs",
        "load",
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
        "update_due",
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
        self.began_at = 0.0
        self.governor: Governor | None = None
        self.placement = UNPLACED
        self.retention = FIRST_RUN
        self.load = 0
        self.info: TaskInfo | None = None
        self.error: TaskError | None = None
        self.update_due = False

    @property
    def unsettled(self) -> bool:
        """Whether it has neither finished nor failed nor been cancelled."""
        state = self.state
        return state is WAITING or state is READY or state is RUNNING

    @property
    def runs_once(self) -> bool:
        """Whether the user forbade a second run (``rerun="never"``)."""
        return runs_once(self.spec)

    @property
    def nodes(self) -> int:
        """On how many governors it runs at once."""
        return 1 if self.spec.options is None else self.spec.options.nodes

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.spec.name or self.spec.task_type} ({self.id})"

    def __repr__(self) -> str:
        return f"<Task {self.id} {self.state.value}>"
