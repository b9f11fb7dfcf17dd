"""The server's record of a governor's departure: why it leaves, and which of its objects still have to be copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rain.server.records.data_object import Object
    from rain.server.records.governor import Governor


class Leaving:
    """One departure.

    Attributes
    ----------
    reason : str
    patient : bool
        Whether the governor waits, while no other governor can take the objects that only it holds.
    left : dict of Object to None
        Needed objects that perhaps only it holds: to be copied, in this order.
    under_way : dict of Object to Governor
        The objects that are being copied, and the governors that get them.
    paused : dict of Object to (float, int)
        The objects of which a copy failed: when it is tried again, and how often it was tried.
    """

    __slots__ = ("left", "patient", "paused", "reason", "under_way")

    def __init__(self, reason: str, patient: bool) -> None:
        self.reason = reason
        self.patient = patient
        self.left: dict[Object, None] = {}
        self.under_way: dict[Object, Governor] = {}
        self.paused: dict[Object, tuple[float, int]] = {}
