"""Which classes the image of the server's state holds, and what is written in the place of what cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import msgspec

from rain.common import location, spec, task_configs
from rain.common.ids import ID
from rain.common.protocol import messages
from rain.common.state_tables import WatchedDict
from rain.common.states import DataObjectState, TaskState
from rain.server import states
from rain.server.core.attach import NO_CALL_SITE
from rain.server.core.lifecycle.cut import NO_IDS, NO_INPUTS, NO_PARTS, NO_USER, NUMBERS_MAX, Cut
from rain.server.core.state import State
from rain.server.environments import Environments
from rain.server.graph import Graph
from rain.server.journal.images.fitting import Migration
from rain.server.journal.images.types import Codec, Conversion
from rain.server.records.absence import Absence
from rain.server.records.client import Client, Reading
from rain.server.records.data_object import Object
from rain.server.records.family import Members, Share, TaskFamily
from rain.server.records.gang import Gang
from rain.server.records.governor import Governor
from rain.server.records.items import Families, Objects, Tasks
from rain.server.records.leaving import Leaving
from rain.server.records.place import Place
from rain.server.records.resources import DurationEstimate, ResourceRequest
from rain.server.records.session import Session
from rain.server.records.task import Task
from rain.server.scheduling.locality import LocalityPolicy, Queue
from rain.server.scheduling.view import ClusterView


def structs_of(module: ModuleType) -> list[type[msgspec.Struct]]:
    """The Structs that a module defines."""
    found = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return [one for one in found if one.__module__ == module.__name__]


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
    Absence,
    Client,
    Cut,
    DurationEstimate,
    Environments,
    Families,
    TaskFamily,
    Gang,
    Governor,
    Leaving,
    Members,
    Object,
    Objects,
    Place,
    Reading,
    ResourceRequest,
    Session,
    Share,
    Task,
    Tasks,
    ClusterView,
    LocalityPolicy,
    Queue,
    *structs_of(location),
    *structs_of(spec),
    *(part for part in structs_of(messages) if issubclass(part, messages.Part)),
    messages.GetOutput,
    task_configs.UserModule,
)

LEFT_OUT: dict[type, frozenset[str]] = {State: frozenset({"make_policy"})}
"""Functions: a server that reads an image has its own."""


def _counts_by_name(counts: dict[int, int]) -> tuple[tuple[str, int], ...]:
    return tuple((state.name, counts[id(state)]) for state in TaskState)


def _counts_by_id(counts: tuple[tuple[str, int], ...]) -> dict[int, int]:
    return {id(state): 0 for state in TaskState} | {id(TaskState[name]): count for name, count in counts}


def _error_text(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__name__}: {error}"


def _error(text: str | None) -> Exception | None:
    return None if text is None else RuntimeError(text)


def _as_it_is(value: Any) -> Any:
    return value


def _config(config: Any) -> Any:
    return [NO_PARTS if part == [] else part for part in config] if isinstance(config, list) else config


def _user(user: dict[str, Any]) -> dict[str, Any]:
    return user or NO_USER


CONVERTED: dict[tuple[type, str], Conversion] = {
    # A million tasks share what is empty, as they do when they are submitted.
    (spec.TaskSpec, "config"): Conversion(_as_it_is, _config),
    (spec.TaskSpec, "user"): Conversion(_as_it_is, _user),
    (spec.ObjectSpec, "user"): Conversion(_as_it_is, _user),
    (Session, "counts"): Conversion(_counts_by_name, _counts_by_id),
    (State, "policy_error"): Conversion(_error_text, _error),
}

CONSTANTS = (NO_INPUTS, NO_IDS, NO_CALL_SITE)

ALIKE: dict[type, type[Any]] = {WatchedDict: dict}


ADDED: dict[tuple[type, str], Callable[[], Any]] = {
    (Absence, "attempts"): dict,
    (Absence, "heard_until"): float,
    (Absence, "held"): dict,
    (Client, "held_families"): list,
    (Client, "returns"): bool,
    (Cut, "floor"): lambda: NUMBERS_MAX,
    (Cut, "last"): lambda: NUMBERS_MAX,
    (Cut, "position"): lambda: NUMBERS_MAX,
    (Cut, "with_families"): bool,
    (Governor, "members"): int,
    (Governor, "shares"): dict,
    (Session, "returns"): bool,
    (State, "family_updates"): list,
}
"""Attributes of classes with ``__slots__`` that a version added, and what gives them a value in a server that goes on
from an image of the version before."""


def _families(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {"families": [Families(*both) for both in zip(columns["tasks"], columns["objects"], strict=True)]}


MIGRATIONS: tuple[Migration, ...] = (
    Migration("Session", ("tasks", "objects"), ("families",), _families),
    Migration("Cut", ("tasks", "objects"), ("families",), _families),
)
"""What becomes of attributes that a version took away or changed, in the order of versions."""


def codec(*more: type) -> Codec:
    """What writes and reads images of a `State`; `more`: classes of what stands beside it."""
    return Codec((*CLASSES, *more), LEFT_OUT, CONVERTED, ALIKE, CONSTANTS, ADDED, MIGRATIONS)
