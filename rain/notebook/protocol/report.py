"""What the file of a report holds: all that a browser would ask a kernel for, and where everything is drawn."""

from __future__ import annotations

import msgspec

from rain.common.state_styles import Look
from rain.notebook.protocol.data import InspectionAnswer
from rain.notebook.protocol.details import Code, Details, Output
from rain.notebook.protocol.graph import SessionInfo, Status, Summary, Topology
from rain.notebook.protocol.layout import Geometry
from rain.notebook.protocol.lookups import CriticalPath, Governors, TaskRow, Timeline


class StateChange(msgspec.Struct, frozen=True, array_like=True):
    """From when on something was in a state; `at` counts microseconds from the report's `began`."""

    at: int
    state: str


class Life(msgspec.Struct, frozen=True, array_like=True):
    """The states of a task or an object: the first one, and how it went on."""

    first: str
    changes: list[StateChange]


class Scene(msgspec.Struct, frozen=True):
    """A graph that is laid out.

    Attributes
    ----------
    opened : str
        Key of the group that was opened last; empty of the first scene, ``"objects"`` of the one with all objects.
    above : str
        `opened` of the scene in which that group is closed.
    topology : Topology
    geometry : Geometry
    """

    opened: str
    above: str
    topology: Topology
    geometry: Geometry


class Preview(msgspec.Struct, frozen=True):
    """The first page of an object's data.

    Attributes
    ----------
    answer : InspectionAnswer
    pieces : list of str
        What comes beside it, in base64.
    """

    answer: InspectionAnswer
    pieces: list[str]


class Version(msgspec.Struct, frozen=True):
    """A program or package, and which one it is."""

    name: str
    version: str


class Report(msgspec.Struct, frozen=True):
    """All of a report.

    Attributes
    ----------
    made : float
        When, in seconds since the epoch.
    versions : list of Version
    notes : list of str
        What is left out, in sentences.
    session : SessionInfo
    looks : dict of str to Look
        By state.
    severity : list of str
        Which state a group of tasks is said to be in: the first of these that one of them is in.
    summary : Summary
    began : float
        Seconds since the epoch.
    length : int
        Microseconds from then to the last change.
    lives : dict of str to Life
        Of tasks and objects, by key.
    scenes : list of Scene
        The first one is what is seen first.
    status : dict of str to Status
        Of all nodes in scenes, at the end.
    members : dict of str to list of str
        The tasks and constants in closed groups, by the group's key.
    rows : list of TaskRow
    details : dict of str to Details
        Those of tasks without their code.
    codes : list of Code
        Of all tasks: many have the same.
    code_of : dict of str to int
        The place in `codes` by the key of a task.
    outputs : dict of str to Output
        Of tasks that have written something.
    outputs_whole : bool
        Whether all others have written nothing.
    previews : dict of str to Preview
        Of objects.
    timeline : Timeline
    critical : CriticalPath
        Its keys are of tasks and objects, visible or not.
    governors : Governors
    """

    made: float
    versions: list[Version]
    notes: list[str]
    session: SessionInfo
    looks: dict[str, Look]
    severity: list[str]
    summary: Summary
    began: float
    length: int
    lives: dict[str, Life]
    scenes: list[Scene]
    status: dict[str, Status]
    members: dict[str, list[str]]
    rows: list[TaskRow]
    details: dict[str, Details]
    codes: list[Code]
    code_of: dict[str, int]
    outputs: dict[str, Output]
    outputs_whole: bool
    previews: dict[str, Preview]
    timeline: Timeline
    critical: CriticalPath
    governors: Governors
