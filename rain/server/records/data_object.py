"""The server's record of a data object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rain.common.location import Inline, Stored
from rain.common.spec import ObjectInfo, ObjectSpec
from rain.common.state_tables import states
from rain.common.states import DATA_OBJECTS
from rain.server.states import ANNOUNCED, CONSTANT, FUNCTION, OBJ_UNFINISHED, OUTPUT, ROLES, STALE

if TYPE_CHECKING:
    from rain.server.records.governor import Governor
    from rain.server.records.session import Session
    from rain.server.records.task import Task


@states(state=DATA_OBJECTS, role=ROLES)
class Object:
    """One submitted data object.

    Attributes
    ----------
    producer : Task or None
        None for constants, and once the producer was released.
    role : Role
    consumers : None, Task, or dict of Task to None
        The unsettled tasks that have it as an input; not recorded for constants, which never become unfinished.
    needs : int
        How many unsettled and failed tasks have it as an input, without tasks that were forgotten.
    lineage : int
        How many finished tasks that are kept for lineage have it as an input (not counted for constants that stay).
    location : Inline or LocalFile or None
        Where the server itself has its data: in memory, or in a file of its own for a large constant.
    checksum : int or None
        xxh3-64 of a blob's bytes, wherever they are.
    size : int
        Bytes, 0 while unknown.
    governors : tuple of Governor
        The governors that have a replica of it, which list it in their `objects`.
    """

    __slots__ = (
        "checksum",
        "consumers",
        "governors",
        "id",
        "info",
        "kept",
        "lineage",
        "location",
        "needs",
        "producer",
        "role",
        "session",
        "size",
        "spec",
        "state",
        "update_due",
    )

    def __init__(self, spec: ObjectSpec, session: Session) -> None:
        self.id = spec.id
        self.spec = spec
        self.session = session
        self.producer: Task | None = None
        self.role = OUTPUT
        self.consumers: Task | dict[Task, None] | None = None
        self.needs = 0
        self.lineage = 0
        self.kept = False
        self.state = OBJ_UNFINISHED
        self.info: ObjectInfo | None = None
        self.size = 0
        self.location: Stored | None = None
        self.checksum: int | None = None
        self.governors: tuple[Governor, ...] = ()
        self.update_due = False

    @property
    def constant(self) -> bool:
        """Whether it is a constant, which a client gave."""
        return self.role is not OUTPUT

    @property
    def needed(self) -> bool:
        """Whether a task needs its data, or its client keeps them."""
        return self.kept or self.needs > 0

    @property
    def inline_bytes(self) -> int:
        """How many of its bytes the server has in memory."""
        location = self.location
        return len(location.data) if type(location) is Inline else 0

    @property
    def safe(self) -> bool:
        """Whether its data survive the loss of any governor."""
        return self.location is not None or self.constant

    @property
    def stays(self) -> bool:
        """Whether it is there as long as its session, so that its users are not counted for lineage."""
        return self.role is CONSTANT or self.role is FUNCTION

    def waiting(self) -> Sequence[Task]:
        """The unsettled tasks that have it as an input."""
        consumers = self.consumers
        if consumers is None:
            return ()
        if isinstance(consumers, dict):
            return list(consumers)
        return (consumers,)

    def add_consumer(self, task: Task) -> None:
        """Record an unsettled consumer."""
        if self.constant:
            return
        consumers = self.consumers
        if consumers is None:
            self.consumers = task
        elif isinstance(consumers, dict):
            consumers[task] = None
        else:
            self.consumers = {consumers: None, task: None}

    def remove_consumer(self, task: Task) -> None:
        """Forget a consumer that settled."""
        consumers = self.consumers
        if consumers is task:
            self.consumers = None
        elif isinstance(consumers, dict):
            consumers.pop(task, None)
            if not consumers:
                self.consumers = None

    def holders(self) -> list[Governor]:
        """The governors that have its data."""
        return [governor for governor in self.governors if governor.objects[self] not in (ANNOUNCED, STALE)]

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.spec.label!r} ({self.id})" if self.spec.label else str(self.id)

    def __repr__(self) -> str:
        return f"<Object {self.id} {self.state.value}>"
