"""The server's records: sessions, clients, governors, tasks, objects, and `check`, which says how they hang together.

Theory of operation
-------------------
`rain.server.core` is the only writer. The methods here are the smallest steps that keep the books: they move counters
together with what they count, and refuse a change of state that the tables of `rain.common.states` lack. What a
change leads to (updates, messages, other tasks) is the core's business.

**A task** is *unsettled* until it is finished, failed or cancelled. `pending` counts its distinct inputs that are not
finished. It is assigned to at most one governor, where it either counts as demand (`Placement.DEMAND`: it could run)
or follows tasks of the same governor whose outputs it waits for (`Placement.FOLLOWER`).

**An object** is *needed* while it is kept or an unsettled task has it as an input; failed tasks hold their inputs too,
so that they can be run again. A finished object that is not needed is removed at once (constants stay: they can be
used by later submits). It is *safe* if the server itself has its bytes.

**Lineage.** A finished task must be run again when a governor is lost that held an output which is needed and not safe.
So the record of a finished task is kept while one of its outputs is such, or is an input of another finished task that
is kept for that reason (`Object.lineage` counts those). All else is released: its number leaves one byte behind.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rain.common.ids import ID
from rain.common.location import LocalFile
from rain.common.state_tables import StateTable
from rain.common.states import DATA_OBJECTS, TASKS, DataObjectState, TaskState
from rain.server.records.client import Client
from rain.server.records.data_object import Object
from rain.server.records.family import AT, Members, TaskFamily
from rain.server.records.gang import Gang
from rain.server.records.governor import Governor
from rain.server.records.resources import ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import DEMAND, FOLLOWER, QUEUED, UNPLACED, Placement, ReplicaState

_TABLES: tuple[StateTable[Any], ...] = (TASKS, DATA_OBJECTS)
_NEXT = {id(state): frozenset(map(id, table.after(state))) for table in _TABLES for state in table.kind}
# Enum members hash in Python code; their addresses do not.


class Graph:
    """All records, and the steps that keep their books.

    Attributes
    ----------
    version : int
        Counts arrivals and losses of governors.
    arriving : dict of Governor to None
        Governors that have not told yet all that they have from others; they are among `governors`.
    leaving : dict of Governor to None
        Governors that leave on purpose; they are still among `governors`.
    expected : int
        Number of governors that clients wait for.
    gangs : dict of Task to Gang
        Tasks that are assigned to several governors.
    waiting_gangs : dict of Task to float
        Ready tasks for several governors that have none, and since when.
    reserved : dict of Governor to None
        Those that are kept free for `reserved_for`, the next of them.
    reserved_until : float
        It cannot start before, as far as is known: what has ended by then may run there. Monotonic seconds; it was
        found out at `reserved_looked_at`.
    backfilled : dict of Task to None
        Tasks that were given to a governor that was kept free, and are still there.
    lost_name, lost_reason : str
        The governor that was lost last, and why.
    lost_on_purpose : bool
        Whether it had said that it leaves.
    lost_at : float or None
        When a governor was last lost.
    """

    __slots__ = (
        "arriving",
        "backfilled",
        "clients",
        "expected",
        "gangs",
        "governors",
        "leaving",
        "lost_at",
        "lost_name",
        "lost_on_purpose",
        "lost_reason",
        "orders",
        "reserved",
        "reserved_for",
        "reserved_looked_at",
        "reserved_until",
        "sessions",
        "version",
        "waiting_gangs",
    )

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.sessions: dict[int, Session] = {}
        self.governors: dict[str, Governor] = {}
        self.arriving: dict[Governor, None] = {}
        self.leaving: dict[Governor, None] = {}
        self.gangs: dict[Task, Gang] = {}
        self.waiting_gangs: dict[Task, float] = {}
        self.reserved: dict[Governor, None] = {}
        self.reserved_for: Task | None = None
        self.reserved_until = self.reserved_looked_at = 0.0
        self.backfilled: dict[Task, None] = {}
        self.version = 0
        self.expected = 0
        self.lost_at: float | None = None
        self.lost_name = self.lost_reason = ""
        self.lost_on_purpose = False
        self.orders = 0

    def staying(self) -> Collection[Governor]:
        """The governors that take work, in the order in which they came."""
        if not self.leaving and not self.arriving:
            return self.governors.values()
        return [governor for governor in self.governors.values() if governor.takes_work]

    # -- looking records up ---------------------------------------------------------------------

    def task(self, id: ID) -> Task | None:
        """The task of this id, if it is known and was not released."""
        session = self.sessions.get(id[0])
        return None if session is None else session.tasks.get(id[1])

    def object(self, id: ID) -> Object | None:
        """The object of this id, if it is known and was not released."""
        session = self.sessions.get(id[0])
        return None if session is None else session.objects.get(id[1])

    # -- states ---------------------------------------------------------------------------------

    def set_task_state(self, task: Task, state: TaskState) -> None:
        """Move a task to another state.

        Raises
        ------
        AssertionError
            If `TASKS` does not allow it.
        """
        old, new = id(task.state), id(state)
        if new not in _NEXT[old]:
            raise AssertionError(f"task {task.id} may not go from {task.state} to {state}")
        counts = task.session.counts
        counts[old] -= 1
        counts[new] += 1
        task.state = state

    def set_object_state(self, obj: Object, state: DataObjectState) -> None:
        """Move an object to another state.

        Raises
        ------
        AssertionError
            If `DATA_OBJECTS` does not allow it.
        """
        if id(state) not in _NEXT[id(obj.state)]:
            raise AssertionError(f"object {obj.id} may not go from {obj.state} to {state}")
        obj.state = state

    # -- assignments ----------------------------------------------------------------------------

    def assign(self, task: Task, governor: Governor) -> None:
        """Book a task on a governor as its next attempt."""
        estimate = task.estimate
        if task.placement is QUEUED:
            estimate.queued -= 1
        estimate.assigned += 1
        governor.given += 1
        task.attempt += 1
        task.governor = governor
        task.load = governor.load_of(task.request, estimate.us)
        governor.assigned[task] = None
        if task.pending:
            task.placement = FOLLOWER
            governor.follow_work += task.load
        else:
            task.placement = DEMAND
            _book(governor, task.request, task.load, 1)

    def assign_members(self, members: Members, governor: Governor) -> bool:
        """Book members of a family that are ready on a governor as their first attempt; False if they cannot be booked
        without records of their own."""
        family, count = members.family, members.stop - members.start
        slot = family.share_of(governor)
        if slot < 0:
            return False
        estimate, request = family.estimate, family.request
        estimate.queued -= count
        estimate.assigned += count
        governor.given += count
        governor.members += count
        load = count * governor.load_of(request, estimate.us)
        share = family.shares[slot]
        assert share is not None
        share.count += count
        share.load += load
        _book_all(governor, request, load, count)
        family.states[members.start : members.stop] = bytes((AT + slot,)) * count
        return True

    def unassign_members(self, family: TaskFamily, governor: Governor, count: int) -> None:
        """Take members of a family out of their governor's books; what they are from now on the caller notes."""
        load = family.leave(governor, count)
        _book_all(governor, family.request, -load, -count)
        family.estimate.assigned -= count

    def take_members(self, governor: Governor) -> None:
        """Give all tasks that are assigned to a governor records of their own."""
        for family in list(governor.shares):
            for place in family.assigned(governor):
                family.session.families.take(family, place)

    def promote(self, task: Task) -> None:
        """A follower's inputs are all there."""
        governor = task.governor
        if governor is not None and task.placement is FOLLOWER:
            governor.follow_work -= task.load
            task.placement = DEMAND
            _book(governor, task.request, task.load, 1)

    def demote(self, task: Task) -> None:
        """An input of an assigned task is gone: it takes no room from those that make it again."""
        governor = task.governor
        if governor is not None and task.placement is DEMAND:
            _book(governor, task.request, task.load, -1)
            task.placement = FOLLOWER
            governor.follow_work += task.load

    def unassign(self, task: Task) -> None:
        """Take a task out of its governor's books: nothing of it runs there."""
        governor = task.governor
        assert governor is not None
        _unbook(governor, task.request, task.placement, task.load)
        self._leave(task, governor)

    def stop(self, task: Task) -> None:
        """A task is told to end: it is assigned no more, but uses its resources until `stopped`."""
        governor = task.governor
        assert governor is not None
        governor.stopping[(task.id, task.attempt)] = (task.request, task.placement, task.load)
        self._leave(task, governor)

    def host(self, member: Governor, gang: Gang, request: ResourceRequest, load: int) -> None:
        """Book an attempt on a member of its gang."""
        member.given += 1
        member.hosting[(gang.id, gang.attempt)] = (gang, request, load)
        _book(member, request, load, 1)

    def unhost(self, member: Governor, id: ID, attempt: int) -> Gang:
        """Nothing of an attempt runs on a member any more."""
        gang, request, load = member.hosting.pop((id, attempt))
        _book(member, request, load, -1)
        return gang

    def _disband(self, gang: Gang) -> None:
        """The attempt has left its first governor: the members are told to end what they have of it."""
        key = (gang.id, gang.attempt)
        for member in gang.members:
            held = member.hosting.pop(key, None)
            if held is not None:
                member.stopping[key] = (held[1], DEMAND, held[2])
                member.cancels.append(key)

    def _leave(self, task: Task, governor: Governor) -> None:
        if self.gangs and (gang := self.gangs.pop(task, None)) is not None:
            self._disband(gang)
        if self.backfilled:
            self.backfilled.pop(task, None)
        del governor.assigned[task]
        task.estimate.assigned -= 1
        task.governor = None
        task.placement = UNPLACED
        task.load = 0

    def stopped(self, governor: Governor, id: ID, attempt: int) -> bool:
        """An attempt that was told to end has ended; False if there was none."""
        held = governor.stopping.pop((id, attempt), None)
        if held is None:
            return False
        _unbook(governor, *held)
        return True

    # -- replicas ----------------------------------------------------------------------------------

    def add_replica(self, governor: Governor, obj: Object, replica: ReplicaState | LocalFile) -> None:
        """Record what a governor has of an object."""
        if obj not in governor.objects:
            obj.governors = (*obj.governors, governor)
        governor.objects[obj] = replica

    def remove_replica(self, governor: Governor, obj: Object) -> None:
        """A governor has nothing of an object any more."""
        del governor.objects[obj]
        obj.governors = tuple(other for other in obj.governors if other is not governor)


def _book(governor: Governor, request: ResourceRequest, load: int, sign: int) -> None:
    demand = governor.demand
    for name, units in request.needs:
        demand[name] += sign * units
    governor.work += sign * load


def _book_all(governor: Governor, request: ResourceRequest, load: int, count: int) -> None:
    """Of so many tasks; `load` is that of all."""
    demand = governor.demand
    for name, units in request.needs:
        demand[name] += count * units
    governor.work += load


def _unbook(governor: Governor, request: ResourceRequest, placement: Placement, load: int) -> None:
    if placement is FOLLOWER:
        governor.follow_work -= load
    else:
        _book(governor, request, load, -1)
