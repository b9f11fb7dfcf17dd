"""The server's record of an offer: what a governor in a place of a client's pool would have."""

from __future__ import annotations

from rain.common.protocol.messages import Offer
from rain.server.records.resources import ResourceRequest, to_units


class Place:
    """One kind of place that a client's pool offers.

    Attributes
    ----------
    offer : Offer
    total : dict of str to int
        Units that a governor there has.
    """

    __slots__ = ("offer", "total")

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.total = {name: to_units(amount) for name, amount in offer.resources.items()}

    @property
    def brings(self) -> tuple[dict[str, int], bool]:
        """The properties of the place that decide which tasks fit there."""
        return self.total, self.offer.places > 0

    def can_hold(self, request: ResourceRequest) -> bool:
        """Whether a governor there could run a task with this request if it were idle."""
        return self.offer.places > 0 and all(units <= self.total.get(name, -1) for name, units in request.needs)
