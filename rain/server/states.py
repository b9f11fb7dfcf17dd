"""What the server's records go through beside the states that users see, each an enum with its table."""

from __future__ import annotations

import enum

from rain.common.state_tables import StateTable


class Placement(enum.Enum):
    """Where a task is on its way to a governor."""

    UNPLACED = "unplaced"  # waits for inputs, or is settled
    DELAYED = "delayed"  # ready, and not queued before a while has passed, because an input could not be fetched
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


_P, _R = Placement, Retention

PLACEMENTS = StateTable(
    Placement,
    "A task on its way to a governor",
    {
        (None, _P.UNPLACED): "submitted",
        (_P.UNPLACED, _P.QUEUED): "its last input is finished, or its attempt ended and it is ready again",
        (_P.UNPLACED, _P.DELAYED): "ready again after several fetches of an input failed",
        (_P.UNPLACED, _P.FOLLOWER): "the policy gives it to the governor where its inputs are made",
        (_P.DELAYED, _P.QUEUED): "it has waited long enough",
        (_P.DELAYED, _P.UNPLACED): "an input was lost, or it settled",
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
