"""What pools may bring, and how much work there is for them: what clients say of the one and ask of the other."""

from __future__ import annotations

import math

from rain.common.limits import PLACES_MAX
from rain.common.protocol.messages import Capacity, Demand, Done, GetDemand, Need, Offer, OfferPlaces
from rain.server.core.state import State
from rain.server.records.client import Client
from rain.server.records.governor import Governor
from rain.server.records.place import Place
from rain.server.records.resources import AMOUNT_MAX, ResourceRequest

OFFERS_MAX = 1_000
"""Kinds of places that one client may offer."""
RESOURCES_MAX = 64
CHARS_MAX = 1_000


def offer_places(state: State, client: Client, message: OfferPlaces) -> None:
    """Answer `OfferPlaces`."""
    wrong = _wrong(message.offers)
    if wrong:
        state.refuse(client.id, message.request, wrong)
        return
    before = state.offers.pop(client.id, [])
    if message.offers:
        state.offers[client.id] = [Place(offer) for offer in message.offers]
    if [place.brings for place in before] != [place.brings for place in state.offers.get(client.id, ())]:
        _changed(state)
    state.to_client(client.id, Done(message.request))


def _wrong(offers: list[Offer]) -> str:
    if len(offers) > OFFERS_MAX:
        return f"{len(offers)} kinds of places are offered; OFFERS_MAX is {OFFERS_MAX}"
    for offer in offers:
        words = [offer.engine, offer.told, *offer.resources]
        if len(offer.resources) > RESOURCES_MAX or any(len(word) > CHARS_MAX for word in words):
            return f"an offer of places has up to {RESOURCES_MAX} resources, and texts of up to {CHARS_MAX} characters"
        if not 0 <= offer.places <= PLACES_MAX:
            return f"{offer.places} places are offered; it is a number from 0 to PLACES_MAX ({PLACES_MAX})"
        if not all(0 <= amount <= AMOUNT_MAX for amount in offer.resources.values()):
            return f"places are offered with {offer.resources}; amounts are numbers from 0 to {AMOUNT_MAX:g}"
    return ""


def no_more(state: State, client_id: str) -> None:
    """The pools of a client that is gone bring nothing."""
    if state.offers.pop(client_id, None):
        _changed(state)


def _changed(state: State) -> None:
    """Tasks that waited for a place may now fit nowhere."""
    state.recheck = True
    state.schedule_due = True


def offered(state: State, request: ResourceRequest) -> list[Place]:
    """The places that could hold such a task."""
    return [place for places in state.offers.values() for place in places if place.can_hold(request)]


# -- how much work there is -----------------------------------------------------------------------


def get_demand(state: State, client: Client, message: GetDemand) -> None:
    """Answer `GetDemand`."""
    graph = state.graph
    needs: dict[tuple[tuple[str, int], ...], Need] = {}
    for session in graph.sessions.values():
        for request in session.requests.values() if not session.over else ():
            _add(needs, request)
    governors = [_capacity(governor) for governor in graph.governors.values()]
    state.to_client(client.id, Demand(message.request, list(needs.values()), governors))


def _add(needs: dict[tuple[tuple[str, int], ...], Need], request: ResourceRequest) -> None:
    for estimate in request.estimates.values():
        if not (estimate.queued or estimate.assigned):
            continue
        need = needs.get(request.needs)
        if need is None:
            need = needs[request.needs] = Need(request.resources, request.executor, 0, 0, 0.0, 0, 0, 0.0)
        queued, assigned = estimate.queued * estimate.nodes, estimate.assigned * estimate.nodes
        need.waiting += queued
        need.assigned += assigned
        if estimate.queued:
            need.together = max(need.together, estimate.nodes)
        if estimate.count:
            seconds = (estimate.us + estimate.transfer_us) / 1e6
            need.waiting_s += queued * seconds
            need.assigned_s += assigned * seconds
        else:
            need.waiting_unknown += queued
            need.assigned_unknown += assigned


def _capacity(governor: Governor) -> Capacity:
    busy = governor.count + len(governor.stopping) + len(governor.hosting)
    resources = {name: amount for name, amount in governor.resources.items() if math.isfinite(amount)}
    return Capacity(governor.id, resources, busy, governor.given, governor.leaving is not None)
