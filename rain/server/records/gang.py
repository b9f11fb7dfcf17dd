"""A gang: the governors that run one attempt of a task together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.common.ids import ID

if TYPE_CHECKING:
    from rain.common.protocol.messages import Node
    from rain.server.records.governor import Governor


class Gang:
    """One attempt of a task on several governors.

    Attributes
    ----------
    id : ID
        Id of the task.
    attempt : int
    members : list of Governor
        The governors of the gang but the first.
    ready : dict of Governor to Node
        Members whose companion is up.
    sent : bool
        Whether the task was sent to the first governor.
    """

    __slots__ = ("attempt", "id", "members", "ready", "sent")

    def __init__(self, id: ID, attempt: int, members: list[Governor]) -> None:
        self.id = id
        self.attempt = attempt
        self.members = members
        self.ready: dict[Governor, Node] = {}
        self.sent = False
