"""From ready to assigned: what the scheduling policy is asked, and what becomes of answers that cannot be right.

The policy may come from outside (`rain.server.scheduling.policy`). A task that it gives to a governor that is not here,
or cannot hold it, or that it gives twice, fails with a text that says so. A policy that raises, or gives what is no
ready task at all, is made anew from the tasks that are queued; if that happens `POLICY_FAILURES_MAX` times in a row,
the sessions with queued tasks are ended with a text that says so. Tasks that no governor could ever hold are this
module's business, whatever the policy does.
"""

from __future__ import annotations

from typing import Any

from rain.common.ids import ID
from rain.common.limits import GOVERNOR_LOST_S, POLICY_FAILURES_MAX
from rain.common.protocol.messages import TakeBack
from rain.common.spec import TaskError
from rain.server.core.demand import offered
from rain.server.core.lifecycle import gangs
from rain.server.core.lifecycle.settle import fail
from rain.server.core.reporting.explain import asked, cannot_hold
from rain.server.core.sessions import break_session
from rain.server.core.state import State
from rain.server.records.family import AT, FREE, Members, TaskFamily
from rain.server.records.governor import Governor
from rain.server.records.resources import ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.states import LOST, OBJ_UNFINISHED, QUEUED, WAITING, GovernorState


class PolicyError(Exception):
    """A policy gave what no task can be blamed for."""


def schedule(state: State) -> dict[Governor, list[Task | Members]]:
    """Ask the policy what to assign, and book it; returns what each governor gets."""
    state.schedule_due = False
    graph = state.graph
    given: dict[Governor, list[Task | Members]] = {}
    if graph.waiting_gangs or graph.reserved:
        gangs.place(state)
    reserved = graph.reserved
    wrong: dict[Task, str] = {}
    if state.policy_error is not None:
        _policy_failed(state, state.policy_error)
        return given
    try:
        for task, governor in state.policy.assignments(state.view, state.now):
            if isinstance(task, Members):
                given.setdefault(governor, []).extend(_assign_members(state, task, governor))
                continue
            if (
                type(task) is not Task
                or type(governor) is not Governor
                or task.placement is not QUEUED
                or governor.state is LOST
                or not governor.holds(task.request)
                or len(governor.assigned) + governor.members >= governor.tasks_max
            ):
                error = _error_of(state, task, governor)
                if error:
                    if task in wrong:
                        raise PolicyError(error)
                    wrong[task] = error
                    continue
            graph.assign(task, governor)
            if reserved and governor in reserved:
                graph.backfilled[task] = None
            tasks = given.get(governor)
            if tasks is None:
                given[governor] = [task]
            else:
                tasks.append(task)
    except Exception as error:
        _policy_failed(state, error)
    for task, text in wrong.items():
        if task.unsettled:
            tasks = given.get(task.governor, []) if task.governor is not None else []
            if task in tasks:
                tasks.remove(task)  # its governor was not told yet
            fail(state, task, TaskError("rain", text))
    return given


def _assign_members(state: State, members: Members, governor: Governor) -> list[Task | Members]:
    """Book members of a family on a governor; those of which something is to be noted get records of their own."""
    graph, family = state.graph, members.family
    count = members.stop - members.start
    if (
        type(governor) is not Governor
        or governor.state is LOST
        or not governor.takes_work
        or not governor.holds(family.request)
        or governor.count + count > governor.tasks_max
        or not family.states.startswith(bytes((FREE,)) * count, members.start)
    ):
        raise PolicyError(f"it gave {members!r} to {governor!r}, which cannot be")
    if governor not in graph.reserved and graph.assign_members(members, governor):
        return [members]
    tasks: list[Task | Members] = []
    for place in range(members.start, members.stop):
        task = family.session.families.take(family, place)
        graph.assign(task, governor)
        if governor in graph.reserved:
            graph.backfilled[task] = None
        tasks.append(task)
    return tasks


def _error_of(state: State, task: Any, governor: Any) -> str:
    """Why a policy's answer cannot be carried out; empty if it can: a waiting task may follow those that it needs."""
    if type(task) is not Task or type(governor) is not Governor:
        raise PolicyError(f"it gave {task!r} to {governor!r}, which is no pair of a task and a governor")
    if state.graph.task(task.id) is not task or not task.unsettled or task.session.over:
        raise PolicyError(f"it gave task {task.title}, which is not to be run: it is {task.state.value}")
    text = f'The scheduling policy "{state.policy_name}" gave task {task.title} to governor {governor.id}, '
    if governor.state is LOST:
        return f"{text}which is not here"
    if governor.leaving is not None:
        return f"{text}which takes no more work: it leaves"
    if governor.arriving:
        return f"{text}which takes no work yet: it has not told what it has"
    if not governor.holds(task.request):
        has = ", ".join(f"{amount:g} {name}" for name, amount in sorted(governor.resources.items()))
        return f"{text}which cannot hold it: it asks for {asked(task.request)}, and the governor has {has}"
    if task.nodes > 1:
        return f"{text}but it runs on {task.nodes} governors at once, which is not a policy's business"
    if task.governor is not None:
        return f"{text}but had given it to governor {task.governor.id} before"
    if governor.count >= governor.tasks_max:
        return f"{text}which has {governor.count} tasks already, all that it may have (AHEAD_TASKS_MAX per cpu)"
    if task.placement is QUEUED:
        return ""
    if task.state is not WAITING:
        return f"{text}but it is not ready yet"
    for obj in task.inputs:
        if obj.state is OBJ_UNFINISHED and (obj.producer is None or obj.producer.governor is not governor):
            return f"{text}but its input {obj.title} is not there yet, and is not made there"
    return ""


