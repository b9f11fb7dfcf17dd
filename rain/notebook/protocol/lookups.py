"""What is looked up when a browser asks: searches, the tabs other than the graph, a client's card."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from rain.notebook.protocol.graph import Counts


class Hit(msgspec.Struct, frozen=True):
    """A task or object that a search found."""

    key: str
    title: str


class Found(msgspec.Struct, frozen=True):
    """What a search found.

    Attributes
    ----------
    keys : list of str
        Of visible nodes that are, or hold, what was found.
    tasks, objects : int
    first : list of Hit
    """

    keys: list[str]
    tasks: int
    objects: int
    first: list[Hit]


class CriticalPath(msgspec.Struct, frozen=True):
    """The chain of tasks, each needing the one before, that took longest so far.

    Attributes
    ----------
    keys : list of str
        Of visible nodes.
    took : str
        Empty if no task has run.
    """

    keys: list[str]
    took: str


class TaskRow(msgspec.Struct, frozen=True):
    """A row of the table of tasks.

    Attributes
    ----------
    key, id, name, type, state : str
    start : float or None
        Seconds since the epoch.
    took : str
    governor : str
    attempts : int
    cpus : float
    error : str
        Its first line.
    stale : bool
        Whether its function, or one before it, was edited since.
    reused : bool
        Whether its result is that of an earlier run.
    reuse : str
        Why that was reused, or why it was computed; empty if that was not asked for.
    """

    key: str
    id: str
    name: str
    type: str
    state: str
    start: float | None
    took: str
    governor: str
    attempts: int
    cpus: float
    error: str
    stale: bool
    reused: bool
    reuse: str


class DurationBin(msgspec.Struct, frozen=True, array_like=True):
    """So many tasks took between so many seconds."""

    begin: float
    end: float
    count: int


class TaskTable(msgspec.Struct, frozen=True):
    """A page of the table of tasks.

    Attributes
    ----------
    total : int
        Tasks of the session.
    matched : int
        Those that the filters let through.
    rows : list of TaskRow
    durations : list of DurationBin
        Of all that were let through and have ended; empty if there are less than two, or it was not asked.
    """

    total: int
    matched: int
    rows: list[TaskRow]
    durations: list[DurationBin] = []


LaneKind: TypeAlias = Literal["cpu", "shared", "transfers"]


class Bar(msgspec.Struct, frozen=True, array_like=True):
    """A bar of the timeline: a task or a transfer, or several too short to be seen apart.

    Attributes
    ----------
    start : float
        Seconds since the epoch.
    seconds : float
    state : str
        Of several the worst; ``"moved"`` of transfers.
    key, name : str
        Of the task, or of the object that came.
        Of several those of the first.
    count : int
    function : int
        Which of the timeline's functions; -1: several.
    waited, transfer : float
        Seconds for which a single task was ready and did not run, and that its longest transfer of an input took (part
        of the former); 0 if that is not known.
    told : str
        What and from where a single transfer brought.
    """

    start: float
    seconds: float
    state: str
    key: str
    name: str
    count: int
    function: int = -1
    waited: float = 0.0
    transfer: float = 0.0
    told: str = ""


class QueuePoint(msgspec.Struct, frozen=True, array_like=True):
    """From a time on (seconds since the epoch) so many tasks were ready, and did not run."""

    at: float
    count: int


class TimelineLane(msgspec.Struct, frozen=True):
    """What one cpu of a governor did, or one place among tasks that share cpus, or among transfers to it.

    Attributes
    ----------
    governor : str
    slot : int
    kind : str
        ``"cpu"``, ``"shared"`` (tasks that ask for less than a cpu each), ``"transfers"``.
    bars : list of Bar
    """

    governor: str
    slot: int
    kind: LaneKind
    bars: list[Bar]


class Timeline(msgspec.Struct, frozen=True):
    """What ran when; times are seconds since the epoch.

    Attributes
    ----------
    begin, end : float
        What is described.
    now : float
    lanes : list of TimelineLane
    functions : list of str
        Names of functions and other kinds of tasks; the same number is the same function in all answers.
    queue : list of QueuePoint
        Empty if no task waited for room.
    """

    begin: float
    end: float
    now: float
    lanes: list[TimelineLane]
    functions: list[str]
    queue: list[QueuePoint]


class Measure(msgspec.Struct, frozen=True):
    """How much there is of something.

    Attributes
    ----------
    key, label, text : str
    share : float or None
        From 0 to 1, where there is a whole.
    ours : float or None
        The part of the share that is of Rain's own doing, where that is known.
    """

    key: str
    label: str
    text: str
    share: float | None
    ours: float | None = None


class Governor(msgspec.Struct, frozen=True):
    """A governor and its load.

    Attributes
    ----------
    id : str
    cpus : float
    tasks, objects : int
    processor : float
        How busy its processors are, from 0 to 1.
    memory : float or None
        How much of its host's memory is used, from 0 to 1.
    brief : Measure
        The most important, in a line.
    measures : list of Measure
    leaves : str
        Why it leaves; empty if it does not.
    """

    id: str
    cpus: float
    tasks: int
    objects: int
    processor: float
    memory: float | None
    brief: Measure
    measures: list[Measure]
    leaves: str = ""


class Governors(msgspec.Struct, frozen=True):
    """The server's governors.

    Attributes
    ----------
    address, version : str
        Of the server.
    private : bool
        Whether they belong to the client alone, so that it may end one.
    governors : list of Governor
    """

    address: str
    version: str
    private: bool
    governors: list[Governor]


class Stale(msgspec.Struct, frozen=True):
    """What running the stale tasks again takes.

    Attributes
    ----------
    offer : str
        In a few words, with about how long it takes; empty if there is nothing to run.
    lines : list of str
        Which tasks, which of them are still running, and which cannot run again.
    """

    offer: str
    lines: list[str]


class SessionLine(msgspec.Struct, frozen=True):
    """A session on a client's card.

    Attributes
    ----------
    id : int
    name : str
    persistent : bool
    tasks : dict of str to int
        By state.
    """

    id: int
    name: str
    persistent: bool
    tasks: Counts


class Card(msgspec.Struct, frozen=True):
    """A client: where it is connected, and what it finds there.

    Attributes
    ----------
    address, http, version : str
    state : str
        ``"connected"``, ``"closed"``, or why the server is lost.
    governors : list of Governor
    sessions : list of SessionLine
    """

    address: str
    http: str
    version: str
    state: str
    governors: list[Governor] = []
    sessions: list[SessionLine] = []
