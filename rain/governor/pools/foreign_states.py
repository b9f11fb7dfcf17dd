"""The life of a foreign executor, from the governor's side."""

from __future__ import annotations

import enum

from rain.common.state_tables import StateTable


class ForeignState(enum.Enum):
    """Where a foreign executor is."""

    STARTING = "starting"  # it has not registered
    IDLE = "idle"  # registered, and has no task
    BUSY = "busy"  # has a task; perhaps its outputs are on their way to the store
    CLOSED = "closed"  # it has closed its connection: how it exits tells more than that it was killed
    EXITED = "exited"  # its process ended by itself
    KILLED = "killed"  # the governor asked for its end; what it sent before is still taken
    FAILED = "failed"  # of no use, and killed for that; nothing more is read from it
    GONE = "gone"  # nothing of it is left, and its end was told


_S = ForeignState

FOREIGN_EXECUTORS = StateTable(
    ForeignState,
    "Foreign executors",
    {
        (None, _S.STARTING): "the governor's core wants it",
        (_S.STARTING, _S.IDLE): "it registered",
        (_S.IDLE, _S.BUSY): "it was given a task",
        (_S.BUSY, _S.IDLE): "the task has ended",
        **{(state, _S.CLOSED): "it closed its connection" for state in (_S.STARTING, _S.IDLE, _S.BUSY)},
        **{(state, _S.EXITED): "its process ended by itself" for state in (_S.STARTING, _S.IDLE, _S.BUSY, _S.CLOSED)},
        **{
            (state, _S.KILLED): "its session or a task of it was ended, or its resources are needed"
            for state in (_S.STARTING, _S.IDLE, _S.BUSY, _S.CLOSED)
        },
        (_S.STARTING, _S.FAILED): "it could not be started, did not register in time, or said something else first",
        (_S.IDLE, _S.FAILED): "it sent what the protocol does not allow",
        (_S.BUSY, _S.FAILED): "it sent what the protocol does not allow",
        (_S.CLOSED, _S.FAILED): "its process lives on without a connection",
        (_S.EXITED, _S.GONE): "the outputs of its last result are taken",
        (_S.KILLED, _S.GONE): "its process has ended, and the outputs of its last result are taken",
        (_S.FAILED, _S.GONE): "its process, if there was one, has ended",
    },
)
