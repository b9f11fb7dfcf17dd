"""Which tasks of an executor's queue make what others need: so that a chain runs without a word in between.

Theory of operation
-------------------
A task may be queued in an executor while some of its inputs are still to be made, if all of these are made by tasks
before it in the same queue: the executor hands them on. It *follows* these makers. Until it leaves the queue it waits
for these inputs as any waiting task does, so that it needs nothing when it comes back. Nothing else here may wait for
them: results of such tasks are told late, and in a graph where many wait for each other that costs more than it saves.

The executor may hand on what the governor then does not take: the maker was cancelled or replaced meanwhile, its
result could not be stored. So a follower counts only if each of its makers has left the queue with what it made; else
it is *unfounded*, and goes again, uncharged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.ids import ID
from rain.governor.states import Phase, Presence

if TYPE_CHECKING:
    from rain.governor.core.records import Executor, State, Task


class Chain:
    """What is known of an executor's queue.

    Attributes
    ----------
    makers : dict of ID to Task
        Tasks in the queue, by what they are to make.
    nexts : dict of Task to None
        Waiting tasks that may be found to follow these; looked at once, and again when another maker is queued.
    before : dict of Task to list of Task
        Of each follower in the queue the makers that have not left with what they made.
    behind : dict of Task to list of Task
        The followers of makers that are in the queue.
    """

    __slots__ = ("before", "behind", "makers", "nexts")

    def __init__(self) -> None:
        self.makers: dict[ID, Task] = {}
        self.nexts: dict[Task, None] = {}
        self.before: dict[Task, list[Task]] = {}
        self.behind: dict[Task, list[Task]] = {}


def queued(state: State, executor: Executor, task: Task) -> None:
    """A task was put into an executor's queue: what waits for its outputs may follow it."""
    makers, session = executor.chain.makers, task.session
    objects = session.objects
    for spec in task.assignment.outputs:
        id = spec.id
        makers[id] = task
        if id in objects and (waiters := objects[id].waiters) is not None and len(waiters) == 1:
            (waiter,) = waiters
            if session.tasks.get(waiter.id) is waiter and waits_alone(waiter):
                _may_follow(state, executor, waiter)


def came(state: State, task: Task) -> None:
    """A task came whose inputs are not all here: it may follow what is queued."""
    if waits_alone(task):
        for executor in task.group.busy.values():
            makers = executor.chain.makers
            if makers and any(obj.id in makers for obj in task.inputs):
                _may_follow(state, executor, task)


def waits_alone(task: Task) -> bool:
    """Whether nothing else here waits for what the task waits for."""
    for obj in task.inputs:
        if obj.presence is not Presence.PRESENT and (obj.waiters is None or len(obj.waiters) > 1):
            return False
    return True


def _may_follow(state: State, executor: Executor, task: Task) -> None:
    executor.chain.nexts[task] = None
    state.following[executor] = None


def makers_of(executor: Executor, task: Task) -> list[Task]:
    """The tasks in an executor's queue that a waiting task could follow there, as the only one that waits for what they
    make; none if it cannot."""
    if task.phase is not Phase.WAITING or task.group is not executor.group or task.solo or task.assignment.nodes:
        return []
    if not waits_alone(task):
        return []
    found: dict[Task, None] = {}
    for obj in task.inputs:
        if obj.presence is Presence.PRESENT:
            continue
        maker = executor.chain.makers.get(obj.id)
        if maker is None or maker.phase is not Phase.QUEUED or maker.unwanted or maker.estimate.makes_files:
            return []
        found[maker] = None
    return list(found)


def follows(executor: Executor, task: Task, makers: list[Task]) -> None:
    """A task was queued behind the makers of its inputs."""
    chain = executor.chain
    chain.before[task] = makers
    for maker in makers:
        chain.behind.setdefault(maker, []).append(task)


def left(executor: Executor, task: Task, *, made: bool = False) -> None:
    """A task is no longer in the queue; `made`: and its outputs are here, as it made them."""
    chain = executor.chain
    makers = chain.makers
    for spec in task.assignment.outputs:
        if makers.get(spec.id) is task:
            del makers[spec.id]
    if chain.behind:
        for follower in chain.behind.pop(task, ()):
            if made:
                chain.before[follower].remove(task)
    if chain.before:
        for maker in chain.before.pop(task, ()):
            if maker in chain.behind:
                chain.behind[maker].remove(task)


def unfounded(executor: Executor | None, task: Task) -> bool:
    """Whether a maker of what the task ran with has not left the queue with that."""
    return executor is not None and bool(executor.chain.before.get(task))
