"""`GovernorCore`: events in, effects out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rain.common.protocol.messages import (
    Assign,
    CancelTasks,
    CopyObjects,
    Dismiss,
    Drain,
    DropObjects,
    EndSession,
    ModuleFound,
    OpenSession,
    ReadOutput,
    TakeBack,
)
from rain.governor.core import commands, departure, dispatch, executor_lifecycle, objects, previews, sessions, tasks
from rain.governor.core.check import check
from rain.governor.core.effects import AnyEffect
from rain.governor.core.events import (
    AnyEvent,
    BuiltinEnded,
    CompanionReady,
    ExecutorExited,
    ExecutorRecalled,
    ExecutorResults,
    ExecutorSeen,
    FetchDone,
    FetchFailed,
    Inherited,
    LeaveAsked,
    ModuleWanted,
    ObjectLost,
    ObjectMoved,
    OutputsRead,
    OverMemory,
    PreviewMade,
    ServerBehind,
    ServerGone,
    ServerSaid,
    TasksProgressed,
    Tick,
    TurnEnded,
)
from rain.governor.core.families.leaving import ranges_of
from rain.governor.core.given_up import forgetting, returning
from rain.governor.core.records import State
from rain.governor.core.reporting.outbox import flush
from rain.governor.resources import Resources
from rain.governor.states import NOT_STARTED, Phase, Stage

_Handler = Callable[[State, Any, float], None]


class GovernorCore:
    """All decisions of one governor.

    Theory of operation
    -------------------
    The server assigns more tasks than can run at once, with what is needed to have their inputs. A task *waits* until
    all inputs are here (sent along, fetched, or made by a task of this governor), is then *ready*, and by urgency goes
    to an executor (or runs as a builtin), where it may be *queued* behind others that are known to be short. Whatever
    ends is reported in batches when the turn ends.

    Nothing here does IO or asks for the time: `step` takes what happened and returns what is to be done
    (`rain.governor.core.events` and `effects` say what the shell owes).

    Parameters
    ----------
    governor_id : str
        ``host:port``; stands in error texts and infos.
    resources : mapping of str to float
    executors : iterable of str
        Types of foreign executors in the governor's configuration.

    Examples
    --------
    >>> core = GovernorCore("127.0.0.1:7211", {"cpus": 2})
    >>> core.step(TurnEnded(), now=0.0)
    []
    """

    __slots__ = ("_handlers", "_orders", "_state")

    def __init__(self, governor_id: str, resources: Mapping[str, float], executors: Iterable[str] = ()) -> None:
        self._state = State(governor_id, Resources(resources), frozenset(executors))
        self._handlers: dict[type, _Handler] = {
            ServerSaid: self._server_said,
            Inherited: returning.inherited,
            ServerGone: _server_gone,
            ServerBehind: _server_behind,
            LeaveAsked: departure.leave_asked,
            FetchDone: objects.fetch_done,
            FetchFailed: tasks.fetch_failed,
            ExecutorResults: executor_lifecycle.executor_results,
            ExecutorRecalled: executor_lifecycle.executor_recalled,
            ExecutorSeen: executor_lifecycle.executor_seen,
            ExecutorExited: executor_lifecycle.executor_exited,
            BuiltinEnded: executor_lifecycle.builtin_ended,
            ObjectMoved: objects.object_moved,
            ObjectLost: tasks.object_lost,
            OverMemory: executor_lifecycle.over_memory,
            ModuleWanted: commands.module_wanted,
            CompanionReady: commands.companion_ready,
            PreviewMade: previews.made,
            TasksProgressed: commands.tasks_progressed,
            OutputsRead: commands.outputs_read,
            Tick: _tick,
            TurnEnded: _turn_ended,
        }
        self._orders: dict[type, _Handler] = {
            OpenSession: sessions.session_opened,
            Assign: commands.assign,
            TakeBack: commands.take_back,
            CancelTasks: commands.cancel_tasks,
            DropObjects: objects.drop_objects,
            EndSession: sessions.end_session,
            ReadOutput: commands.read_output,
            ModuleFound: commands.module_found,
            CopyObjects: objects.copy_objects,
            Drain: departure.drain,
            Dismiss: departure.dismissed,
        }

    def step(self, event: AnyEvent, now: float) -> list[AnyEffect]:
        """Take an event.

        Parameters
        ----------
        event : Event
        now : float
            Monotonic seconds; never less than before.

        Returns
        -------
        list of Effect
            To be carried out in order.
        """
        state = self._state
        out: list[AnyEffect] = []
        state.out = out
        self._handlers[type(event)](state, event, now)
        return out

    def _server_said(self, state: State, event: ServerSaid, now: float) -> None:
        self._orders[type(event.message)](state, event.message, now)

    def renewed(self) -> GovernorCore:
        """A core that knows of nothing, and gives no executor or builtin task a number that this one gave."""
        old = self._state
        new = GovernorCore(old.governor_id, old.resources.total(), old.kinds)
        new._state.executor_ids = old.executor_ids
        new._state.builtin_numbers = old.builtin_numbers
        return new

    def load(self) -> dict[str, float]:
        """Figures for `rain.common.protocol.messages.Load`."""
        state = self._state
        phases = [task.phase for session in state.sessions.values() for task in session.tasks.values()]
        ranges = [owner for session in state.sessions.values() for owner in ranges_of(session)]
        rest = {phase: sum([one.ready_count for one in ranges if one.phase is phase]) for phase in NOT_STARTED}
        values = {
            "tasks": float(len(phases) + sum([owner.left for owner in ranges])),
            "tasks_waiting": float(phases.count(Phase.WAITING) + rest[Phase.WAITING]),
            "tasks_ready": float(phases.count(Phase.READY) + rest[Phase.READY]),
            "objects": float(sum(len(session.objects) for session in state.sessions.values())),
            "executors": float(len(state.executors)),
            "executors_running": float(sum(executor.allocation is not None for executor in state.executors.values())),
            "fetches": float(len(state.fetching)),
        }
        total, free = state.resources.total(), state.resources.free()
        values.update({f"{name}_used": total[name] - free[name] for name in total})
        return values

    def due_at(self) -> float:
        """The next deadline, when a turn has ended.

        Returns
        -------
        float
            Before that time neither `Tick` nor `TurnEnded` does anything, unless something else happens; infinity:
            never. It may be a time that has passed, if that cannot be told.
        """
        state = self._state
        return min(
            departure.due_at(state), executor_lifecycle.due_at(state), previews.due_at(state), dispatch.due_at(state)
        )

    def check(self) -> None:
        """Assert all invariants; for tests."""
        check(self._state)


def _server_gone(state: State, event: ServerGone, now: float) -> None:
    forgetting.server_gone(state, event, now)
    departure.server_gone(state)
    state.server_behind = False


def _server_behind(state: State, event: ServerBehind, now: float) -> None:
    state.server_behind = event.behind


def _tick(state: State, event: Tick, now: float) -> None:
    if state.held:
        departure.tell_held(state, now)
    executor_lifecycle.check_deadlines(state, now)
    previews.ask(state, now)
    dispatch.end_idle_executors(state, now)
    departure.check_time(state, now)


def _turn_ended(state: State, event: TurnEnded, now: float) -> None:
    if state.departure.stage is Stage.STAYING:
        objects.pump_fetches(state, now)
        dispatch.dispatch(state, now)
    else:
        departure.hand_back(state, now)
        dispatch.send(state)
    flush(state)
