"""The server's record of a governor that died, in whose place another may come that has its objects."""

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
        Before that its objects are not made again. Monotonic seconds.
    forgotten_at : float
        Then this record goes.
    objects : dict of Object to None
        Those that it held and that were not made again since.
    infos : dict of Task to TaskInfo or None
        What was known of the runs that made those that were lost with it.
    """

    __slots__ = ("forgotten_at", "governor_id", "infos", "objects", "until")

    def __init__(self, governor_id: str, until: float, forgotten_at: float) -> None:
        self.governor_id = governor_id
        self.until = until
        self.forgotten_at = forgotten_at
        self.objects: dict[Object, None] = {}
        self.infos: dict[Task, TaskInfo | None] = {}
