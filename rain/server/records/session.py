"""The server's record of a session."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from rain.common.limits import HISTORY_BYTES_MAX, HISTORY_RETURN_BYTES_MAX
from rain.common.protocol.messages import SessionEnv, TaskOutput, TaskProgress
from rain.common.spec import Attempt
from rain.common.state_tables import states
from rain.common.states import TaskState
from rain.server.environments import Environments
from rain.server.records.items import Families, Objects, Tasks
from rain.server.states import DETACHED, OPEN, SESSIONS

if TYPE_CHECKING:
    from rain.server.records.client import Client
    from rain.server.records.governor import Governor
    from rain.server.records.resources import DurationEstimate, ResourceRequest
    from rain.server.records.task import Task

_id = id
RELEASED_TASK = 1
RELEASED_OBJECT = 2


@states(state=SESSIONS)
class Session:
    """One session.

    Attributes
    ----------
    families : Families
        All tasks and objects, by number, without those that were released.
    released : bytearray
        For each number 0, or what was released under it (`RELEASED_TASK`, `RELEASED_OBJECT`).
    counts : dict of int to int
        Number of tasks per ``id(state)``, released ones included.
    not_run : int
        How many of its failed tasks failed because a task that they need did.
    estimates : dict of Any to DurationEstimate
        By the code that tasks run, the newest estimate with any resource request; new estimates begin with it.
    governors : dict of str to Governor
        The governors that were sent `OpenSession` and have not answered `SessionEnded`.
    outputs : dict of int to TaskOutput
        What tasks' last attempts printed, oldest first, at most `rain.server.core.reporting.output.OUTPUTS_BYTES_MAX`.
    history : deque of (Task, int)
        Of a persistent session, the finished tasks whose records are kept for views only, oldest first, each with
        about its bytes (`history_bytes` in all).
    orphans : set of int
        Objects that still exist although the record of the task that made them has left the history.
    call_sites : dict of (str, str) to (str, str)
        Call sites of tasks; equal ones are shared.
    made : dict of int to (str, str)
        Of a persistent session, the call site of each task.
    progress : dict of int to TaskProgress
        The last progress that each running task has reported.
    earlier : dict of int to list of Attempt
        For each task its attempts that failed and were followed by others, the last `ATTEMPTS_TOLD_MAX`.
    crashes, failures, misses : dict of int to int
        For each task how many attempts crashed, and how many failed; for each object how often fetching it failed.
    state : SessionState
    close_requests : list of (str, int)
        Requests (client, number) to close it, which are answered when it is closed.
    end_reason : str
        Why it ended without being closed by its client; empty if it did not.
    returns : bool
        Whether its client, should it go, may come back as another one: a notebook's kernel.
    waits_until : float or None
        Of a session that is not persistent and has lost its client: when it ends unless a client attaches to it.
    stuck_since : float or None
        Since when none of its tasks can run.
    stalled : str
        What its client was told of that; empty: nothing.
    """

    __slots__ = (
        "call_sites",
        "client",
        "close_requests",
        "counts",
        "crashes",
        "earlier",
        "end_reason",
        "environments",
        "estimates",
        "failures",
        "families",
        "governors",
        "history",
        "history_bytes",
        "id",
        "last_number",
        "made",
        "misses",
        "name",
        "not_run",
        "on_failure",
        "orphans",
        "outputs",
        "outputs_bytes",
        "persistent",
        "progress",
        "released",
        "requests",
        "returns",
        "stalled",
        "state",
        "stuck_since",
        "uploads",
        "waits_until",
    )

    def __init__(
        self, id: int, name: str, client: Client | None, on_failure: str, persistent: bool, env: SessionEnv
    ) -> None:
        self.id = id
        self.name = name
        self.client = client
        self.on_failure = on_failure
        self.persistent = persistent
        self.returns = False
        self.environments = Environments(env)
        self.families = Families({}, {})
        self.released = bytearray()
        self.last_number = 0
        self.counts = dict.fromkeys(map(_id, TaskState), 0)
        self.not_run = 0
        self.requests: dict[Any, ResourceRequest] = {}
        self.estimates: dict[Any, DurationEstimate] = {}
        self.governors: dict[str, Governor] = {}
        self.outputs: dict[int, TaskOutput] = {}
        self.outputs_bytes = 0
        self.history: deque[tuple[Task, int]] = deque()
        self.history_bytes = 0
        self.orphans: set[int] = set()
        self.call_sites: dict[tuple[str, str], tuple[str, str]] = {}
        self.made: dict[int, tuple[str, str]] = {}
        self.progress: dict[int, TaskProgress] = {}
        self.earlier: dict[int, list[Attempt]] = {}
        self.crashes: dict[int, int] = {}
        self.failures: dict[int, int] = {}
        self.misses: dict[int, int] = {}
        self.uploads: dict[int, str] = {}
        self.state = OPEN
        self.close_requests: list[tuple[str, int]] = []
        self.end_reason = ""
        self.waits_until: float | None = None
        self.stuck_since: float | None = None
        self.stalled = ""

    @property
    def tasks(self) -> Tasks:
        """By number."""
        return self.families.tasks

    @property
    def objects(self) -> Objects:
        """By number."""
        return self.families.objects

    @property
    def over(self) -> bool:
        """Whether none of its tasks runs any more."""
        return self.state is not OPEN and self.state is not DETACHED

    @property
    def history_bytes_max(self) -> int:
        """About what may be kept of finished tasks that nothing needs, for the next client; 0: they are released."""
        return HISTORY_BYTES_MAX if self.persistent else HISTORY_RETURN_BYTES_MAX if self.returns else 0

    def release(self, number: int, what: int) -> None:
        """Note that the record of a number is no longer kept, and whether it was a task's or an object's."""
        released = self.released
        if number >= len(released):
            released.extend(bytes(max(number + 1, self.last_number + 1) - len(released)))
        released[number] = what

    def release_run(self, number: int, stride: int, count: int, what: int) -> None:
        """As `release`, for `count` numbers, each `stride` after the one before."""
        last = number + stride * (count - 1)
        if self.released_as(last) == 0:
            self.release(last, what)  # makes room
        self.released[number : last + 1 : stride] = bytes((what,)) * count

    def released_as(self, number: int) -> int:
        """Whether a task or an object was released under a number; 0 for neither."""
        return self.released[number] if 0 <= number < len(self.released) else 0

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.name!r}>"
