"""What the server's records go through beside the states that users see, each an enum with its table."""

from __future__ import annotations

import enum

from rain.common.state_tables import StateTable
from rain.common.states import DataObjectState, TaskState


class Placement(enum.Enum):
    """Where a task is on its way to a governor."""

    UNPLACED = "unplaced"  # waits for inputs, or is settled
    DELAYED = "delayed"  # ready, and not queued for a while: an input could not be fetched, or its output may be back
    QUEUED = "queued"  # ready, and offered to the scheduling policy
    FOLLOWER = "follower"  # assigned ahead of its inputs, which other tasks of the same governor make
    DEMAND = "demand"  # assigned, and counted among what the governor is asked to run at once


class Retention(enum.Enum):
    """What the record of a task is kept for."""

    FIRST_RUN = "first run"  # it has not finished yet, or failed and may be retried
    RETAINED = "retained"  # finished, and kept because its outputs may have to be made again
    RECOMPUTING = "recomputing"  # finished once, and makes lost outputs again
    RELEASED = "released"  # finished, and needed no more; a persistent session still shows it
    FORGOTTEN = "forgotten"  # failed or cancelled, and will not be retried: it holds its inputs no more


class Role(enum.Enum):
    """What a data object is to its session."""

    OUTPUT = "output"  # a task makes it
    CONSTANT = "constant"  # its client gave it
    EPHEMERAL = "ephemeral"  # as a constant, and it goes when no task needs it any more
    FUNCTION = "function"  # a constant that Python tasks run: it stays on governors while its session lives


class ReplicaState(enum.IntEnum):
    """What a governor has of an object; a `LocalFile` in its place means: held, in this file."""

    ANNOUNCED = 1  # it was told where the object is, and perhaps has it
    STALE = 2  # as ANNOUNCED, but the places that it knows are gone
    HELD = 3  # it has the object, in its store


class GovernorState(enum.Enum):
    """How a governor stands with the server."""

    REGISTERED = "registered"  # it is here
    RETURNING = "returning"  # it was asked to give tasks back, and has not answered
    DRAINING = "draining"  # it leaves on purpose: it gets no work, and what only it holds is brought elsewhere
    DISMISSED = "dismissed"  # nothing of it is needed any more, and it was told so
    LOST = "lost"  # its conversation is over


class SessionState(enum.Enum):
    """How far a session has come."""

    OPEN = "open"  # a client has it
    DETACHED = "detached"  # it waits for a client
    STOPPED = "stopped"  # ended by itself: its client may only close it
    CLOSING = "closing"  # governors have not yet confirmed that nothing of it is left
    CLOSED = "closed"  # gone


class ClientState(enum.Enum):
    """How a client keeps up."""

    CURRENT = "current"  # it is told of changes at the end of each turn
    BEHIND = "behind"  # what it was sent waits; changes are gathered until it has caught up
    GONE = "gone"  # its conversation is over


_P, _R = Placement, Retention

PLACEMENTS = StateTable(
    Placement,
    "A task on its way to a governor",
    {
        (None, _P.UNPLACED): "submitted",
        (_P.UNPLACED, _P.QUEUED): "its last input is finished, or its attempt ended and it is ready again",
        (_P.UNPLACED, _P.DELAYED): "ready again after several fetches of an input failed; its output may be back",
        (_P.UNPLACED, _P.DEMAND): "it has gone on running on a governor that was given up, and is back",
        (_P.UNPLACED, _P.FOLLOWER): "the policy gives it to the governor where its inputs are made",
        (_P.DELAYED, _P.QUEUED): "it has waited long enough",
        (_P.DELAYED, _P.UNPLACED): "an input was lost, or it settled; or what it was to make again is back",
        (_P.QUEUED, _P.UNPLACED): "an input was lost, or it settled",
        (_P.QUEUED, _P.DEMAND): "the policy gives it to a governor",
        (_P.FOLLOWER, _P.DEMAND): "its last input is finished",
        (_P.DEMAND, _P.FOLLOWER): "an input was lost before it started",
        (_P.FOLLOWER, _P.UNPLACED): "its attempt ended or was withdrawn, or its governor was lost",
        (_P.DEMAND, _P.UNPLACED): "its attempt ended or was withdrawn, or its governor was lost",
    },
)

RETENTIONS = StateTable(
    Retention,
    "What the record of a task is kept for",
    {
        (None, _R.FIRST_RUN): "submitted",
        (_R.FIRST_RUN, _R.RETAINED): "it finished, and an output is needed and not safe",
        (_R.FIRST_RUN, _R.RELEASED): "it finished, and no output needs it",
        (_R.FIRST_RUN, _R.RECOMPUTING): "retried, after it had finished once and failed when it ran again",
        (_R.FIRST_RUN, _R.FORGOTTEN): "failed or cancelled, and let go by `forget`",
        (_R.RETAINED, _R.RECOMPUTING): "an output was lost",
        (_R.RETAINED, _R.RELEASED): "nothing needs its outputs any more",
        (_R.RECOMPUTING, _R.RETAINED): "the lost outputs are there again",
        (_R.RECOMPUTING, _R.RELEASED): "the lost outputs are not needed any more",
        (_R.RECOMPUTING, _R.FIRST_RUN): "it failed or was cancelled",
    },
)

