"""Where tasks, objects, executors, sessions and fetches of a governor are, and what may follow what."""

from __future__ import annotations

import enum

from rain.common.state_tables import StateTable


class SessionState(enum.Enum):
    """Where a session is on a governor."""

    OPEN = "open"  # tasks and objects of it may come
    ENDING = "ending"  # what ran is killed; what dies of it still holds resources


SESSIONS = StateTable(
    SessionState,
    "Sessions at a governor",
    {
        (None, SessionState.OPEN): "the first message about it",
        (SessionState.OPEN, SessionState.ENDING): "it was closed, or the server is gone",
    },
)


class Stage(enum.Enum):
    """How far a governor has come in leaving on purpose."""

    STAYING = "staying"  # it takes work
    DRAINING = "draining"  # it takes none, and what it runs may finish
    HANDING_BACK = "handing back"  # what still runs is ended, and goes back to the server
    LEFT = "left"  # its shell was told to end


STAGES = StateTable(
    Stage,
    "A governor that leaves",
    {
        (None, Stage.STAYING): "it was started",
        (Stage.STAYING, Stage.DRAINING): "a signal, the end of its time, or a user asked it to leave",
        (Stage.STAYING, Stage.LEFT): "dismissed, because the server is stopped",
        (Stage.DRAINING, Stage.HANDING_BACK): "the time that running tasks have is over",
        (Stage.DRAINING, Stage.LEFT): "dismissed, or the server is gone",
        (Stage.HANDING_BACK, Stage.LEFT): "dismissed, all its time is over, or the server is gone",
    },
)


class Phase(enum.Enum):
    """Where a task is on a governor."""

    WAITING = "waiting"  # an input is not here
    READY = "ready"  # in its group's heap
    QUEUED = "queued"  # in an executor: running there, or behind the task that is
    RECALLED = "recalled"  # as before, and the executor is asked to give it back if it has not started
    BUILTIN = "builtin"  # run by the governor itself
    HELD = "held"  # ended by a signal that batch systems send: perhaps the whole governor is to leave
    GONE = "gone"  # no longer here


_P = Phase

PHASES = StateTable(
    Phase,
    "Tasks at a governor",
    {
        (None, _P.WAITING): "assigned by the server",
        (_P.WAITING, _P.READY): "its last input is here",
        (_P.WAITING, _P.QUEUED): "given to an executor behind the tasks that make what it lacks",
        (_P.WAITING, _P.GONE): "cancelled, taken or given back, replaced by a newer attempt, or an input cannot be had",
        (_P.READY, _P.QUEUED): "given to an executor",
        (_P.READY, _P.BUILTIN): "a builtin task was started",
        (_P.READY, _P.GONE): "cancelled, taken or given back, replaced by a newer attempt, or an input was lost",
        (_P.QUEUED, _P.RECALLED): "it is wanted elsewhere, or not any more",
        (_P.QUEUED, _P.READY): "its executor exited, or gave it back unasked",
        (_P.QUEUED, _P.WAITING): "what was before it in its executor has not made what it lacks",
        (_P.QUEUED, _P.GONE): "it has ended, or its executor exited and it goes no further",
        (_P.RECALLED, _P.QUEUED): "the executor had started it already",
        (_P.RECALLED, _P.READY): "the executor gave it back, or exited",
        (_P.RECALLED, _P.WAITING): "as before, or the executor was to give it back",
        (_P.RECALLED, _P.GONE): "as before, and it is not wanted here any more; or it has ended",
        (_P.QUEUED, _P.HELD): "it was ended by SIGTERM, SIGUSR1 or SIGUSR2, and Rain did not send that",
        (_P.RECALLED, _P.HELD): "as before; it had started, so it could not be given back",
        (_P.HELD, _P.GONE): "told as failed after a second; or its governor leaves, so it goes back uncharged",
        (_P.BUILTIN, _P.READY): "an input was found damaged of which the store knew nothing",
        (_P.BUILTIN, _P.GONE): "it has ended",
    },
)

NOT_STARTED = (Phase.WAITING, Phase.READY)
IN_EXECUTOR = (Phase.QUEUED, Phase.RECALLED)
STARTED = (*IN_EXECUTOR, Phase.BUILTIN)
"""In which a task may run."""


class Fate(enum.Enum):
    """What becomes of a task when its executor gives it back, or it ends."""

    STAY = "stay"  # it runs here; how it ends is the server's to know
    GIVE_BACK = "give back"  # the server wants it elsewhere, if it has not started
    STOP = "stop"  # cancelled: answer `Stopped`
    FORGET = "forget"  # a newer attempt took its place: say nothing