def _policy_failed(state: State, error: Exception) -> None:
    """Make the policy anew; too many failures in a row end the sessions with queued tasks."""
    state.broke(f'the scheduling policy "{state.policy_name}"', error)
    state.policy_failures += 1
    if state.policy_failures >= POLICY_FAILURES_MAX:
        state.policy_failures = 0
        why = (
            f'the scheduling policy "{state.policy_name}" of the server does not work, so that nothing of it would '
            f"run: {type(error).__name__}: {error}"
        )
        for session in list(state.graph.sessions.values()):
            if not session.over and (queued_tasks(session) or queued_families(session)):
                break_session(state, session, why)
    state.policy_error = None
    try:
        state.policy = state.make_policy()
    except Exception as again:
        state.policy_error = again
    offer_all(state)
    state.schedule_due = True


def offer_all(state: State) -> None:
    """Offer all that is ready to a policy that is new."""
    for session in state.graph.sessions.values():
        if not state.takes_members:
            session.families.take_free()
        for task in queued_tasks(session):
            state.tell_policy(state.policy.task_ready, task)
        for family in queued_families(session):
            for members in family.runs(FREE):
                state.offer_members(members, anew=True)


def queued_tasks(session: Session) -> list[Task]:
    """The ready tasks of a session that were offered to the policy, but for members of families that have no record of
    their own; costs the size of the session."""
    return [task for task in session.tasks.own.values() if task.placement is QUEUED and task.nodes == 1]


def queued_families(session: Session) -> list[TaskFamily]:
    """The families with such members."""
    return [family for family in session.families.records if FREE in family.states]


def steal(state: State) -> None:
    """Ask governors for work that others could do sooner."""
    try:
        for governor, tasks in state.policy.steals(state.view):
            attempts = [attempt for task in tasks for attempt in _attempts(task, governor)]
            if attempts and governor.state is GovernorState.REGISTERED:
                governor.state = GovernorState.RETURNING
                state.to_governor(governor, TakeBack(attempts))
    except Exception as error:
        _policy_failed(state, error)


def _attempts(task: Task | Members, governor: Governor) -> list[tuple[ID, int]]:
    """The attempts of these that a governor has."""
    if type(task) is not Members:
        return [(task.id, task.attempt)] if task.governor is governor else []  # type: ignore[union-attr]
    family, slot = task.family, governor.shares.get(task.family, -1)
    there = [place for place in range(task.start, task.stop) if family.states[place] == AT + slot and slot >= 0]
    return [(family.member_id(place), 1) for place in there]


# -- tasks that fit nowhere -----------------------------------------------------------------------


def fail_infeasible(state: State) -> None:
    """Tasks that fit nowhere fail, unless more governors are expected, one may come back, or a pool may bring one."""
    graph = state.graph
    if not graph.governors or len(graph.governors) < graph.expected:
        return
    if graph.lost_at is not None and state.now - graph.lost_at < GOVERNOR_LOST_S:
        return
    if state.recheck:
        state.recheck = False
        for session in graph.sessions.values():
            for task in queued_tasks(session):
                state.unchecked[task.request] = None
            for family in queued_families(session):
                state.unchecked[family.request] = None
    for task in gangs.infeasible(state) if graph.waiting_gangs else ():
        fail(state, task, TaskError("resources", cannot_hold(state, task)))
    if not state.unchecked:
        return
    infeasible: dict[ResourceRequest, None] = {}
    for request in state.unchecked:
        if any(governor.can_hold(request) for governor in graph.governors.values()):
            request.version = graph.version
        elif not offered(state, request):  # else it is looked at again when the offer is withdrawn
            infeasible[request] = None
    state.unchecked.clear()
    for session in {request.session: None for request in infeasible}:
        if any(family.request in infeasible for family in queued_families(session)):
            session.families.take_free()
        for task in queued_tasks(session):
            if task.request in infeasible and task.unsettled:
                fail(state, task, TaskError("resources", cannot_hold(state, task)))
