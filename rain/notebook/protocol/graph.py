"""What a session looks like: the visible graph, the states in it, and what changes of both."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from rain.common.state_styles import Look

Counts = dict[str, int]
"""By state."""


class SessionInfo(msgspec.Struct, frozen=True):
    """A session's name, and whether it is open.

    Attributes
    ----------
    id : int
    name : str
    state : str
        ``"open"``, ``"closed"``, ``"lost"`` or ``"stopped"``.
    note : str
        Why it ended; of an open session why nothing of it can go on. Empty if there is nothing to say.
    """

    id: int
    name: str
    state: str
    note: str = ""


class Node(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """A node of the graph.

    Attributes
    ----------
    key : str
    label : str
        Its whole name.
    text : str or None
        What is written in it, if that is not the label.
    frame : str or None
        Key of the frame around it.
    """

    key: str
    label: str
    text: str | None = None
    frame: str | None = None

    @property
    def kind(self) -> str:
        """The kind of node: ``"task"``, ``"object"`` or ``"group"``."""
        return str(self.__struct_config__.tag)

    @property
    def written(self) -> str:
        """What is written in it."""
        return self.label if self.text is None else self.text


class TaskNode(Node, frozen=True, kw_only=True, tag="task"):
    """A task.

    Attributes
    ----------
    type : str
        The task type.
    """

    type: str


class ObjectNode(Node, frozen=True, kw_only=True, tag="object"):
    """An object.

    Attributes
    ----------
    directory : bool
    """

    directory: bool = False


class GroupNode(Node, frozen=True, kw_only=True, tag="group"):
    """A closed group.

    Attributes
    ----------
    tasks, objects : int
        How many are inside.
    """

    tasks: int
    objects: int


AnyNode = TaskNode | ObjectNode | GroupNode


class Arc(msgspec.Struct, frozen=True, array_like=True):
    """An arc of the visible graph; there may be several between the same nodes.

    Attributes
    ----------
    tail, head : str
        Keys of nodes.
    text : str
        What is written on it.
    """

    tail: str
    head: str
    text: str


class Frame(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group that is open: a box around nodes.

    Attributes
    ----------
    key, label : str
    text : str or None
        What is written at it, if that is not the label.
    frame : str or None
        Key of the frame around it.
    """

    key: str
    label: str
    text: str | None = None
    frame: str | None = None

    @property
    def written(self) -> str:
        """What is written at it."""
        return self.label if self.text is None else self.text


class Topology(msgspec.Struct, frozen=True):
    """The visible graph, without states.

    Attributes
    ----------
    number : int
        Another number: nodes or arcs are others, to be laid out anew.
    nodes : list of node
    arcs : list of Arc
    frames : list of Frame
        Frames inside of others come after them.
    dot : str
        What Graphviz is to lay out; its names of nodes are the keys, clusters are called ``cluster`` and the key.
    sideways : bool
        Whether it is laid out from left to right, in lines that wrap.
    all_objects : bool
        Whether each object is a node, also those that are only handed from one task to the next.
    """

    number: int
    nodes: list[AnyNode]
    arcs: list[Arc]
    frames: list[Frame]
    dot: str = ""
    sideways: bool = False
    all_objects: bool = False


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a node now; only what is known is sent.

    Attributes
    ----------
    state : str
        A state's name; ``"new"`` before submit.
    took : str or None
        How long a task took, once it is over.
    start : float or None
        When it started, in seconds since the epoch.
    governor : str or None
    attempts : int or None
        If more than one.
    error : str or None
        Its first line.
    size : str or None
        Of an object.
    kept : bool
    content_type : str or None
    counts : dict of str to int, or None
        Of a group: how many tasks are in each state.
    stale : int
        How many tasks of it (of an object: of its maker) have a function, or one before them, that was edited since.
    reuse : str or None
        Of a task: why the result of an earlier run was reused, or why it was computed.
    share : float or None
        How much of a running task is done, from 0 to 1, if it says so.
    doing : str or None
        The same in words, with its note.
    thumb : str or None
        The picture that it shows, as a PNG in base64.
    """

    state: str
    took: str | None = None
    start: float | None = None
    governor: str | None = None
    attempts: int | None = None
    error: str | None = None
    size: str | None = None
    kept: bool = False
    content_type: str | None = None
    counts: Counts | None = None
    stale: int = 0
    reuse: str | None = None
    share: float | None = None
    doing: str | None = None
    thumb: str | None = None


class Summary(msgspec.Struct, frozen=True):
    """Counts and clocks of the whole session.

    Attributes
    ----------
    tasks : dict of str to int
        By state.
    objects : int
    elapsed : float or None
        Seconds since it began to run; None before.
    remaining : float or None
        Seconds that are estimated to be left.
    ticking : bool
        Whether the clocks go on.
    stale : int
        How many tasks are stale.
    """

    tasks: Counts
    objects: int
    elapsed: float | None
    remaining: float | None
    ticking: bool
    stale: int = 0


class Snapshot(msgspec.Struct, frozen=True):
    """All that is visible of a session.

    Attributes
    ----------
    version : int
    session : SessionInfo
    looks : dict of str to Look
        By state.
    topology : Topology
    status : dict of str to Status
        By the key of a node.
    summary : Summary
    """

    version: int
    session: SessionInfo
    looks: dict[str, Look]
    topology: Topology
    status: dict[str, Status]
    summary: Summary


class Delta(msgspec.Struct, frozen=True):
    """What has changed since the version `base`. A browser that has another version asks for a snapshot.

    Attributes
    ----------
    version, base : int
    status : dict of str to Status
        Of nodes whose status is another.
    summary : Summary
    topology : Topology, optional
        If it is another.
    session : SessionInfo, optional
        If it is another.
    """

    version: int
    base: int
    status: dict[str, Status]
    summary: Summary
    topology: Topology | UnsetType = UNSET
    session: SessionInfo | UnsetType = UNSET