FATES = StateTable(
    Fate,
    "What becomes of tasks at a governor",
    {
        (None, Fate.STAY): "assigned by the server",
        (Fate.STAY, Fate.GIVE_BACK): "the server takes it back while it is queued in an executor",
        (Fate.GIVE_BACK, Fate.STAY): "it was given back, had started already, or is to be ended now",
        (Fate.STAY, Fate.STOP): "cancelled while it was in an executor or ran as a builtin, or its governor leaves",
        (Fate.STAY, Fate.FORGET): "the server assigned a newer attempt meanwhile, or is gone, and it had not begun",
        (Fate.STOP, Fate.FORGET): "the server is gone",
    },
)


class Presence(enum.Enum):
    """Where an object's bytes are, as seen from a governor."""

    UNKNOWN = "unknown"  # no place is known; perhaps a task here will make it
    KNOWN = "known"  # places are known, and no task here waits for it
    WANTED = "wanted"  # waits for a transfer slot
    FETCHING = "fetching"
    PRESENT = "present"  # in the store
    REFUSED = "refused"  # in its place the store has what its task returned, which is no such object: no task's input


_O = Presence

PRESENCES = StateTable(
    Presence,
    "Objects at a governor",
    {
        (None, _O.UNKNOWN): "the first message or task that names it",
        (_O.UNKNOWN, _O.KNOWN): "the server told where it is, or it was taken over from a dead governor",
        (_O.UNKNOWN, _O.PRESENT): "the server sent its bytes, or a task here made it",
        (_O.UNKNOWN, _O.REFUSED): "its task here returned what cannot be this object",
        (_O.KNOWN, _O.WANTED): "a task waits for it",
        (
            _O.KNOWN,
            _O.PRESENT,
        ): "the server sent its bytes, a cancelled fetch had it all the same, or a dead governor's is whole",
        (_O.KNOWN, _O.UNKNOWN): "dropped, its session ended, or a dead governor's is damaged",
        (_O.WANTED, _O.FETCHING): "a transfer slot is free",
        (_O.WANTED, _O.KNOWN): "no task waits for it any more",
        (_O.WANTED, _O.PRESENT): "the server sent its bytes meanwhile",
        (_O.WANTED, _O.UNKNOWN): "its session ended, or a dead governor's is damaged",
        (_O.FETCHING, _O.KNOWN): "the fetch is over or cancelled",
        (_O.FETCHING, _O.UNKNOWN): "no place had it, or its session ended",
        (_O.PRESENT, _O.UNKNOWN): "lost or dropped, or its session ended",
        (_O.REFUSED, _O.UNKNOWN): "lost or dropped, or its session ended",
    },
)

IN_STORE = (Presence.PRESENT, Presence.REFUSED)


class FetchState(enum.Enum):
    """Where a transfer is that the governor's shell has not answered."""

    RUNNING = "running"
    CANCELLED = "cancelled"  # no task waits for the object; the answer may be that it is here all the same


FETCHES = StateTable(
    FetchState,
    "Fetches of a governor",
    {
        (None, FetchState.RUNNING): "a transfer slot is free",
        (FetchState.RUNNING, FetchState.CANCELLED): "no task waits for the object, it came otherwise, or is dropped",
    },
)


class ExecutorState(enum.Enum):
    """Where an executor is, as its governor's core sees it."""

    BUSY = "busy"  # has tasks, and may get more
    IDLE = "idle"
    INTERRUPTED = "interrupted"  # is asked to stop its running task, and killed when the grace is over
    DRAINING = "draining"  # ends what it has begun, gets nothing more, and is killed then
    KILLED = "killed"  # holds its resources until it has exited
    GONE = "gone"  # has exited


_E = ExecutorState

EXECUTORS = StateTable(
    ExecutorState,
    "Executors",
    {
        (None, _E.BUSY): "started for a task",
        (_E.BUSY, _E.IDLE): "its queue is empty",
        (_E.IDLE, _E.BUSY): "given a task",
        (_E.BUSY, _E.INTERRUPTED): "its running task was cancelled, or replaced by a newer attempt",
        (_E.BUSY, _E.DRAINING): "a module that it has imported changed on disk",
        (_E.DRAINING, _E.INTERRUPTED): "a task that it could not give back was cancelled",
        (_E.INTERRUPTED, _E.DRAINING): "the task has ended, and others could not be recalled",
        (_E.BUSY, _E.KILLED): "a task of it went over a limit, it does not come up, or its session ended",
        (_E.IDLE, _E.KILLED): "idle for long or in the way of another, or its session ended",
        (_E.INTERRUPTED, _E.KILLED): "the grace is over, or its queue is empty",
        (_E.DRAINING, _E.KILLED): "its queue is empty, or its session ended",
        **{(state, _E.GONE): "it exited" for state in _E if state is not _E.GONE},
    },
)


class End(enum.Enum):
    """Why an executor, or a builtin task, is being ended."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STALE = "stale"  # a module changed on disk
    ROOM = "room"  # idle too long, or in the way
    START = "start"  # it does not come up
    SESSION = "session"
    PREVIEW = "preview"  # it does not come back from one
