"""What the server notes of a governor that leaves on purpose: why, and what of its data still has to go elsewhere."""

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
        Whether it waits for a place for what only it holds, also while there is none.
    left : dict of Object to None
        Perhaps only it holds these, and they are needed: to be copied, in this order.
    under_way : dict of Object to Governor
        Those that are being copied, and where to.
    paused : dict of Object to (float, int)
        Those of which a copy failed: when it is tried again, and how often it was.
    """

    __slots__ = ("left", "patient", "paused", "reason", "under_way")

    def __init__(self, reason: str, patient: bool) -> None:
        self.reason = reason
        self.patient = patient
        self.left: dict[Object, None] = {}
        self.under_way: dict[Object, Governor] = {}
        self.paused: dict[Object, tuple[float, int]] = {}
