"""The server's records of a client, and of its request for the output of running tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rain.common.ids import ID
from rain.common.protocol.messages import FamilyUpdate, GetOutput, TaskOutput
from rain.common.state_tables import states
from rain.server.states import CLIENTS, ClientState

if TYPE_CHECKING:
    from rain.server.records.data_object import Object
    from rain.server.records.family import Members
    from rain.server.records.session import Session
    from rain.server.records.task import Task


@states(state=CLIENTS)
class Client:
    """One client's conversation.

    `gathering` holds, by session, the submit of which pieces are missing (a `rain.server.core.lifecycle.cut.Cut`);
    `looks` are the numbers of sessions that the client looks at without having them; `returns`: another one may come
    for its sessions. While a client lags behind, `held_tasks` and `held_objects` hold updates until it has caught up,
    `held_families` those to be sent before them.
    """

    __slots__ = (
        "gathering",
        "held_families",
        "held_objects",
        "held_tasks",
        "id",
        "looks",
        "returns",
        "sessions",
        "state",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.sessions: dict[int, Session] = {}
        self.looks: set[int] = set()
        self.returns = False
        self.gathering: dict[int, Any] = {}
        self.state = ClientState.CURRENT
        self.held_tasks: list[Task] = []
        self.held_objects: list[Object] = []
        self.held_families: list[tuple[Session, FamilyUpdate | Members]] = []


class Reading:
    """A client's request for the output of running tasks; `waiting` holds the governors that have not answered, and
    cancelled attempts that have not ended: (governor id, task's id or None, attempt)."""

    __slots__ = ("client_id", "found", "message", "waiting")

    def __init__(self, client_id: str, message: GetOutput) -> None:
        self.client_id = client_id
        self.message = message
        self.waiting: set[tuple[str, ID | None, int]] = set()
        self.found: dict[ID, TaskOutput] = {}