_O = Role

ROLES = StateTable(
    Role,
    "What a data object is to its session",
    {
        (None, _O.OUTPUT): "submitted",
        (_O.OUTPUT, _O.CONSTANT): "its submit has a value for it",
        (_O.OUTPUT, _O.EPHEMERAL): "its submit has a value for it, as an argument of a task",
        (_O.CONSTANT, _O.FUNCTION): "a task names it as its function",
    },
)

_C = ReplicaState

REPLICAS = StateTable(
    ReplicaState,
    "A governor's replica of an object",
    {
        (None, _C.ANNOUNCED): "a task that needs it was sent there",
        (None, _C.HELD): "a task there made it",
        (_C.ANNOUNCED, _C.HELD): "the governor has fetched it",
        (_C.ANNOUNCED, _C.STALE): "it could not be fetched from the places that the governor knew",
        (_C.HELD, _C.STALE): "the governor lost it, or all of them did, while tasks there need it",
        (_C.STALE, _C.ANNOUNCED): "the governor was told of the present places",
        (_C.STALE, _C.HELD): "the governor had fetched it after all, or a task there made it again",
        (_C.ANNOUNCED, None): "dropped, or the governor was lost",
        (_C.STALE, None): "dropped, or the governor was lost",
        (_C.HELD, None): "dropped, or the governor was lost",
    },
)

_G = GovernorState

GOVERNORS = StateTable(
    GovernorState,
    "A governor, as the server sees it",
    {
        (None, _G.REGISTERED): "it registered",
        (_G.REGISTERED, _G.RETURNING): "another governor is idle, and could do some of its tasks sooner",
        (_G.RETURNING, _G.REGISTERED): "it gave back those that had not begun",
        (_G.REGISTERED, _G.DRAINING): "it said that it leaves",
        (_G.RETURNING, _G.DRAINING): "it said that it leaves",
        (_G.DRAINING, _G.DISMISSED): "it runs nothing, and all that is needed of its data is elsewhere too",
        (_G.REGISTERED, _G.LOST): "its conversation ended",
        (_G.RETURNING, _G.LOST): "its conversation ended",
        (_G.DRAINING, _G.LOST): "its time was over, or its conversation ended otherwise",
        (_G.DISMISSED, _G.LOST): "it has left",
    },
)

_S = SessionState

SESSIONS = StateTable(
    SessionState,
    "A session, as the server sees it",
    {
        (None, _S.OPEN): "a client opened it",
        (_S.OPEN, _S.DETACHED): "its client went, and it is persistent, or the client may come back",
        (_S.DETACHED, _S.OPEN): "a client attached to it",
        (_S.OPEN, _S.STOPPED): 'a task failed under `on_failure="stop"`, or an error of the server met it',
        (_S.OPEN, _S.CLOSING): "its client closed it, or went",
        (_S.DETACHED, _S.CLOSING): "it would be stopped, and has no client that could close it; or none came in time",
        (_S.STOPPED, _S.CLOSING): "its client closed it, or went",
        (_S.CLOSING, _S.CLOSED): "all governors confirmed",
    },
)

_K = ClientState

CLIENTS = StateTable(
    ClientState,
    "A client, as the server sees it",
    {
        (None, _K.CURRENT): "it connected",
        (_K.CURRENT, _K.BEHIND): "much of what it was sent is not acknowledged",
        (_K.BEHIND, _K.CURRENT): "it has caught up",
        (_K.CURRENT, _K.GONE): "its conversation ended",
        (_K.BEHIND, _K.GONE): "its conversation ended",
    },
)

# Short names, for code that runs often: Python 3.11 looks up `Enum.MEMBER` in Python code, at 0.1 µs each.
UNPLACED, DELAYED, QUEUED = Placement.UNPLACED, Placement.DELAYED, Placement.QUEUED
FOLLOWER, DEMAND = Placement.FOLLOWER, Placement.DEMAND
FIRST_RUN, RETAINED, RECOMPUTING = Retention.FIRST_RUN, Retention.RETAINED, Retention.RECOMPUTING
RELEASED, FORGOTTEN = Retention.RELEASED, Retention.FORGOTTEN
WAITING, READY, RUNNING = TaskState.WAITING, TaskState.READY, TaskState.RUNNING
FINISHED, FAILED, CANCELLED = TaskState.FINISHED, TaskState.FAILED, TaskState.CANCELLED
OBJ_UNFINISHED, OBJ_FINISHED = DataObjectState.UNFINISHED, DataObjectState.FINISHED
OBJ_REMOVED, OBJ_FAILED = DataObjectState.REMOVED, DataObjectState.FAILED
OUTPUT, CONSTANT, EPHEMERAL, FUNCTION = Role.OUTPUT, Role.CONSTANT, Role.EPHEMERAL, Role.FUNCTION
ANNOUNCED, STALE, HELD = ReplicaState.ANNOUNCED, ReplicaState.STALE, ReplicaState.HELD
OPEN, DETACHED, LOST = SessionState.OPEN, SessionState.DETACHED, GovernorState.LOST
