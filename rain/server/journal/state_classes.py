"""Which classes the image of the server's state holds, and what is written in the place of what cannot be."""

from __future__ import annotations

from typing import Any

from rain.common import location, spec, task_configs
from rain.common.ids import ID
from rain.common.protocol import messages as m
from rain.common.state_tables import WatchedDict
from rain.common.states import DataObjectState, TaskState
from rain.server import states
from rain.server.core.lifecycle.submit import Cut
from rain.server.core.state import State
from rain.server.environments import Environments
from rain.server.graph import Graph
from rain.server.journal.images.types import Conversion
from rain.server.records.client import Client, Reading
from rain.server.records.data_object import Object
from rain.server.records.gang import Gang
from rain.server.records.governor import Governor
from rain.server.records.leaving import Leaving
from rain.server.records.place import Place
from rain.server.records.resources import DurationEstimate, ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.scheduling.locality import LocalityPolicy, Queue
from rain.server.scheduling.view import ClusterView

CLASSES: tuple[type, ...] = (
    ID,
    DataObjectState,
    TaskState,
    states.Placement,
    states.Retention,
    states.Role,
    states.ReplicaState,
    states.GovernorState,
    states.SessionState,
    states.ClientState,
    State,
    Graph,
    Client,
    Cut,
    DurationEstimate,
    Environments,
    Gang,
    Governor,
    Leaving,
    Object,
    Place,
    Reading,
    ResourceRequest,
    Session,
    Task,
    ClusterView,
    LocalityPolicy,
    Queue,
    location.Inline,
    location.LocalFile,
    location.Replica,
    location.Replicas,
    location.Upload,
    spec.ObjectInfo,
    spec.ObjectSpec,
    spec.TaskError,
    spec.TaskInfo,
    spec.TaskOptions,
    spec.TaskSpec,
    spec.TaskSpecInput,
    spec.Transfer,
    task_configs.UserModule,
    m.Constant,
    m.GetOutput,
    m.Had,
    m.Node,
    m.Offer,
    m.SessionEnv,
    m.TaskOutput,
    m.TaskProgress,
)

LEFT_OUT: dict[type, frozenset[str]] = {State: frozenset({"make_policy"})}
"""Functions: a server that reads an image has its own."""


def _counts_alone(counts: dict[int, int]) -> tuple[int, ...]:
    return tuple(counts[id(state)] for state in TaskState)


def _counts_by_id(counts: tuple[int, ...]) -> dict[int, int]:
    return dict(zip(map(id, TaskState), counts, strict=True))


def _error_text(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"


def _error(text: str | None) -> Exception | None:
    return None if text is None else RuntimeError(text)


CONVERTED: dict[tuple[type, str], Conversion] = {
    (Session, "counts"): Conversion(_counts_alone, _counts_by_id),
    (State, "policy_error"): Conversion(_error_text, _error),
}

ALIKE: dict[type, type[Any]] = {WatchedDict: dict}
