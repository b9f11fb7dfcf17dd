"""The server's record of an absence: of a governor that died, and whose successor may still have its objects; or that
lives, and may come back with what it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rain.common.spec import TaskInfo
    from rain.server.records.data_object import Object
    from rain.server.records.task import Task


class Absence:
    """What is remembered of a governor that died.

    Attributes
    ----------
    governor_id : str
    until : float
        Until then the governor's objects are not made again. Monotonic seconds.
    forgotten_at : float
        When this record is dropped. Monotonic seconds.
    heard_until : float
        When attempts that may run once are taken for lost: until then the governor may come back with them. Monotonic
        seconds.
    attempts : dict of Task to int
        The tasks that were assigned to the governor, and the numbers of their attempts.
    held : dict of Task to str
        Those of them that may run once, and what is said of each that is lost.
    objects : dict of Object to None
        The objects that the governor held and that were not made again since.
    infos : dict of Task to TaskInfo or None
        The infos of the tasks that made the objects which were lost with the governor.
    """

    __slots__ = ("attempts", "forgotten_at", "governor_id", "heard_until", "held", "infos", "objects", "until")

    def __init__(self, governor_id: str, until: float, forgotten_at: float) -> None:
        self.governor_id = governor_id
        self.until = until
        self.forgotten_at = forgotten_at
        self.heard_until = 0.0
        self.attempts: dict[Task, int] = {}
        self.held: dict[Task, str] = {}
        self.objects: dict[Object, None] = {}
        self.infos: dict[Task, TaskInfo | None] = {}
